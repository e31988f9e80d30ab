"""Where people live, whichever market is shown, and how they get there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from core import instance as instances
from core.accounts import passwords, people, sessions
from core.accounts.home import open_accounts, take_over
from core.errors import StoreError
from core.instance import instance
from core.settings import Settings, load_settings
from core.store import open_store
from core.store.tables import users

NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
PASSWORD = "four unrelated words here"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ROUNDS", 4)


def settings_of(folder: Path) -> Settings:
    return load_settings({"CRYPTOSATX_DATA": str(folder)})


def add(engine: Engine, username: str, role: str = "trader", now: datetime = NOW) -> str:
    """An account and the token of a session it has opened."""
    with engine.begin() as conn:
        person = people.create_user(
            conn, username=username, name=username, role=role, password=PASSWORD, now=now
        )
        return sessions.start(conn, person.id, now=now)


def add_to_market(folder: Path, market: str, *args: str, now: datetime = NOW) -> str:
    engine = open_store(f"sqlite:///{folder}/{market}.sqlite", market)
    token = add(engine, *args, now=now)
    engine.dispose()
    return token


def roles(engine: Engine) -> dict[str, str]:
    with engine.connect() as conn:
        return {each.person.username: each.person.role for each in people.list_people(conn)}


def reader(engine: Engine, token: str) -> str | None:
    with engine.connect() as conn:
        session = sessions.read(conn, token, now=NOW + timedelta(hours=1))
    return session and session.person.username


def test_who_is_signed_in_stays_so_when_the_market_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    token = add(instance().accounts, "ada")
    monkeypatch.setenv("CRYPTOSATX_MARKET", "live")
    assert instance().engine.url.database == f"{tmp_path}/live.sqlite"
    assert reader(instance().accounts, token) == "ada"
    for engine in instances._engines.values():
        engine.dispose()


def test_with_a_database_of_their_own_choice_people_are_in_it(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    accounts = open_accounts(load_settings({"DATABASE_URL": url}))
    token = add(accounts, "ada")
    accounts.dispose()
    assert reader(engine, token) == "ada"


def test_people_of_before_are_taken_over_with_their_sessions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ada = add_to_market(tmp_path, "demo", "ada", "admin")
    tom = add_to_market(tmp_path, "live", "tom")
    engine = open_accounts(settings_of(tmp_path))
    assert roles(engine) == {"ada": "admin", "tom": "trader"}
    assert [reader(engine, token) for token in (ada, tom)] == ["ada", "tom"]
    assert "2 taken over" in caplog.text
    engine.dispose()


def test_of_one_name_in_two_markets_the_account_changed_last_counts(tmp_path: Path) -> None:
    old = add_to_market(tmp_path, "demo", "ada", "admin")
    new = add_to_market(tmp_path, "live", "ada", "trader", now=NOW + timedelta(minutes=5))
    engine = open_accounts(settings_of(tmp_path))
    assert roles(engine) == {"ada": "trader"}
    assert (reader(engine, old), reader(engine, new)) == (None, "ada")
    engine.dispose()


def test_who_was_switched_off_is_not_let_in_by_being_taken_over(tmp_path: Path) -> None:
    add_to_market(tmp_path, "demo", "ada", "admin")
    token = add_to_market(tmp_path, "live", "tom")
    live = open_store(f"sqlite:///{tmp_path}/live.sqlite")
    with live.begin() as conn:
        conn.execute(update(users).where(users.c.username == "tom").values(disabled=True))
    live.dispose()
    engine = open_accounts(settings_of(tmp_path))
    assert reader(engine, token) is None
    engine.dispose()


def test_people_are_taken_over_once(tmp_path: Path) -> None:
    add_to_market(tmp_path, "demo", "ada", "admin")
    open_accounts(settings_of(tmp_path)).dispose()
    add_to_market(tmp_path, "live", "eve")
    engine = open_accounts(settings_of(tmp_path))
    assert roles(engine) == {"ada": "admin"}
    assert take_over(engine, tmp_path) == 0
    engine.dispose()


def test_a_file_that_is_no_database_keeps_nobody_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_to_market(tmp_path, "demo", "ada", "admin")
    (tmp_path / "broken.sqlite").write_text("this is no database, whatever its name says" * 99)
    engine = open_accounts(settings_of(tmp_path))
    assert roles(engine) == {"ada": "admin"}
    assert "broken.sqlite" in caplog.text
    engine.dispose()


def test_no_market_moves_into_the_file_of_people(tmp_path: Path) -> None:
    open_accounts(settings_of(tmp_path)).dispose()
    with pytest.raises(StoreError, match="accounts"):
        open_store(f"sqlite:///{tmp_path}/accounts.sqlite", "live")
