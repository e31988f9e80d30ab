"""A database that goes away and comes back, as the pages see it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy.exc import OperationalError
from streamlit.testing.v1 import AppTest

from core import instance as instances
from core.accounts import passwords, people, sessions
from core.accounts.home import open_accounts
from core.instance import Instance, instance
from core.market.stream.batch import StreamState
from core.store import open_store
from core.store.leases import take_lease
from core.store.liquidations import save_stream
from core.store.vitals import Vitals
from core.ui import header, pulse
from core.ui import session as guard
from core.ui.loaders import kept
from core.ui.pulse import Pulse, read_pulse
from tests.builders import make_frame
from tests.conftest import run_postgres
from tests.pages import open_app, run, serve, store, table, words

AWAY = OperationalError("select", {}, Exception("the server is gone"))
THREE = ("binance", "bybit", "okx")


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked at every look, and not waited for long."""
    monkeypatch.setattr(pulse, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(pulse, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(pulse, "_pulses", {})


# One question for all


def test_readers_at_the_same_time_share_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "EVERY_SECONDS", 60.0)
    asked: list[int] = []
    shared = Pulse(lambda: asked.append(1))
    readers = [threading.Thread(target=shared.read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert asked == [1]


def test_a_failure_is_not_kept_and_the_last_answer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Vitals | Exception] = [Vitals(workers=1), AWAY, AWAY, Vitals(workers=2)]

    def ask() -> Vitals:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    asked = Pulse(ask)
    first, second, third, last = (asked.read() for _ in range(4))
    assert (first.vitals, first.away_since) == (Vitals(workers=1), None)
    assert (second.vitals, second.known_at) == (first.vitals, first.known_at)
    assert second.away_since is not None
    assert third.away_since == second.away_since
    assert (last.vitals, last.away_since) == (Vitals(workers=2), None)


def test_a_database_that_hangs_is_away_and_is_not_asked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "PATIENCE_SECONDS", 0.05)
    returns, asked = threading.Event(), []

    def ask() -> Vitals:
        asked.append(1)
        returns.wait(20)
        return Vitals(workers=1)

    hanging = Pulse(ask)
    for _ in range(3):
        assert hanging.read().away_since is not None
    assert asked == [1]
    returns.set()
    monkeypatch.setattr(pulse, "PATIENCE_SECONDS", 20.0)
    assert hanging.read().vitals == Vitals(workers=1)
    assert hanging.read().away_since is None


# Pages


@pytest.fixture
def demo(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Instance]:
    """A stored demo in a SQLite file, and a guest who looks at it."""
    here = serve(monkeypatch, new_sqlite(), tmp_path)
    store(here, make_frame(["AUSDT", "BUSDT"], hours=24 * 16))
    yield here
    here.engine.dispose()


@contextmanager
def locked(here: Instance) -> Iterator[None]:
    """Nobody else can read or write the SQLite file meanwhile."""
    here.engine.dispose()
    with closing(sqlite3.connect(str(here.engine.url.database))) as conn:
        conn.execute("PRAGMA locking_mode=EXCLUSIVE")
        conn.execute("BEGIN EXCLUSIVE")
        yield
        conn.rollback()
    wait_for_the_hanging(here)


def wait_for_the_hanging(here: Instance) -> None:
    """A question that met the lock ends when that is gone."""
    for one in pulse._pulses.values():
        assert one._answered.wait(20)


@contextmanager
def moved(here: Instance) -> Iterator[None]:
    path = Path(str(here.engine.url.database))
    here.engine.dispose()
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    yield
    elsewhere.rename(path)


@pytest.mark.parametrize("gone", [locked, moved])
def test_a_page_opened_while_the_file_is_gone_says_so_and_comes_by_itself(
    demo: Instance, monkeypatch: pytest.MonkeyPatch, gone: Callable[[Instance], Any]
) -> None:
    monkeypatch.setattr(pulse, "PATIENCE_SECONDS", 0.2)
    with gone(demo):
        at = open_app()
        assert "the page tries again by itself" in words(at)
        assert "Nobody can be let in meanwhile." in words(at)
        assert not at.text_input
        assert not at.button
    monkeypatch.setattr(pulse, "PATIENCE_SECONDS", 20.0)
    run(at)
    assert "tries again" not in words(at)
    assert len(table(at)["rows"]) == 2


def test_where_only_the_market_s_file_is_gone_the_reader_keeps_header_and_menu(
    monkeypatch: pytest.MonkeyPatch, demo: Instance, new_sqlite: Callable[[], str]
) -> None:
    people_apart = open_accounts(demo.settings.model_copy(update={"database_url": new_sqlite()}))
    with people_apart.begin() as conn:
        token = sessions.start(conn, None, now=datetime.now(UTC))
    apart = replace(demo, accounts=people_apart)
    for module in (guard, header, kept, pulse):
        monkeypatch.setattr(module, "instance", lambda: apart)
    monkeypatch.setattr(guard, "_browser_token", lambda: token)
    with moved(demo):
        at = open_app()
        assert "SIMULATED MARKET" in words(at)
        assert "the page tries again by itself" in words(at)
        assert "Nothing on this page is known until it does" in words(at)
        assert {"Sign in", "Try again"} == {button.label for button in at.button}
    assert len(table(run(at))["rows"]) == 2
    people_apart.dispose()


def test_an_open_page_keeps_what_it_shows_and_says_since_when_it_is_old(
    demo: Instance,
) -> None:
    at = open_app()
    assert len(table(at)["rows"]) == 2
    before = words(at)
    with moved(demo):
        assert "tries again by itself" in line(demo)
        assert "What is shown was known at" in line(demo)
    assert line(demo) == ""
    assert words(run(at)) == before


def line(here: Instance) -> str:
    """What the part of the header that renews itself says now."""
    at = AppTest.from_function(_line)
    return words(run(at))


def _line() -> None:
    from core.ui.header import _draw_amiss

    _draw_amiss()


# PostgreSQL that is stopped and started again, with a live market in it


@pytest.fixture
def postgres() -> Iterator[Any]:
    """A PostgreSQL of this test alone."""
    with run_postgres() as server:
        yield server


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, postgres: Any, tmp_path: Path) -> Iterator[Instance]:
    """A live market in order, and a trader who is signed in."""
    now = datetime.now(UTC)
    bar = now.replace(minute=0, second=0, microsecond=0)
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.setenv("DATABASE_URL", postgres.get_uri())
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path))
    monkeypatch.setenv("CRYPTOSATX_MARKET", "live")
    open_store(postgres.get_uri(), "live").dispose()
    here = instance()
    store(here, ending(make_frame(["AUSDT", "BUSDT"], hours=24 * 16), bar))
    with here.accounts.begin() as conn:
        ada = people.create_user(
            conn, username="ada", name="Ada", role="trader", password="four unrelated", now=now
        )
        token = sessions.start(conn, ada.id, now=now)
        take_lease(conn, "worker w", "w", now, timedelta(hours=1))
        for venue in THREE:
            save_stream(conn, StreamState(venue, "live", heard_at=now + timedelta(hours=1)), now)
    monkeypatch.setattr(guard, "_browser_token", lambda: token)
    yield here
    here.engine.dispose()


def ending(frame: pd.DataFrame, bar: datetime) -> pd.DataFrame:
    """The frame at the time at which its last bar is this one."""
    times = frame.index.levels[1]
    return frame.set_axis(frame.index.set_levels(times + (bar - times.max()), level="time"))


def test_a_database_server_that_is_away_is_said_on_every_page_and_forgotten_when_it_is_back(
    live: Instance, postgres: Any
) -> None:
    opened = open_app()
    assert ">LIVE<" in words(opened)
    assert len(table(opened)["rows"]) == 2
    postgres.stop()
    assert "What is shown was known at" in line(live)
    late = open_app()
    assert "Nobody can be let in meanwhile." in words(late)
    postgres.start()
    assert line(live) == ""
    for at in (opened, late):
        assert ">LIVE<" in words(run(at))
        assert len(table(at)["rows"]) == 2
        assert "Sign out" in [button.label for button in at.button]
    assert read_pulse().away_since is None
