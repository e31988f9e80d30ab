"""Keys: made, rotated, revoked; what each allows of every operation; how often it may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pyotp
import pytest
from cryptography.fernet import Fernet
from fakeredis import TcpFakeServer
from hypothesis import given
from hypothesis import strategies as any_
from sqlalchemy import Engine, select, update
from starlette.applications import Starlette
from starlette.testclient import TestClient
from typer.testing import CliRunner

from core.__main__ import app
from core.accounts import ROLES, Person, keys, people, second_factor
from core.accounts.keys import PREFIX as CSX
from core.accounts.keys import Key
from core.accounts.tokens import digest
from core.alerts.delivery.sealing import Sealer
from core.api import api_routes, limiting
from core.api.limiting import Rates
from core.errors import AccountError
from core.operations import Operation, Registry
from core.operations.own import own_operations
from core.store.audit import list_changes
from core.store.tables import api_keys, users
from core.ui import session
from tests.api import PEOPLE, PREFIX, Desk, add_key, add_people, add_person, serve
from tests.pages import open_page, run, words

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SCOPES = ("signals.read", "plans.read")


@pytest.fixture
def people_of(engine: Engine) -> Engine:
    """A database with a person of each role."""
    add_people(engine)
    return engine


def make(
    engine: Engine, owner: str = "tom", lasts: timedelta = DAY, **changes: Any
) -> tuple[Key, str]:
    asked = {"name": "bot", "scopes": SCOPES, "by": owner, "now": NOW} | changes
    with engine.begin() as conn:
        return keys.create(conn, owner, expires_at=NOW + lasts, **asked)


def read(engine: Engine, text: str, now: datetime = NOW) -> keys.Bearer | None:
    with engine.connect() as conn:
        return keys.read(conn, text, now=now)


def test_a_key_speaks_for_its_owner_and_only_its_digest_is_kept(people_of: Engine) -> None:
    key, text = make(people_of)
    assert text.startswith(CSX)
    assert len(text) == len(CSX) + 43
    assert text != make(people_of)[1]
    bearer = read(people_of, text)
    assert bearer is not None
    assert (bearer.person.username, bearer.person.role) == ("tom", "trader")
    assert bearer.scopes == set(SCOPES)
    with people_of.connect() as conn:
        row = conn.execute(select(api_keys).where(api_keys.c.id == key.id)).one()
        log = list_changes(conn, subject="key")
    assert row.key_hash == digest(text)
    assert text not in str(tuple(row))
    assert text.startswith(row.hint)
    assert text not in str(log)
    assert [one.action for one in log] == ["create", "create"]


def test_a_key_opens_nothing_once_it_is_expired_or_revoked_or_its_owner_disabled(
    people_of: Engine,
) -> None:
    key, text = make(people_of)
    assert read(people_of, text, NOW + DAY - HOUR) is not None
    assert read(people_of, text, NOW + DAY) is None
    off = update(users).where(users.c.username == "tom")
    with people_of.begin() as conn:
        conn.execute(off.values(disabled=True))
        assert keys.read(conn, text, now=NOW) is None
        assert keys.load(conn, key.id).state(NOW) == "owner disabled"
        conn.execute(off.values(disabled=False))
    with people_of.begin() as conn:
        people.set_role(conn, "tom", "analyst", now=NOW)
    bearer = read(people_of, text)
    assert bearer is not None
    assert bearer.person.role == "analyst"
    with people_of.begin() as conn:
        keys.revoke(conn, key.id, by="tom", now=NOW)
    assert read(people_of, text) is None
    with people_of.begin() as conn, pytest.raises(AccountError, match="revoked already"):
        keys.revoke(conn, key.id, by="tom", now=NOW)


def test_disabling_a_person_revokes_their_keys_and_enabling_brings_none_back(
    people_of: Engine,
) -> None:
    texts = [make(people_of)[1], make(people_of)[1]]
    other = make(people_of, "ann")[1]
    with people_of.begin() as conn:
        people.disable(conn, "tom", now=NOW, by="ada")
    before = make(people_of)[1]  # As those of whoever was disabled by an older version.
    with people_of.begin() as conn:
        people.enable(conn, "tom", now=NOW, by="ada")
        told = [(one.action, one.after) for one in list_changes(conn, subject="person", by="ada")]
        assert {one.state(NOW) for one in keys.list_keys(conn, "tom")} == {"revoked"}
    assert [read(people_of, text) for text in (*texts, before)] == [None, None, None]
    assert read(people_of, other) is not None
    assert told == [
        ("enable", {"keys_revoked": 1}),
        ("disable", {"sessions_ended": 0, "keys_revoked": 2}),
    ]
    assert read(people_of, make(people_of)[1]) is not None


def test_a_key_is_rotated_without_a_gap(people_of: Engine) -> None:
    key, old = make(people_of, lasts=30 * DAY)
    with people_of.begin() as conn:
        new, text = keys.rotate(
            conn, key.id, old_until=NOW + HOUR, expires_at=NOW + 60 * DAY, by="tom", now=NOW
        )
    assert new.scopes == key.scopes
    for now, both in ((NOW, True), (NOW + HOUR - timedelta(seconds=1), True), (NOW + HOUR, False)):
        assert read(people_of, text, now) is not None
        assert (read(people_of, old, now) is not None) == both
    with people_of.begin() as conn, pytest.raises(AccountError, match="not rotated yet"):
        keys.rotate(conn, key.id, old_until=NOW + HOUR, expires_at=NOW + DAY, by="tom", now=NOW)
    with people_of.connect() as conn:
        assert keys.load(conn, key.id).rotated_to == new.id
        # An old key that would have ended sooner still does.
        assert keys.load(conn, key.id).expires_at == NOW + HOUR


def test_keys_that_still_open_count_when_others_take_their_place(people_of: Engine) -> None:
    made = [make(people_of)[0] for _ in range(keys.MOST_KEYS)]

    def rotate(number: int, overlap: timedelta) -> Key:
        with people_of.begin() as conn:
            return keys.rotate(
                conn, number, old_until=NOW + overlap, expires_at=NOW + DAY, by="tom", now=NOW
            )[0]

    with pytest.raises(AccountError, match="end this one at once"):
        rotate(made[0].id, HOUR)
    new = rotate(made[0].id, timedelta(0))
    with people_of.begin() as conn:
        keys.revoke(conn, made[1].id, by="tom", now=NOW)
    new = rotate(new.id, HOUR)
    with pytest.raises(AccountError, match="revoke one"):
        rotate(new.id, HOUR)
    with people_of.connect() as conn:
        opened = [one for one in keys.list_keys(conn, "tom") if one.state(NOW) == "active"]
    assert len(opened) == keys.MOST_KEYS


def test_of_keys_that_are_made_at_once_none_passes_the_limit(people_of: Engine) -> None:
    for _ in range(keys.MOST_KEYS - 1):
        make(people_of)

    def try_it(_: int) -> int:
        try:
            make(people_of)
        except AccountError:
            return 0
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(try_it, range(4))) == 1


def test_a_key_s_use_is_noted_once_in_a_while(people_of: Engine) -> None:
    key, text = make(people_of)
    bearer = read(people_of, text)
    assert bearer is not None
    assert keys.is_used_long_ago(bearer, NOW)
    with people_of.begin() as conn:
        keys.mark_used(conn, key.id, now=NOW)
    bearer = read(people_of, text)
    assert bearer is not None
    assert bearer.last_used_at == NOW
    assert not keys.is_used_long_ago(bearer, NOW + timedelta(seconds=59))
    assert keys.is_used_long_ago(bearer, NOW + timedelta(seconds=60))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"owner": "nobody"}, "no user nobody"),
        ({"name": "  "}, "needs a name"),
        ({"scopes": ()}, "none is given"),
        ({"scopes": ["signals"]}, "'signals' is none"),
        ({"lasts": timedelta(0)}, "lasts for some time"),
        ({"lasts": 367 * DAY}, "at most 366 days"),
    ],
)
def test_a_key_that_cannot_be_is_refused(
    sqlite_engine: Engine, changes: dict[str, Any], said: str
) -> None:
    add_people(sqlite_engine)
    with pytest.raises(AccountError, match=said):
        make(sqlite_engine, **changes)


def test_nobody_has_more_keys_than_can_be_looked_through(sqlite_engine: Engine) -> None:
    add_people(sqlite_engine)
    for _ in range(keys.MOST_KEYS):
        make(sqlite_engine)
    with pytest.raises(AccountError, match="revoke one"):
        make(sqlite_engine)
    make(sqlite_engine, "ann")
    with sqlite_engine.begin() as conn:
        keys.revoke(conn, 1, by="tom", now=NOW)
    make(sqlite_engine)


@given(any_.text(max_size=80))
def test_whatever_is_no_key_opens_nothing(text: str) -> None:
    # It is told by its form, before any database is asked.
    assert keys.read(None, text, now=NOW) is None  # type: ignore[arg-type]


# Who may ask for what: every operation, whoever asks.


def listen(calls: list[str]) -> Registry:
    """Every operation as it is, but that it only says that it was run."""

    def heard(one: Operation[Any]) -> Operation[Any]:
        def run(context: Any, asked: Any) -> dict[str, Any]:
            calls.append(one.name)
            return {}

        told = {
            name: value
            for name, value in vars(one).items()
            if name not in ("run", "result", "state")
        }
        return Operation(**told, run=run)

    registry = Registry()
    for one in own_operations():
        registry.add(heard(one))
    return registry


@pytest.fixture
def doors(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[tuple[Desk, list[str]]]:
    calls: list[str] = []
    from core.store.database import open_database

    url = new_sqlite()
    engine = open_database(url)
    add_people(engine)
    with engine.begin() as conn:
        add_person(conn, "ida", "admin")
    engine.dispose()
    for desk in serve(monkeypatch, url, tmp_path):
        desk.client = TestClient(Starlette(routes=api_routes(listen(calls))))
        yield desk, calls


def ask(desk: Desk, one: Operation[Any], key: str, *, by_name: bool) -> int:
    example = dict(one.examples[0])
    if by_name:
        return desk.post("/invoke", {"operation": one.name, "parameters": example}, key).status_code
    path = one.address.format(**example)
    rest = {name: value for name, value in example.items() if f"{{{name}}}" not in one.address}
    if one.writes:
        return desk.post(path, rest, key).status_code
    return desk.get(path, key, **rest).status_code


def test_every_operation_is_open_to_whom_it_is_for_and_to_nobody_else(
    doors: tuple[Desk, list[str]],
) -> None:
    desk, calls = doors
    accounts, every = desk.here.accounts, list(own_operations())
    scopes = own_operations().scopes
    held = {role: desk.key(name) for name, role in PEOPLE.items()}
    nothing = {"a stranger": "", "a key that is none": f"{CSX}{'x' * 43}"}
    nothing["another's session"] = "a" * 43
    for name in ("expired", "revoked", "of a disabled person"):
        nothing[name] = desk.key("ida" if "disabled" in name else "ada")
    with accounts.begin() as conn:
        for state, values in (
            ("expired", {"expires_at": NOW - DAY}),
            ("revoked", {"revoked_at": NOW}),
        ):
            own = api_keys.c.key_hash == digest(nothing[state])
            conn.execute(update(api_keys).where(own).values(values))
        people.disable(conn, "ida", now=NOW)
    seen = 0
    for one in every:
        for by_name in (False, True):
            for who, key in nothing.items():
                assert ask(desk, one, key, by_name=by_name) == 401, (one.name, who)
            for role, key in held.items():
                allowed = ROLES.index(role) >= ROLES.index(one.role)  # type: ignore[arg-type]
                calls.clear()
                assert ask(desk, one, key, by_name=by_name) == (200 if allowed else 403), (
                    one.name,
                    role,
                )
                assert calls == ([one.name] if allowed else []), (one.name, role)
                seen += 1
    assert seen == len(every) * 2 * len(ROLES)
    # Each scope opens its own operations, whoever's it is, and no other.
    for scope in scopes:
        key = add_key(accounts, "ada", [scope])
        for one in every:
            calls.clear()
            allowed = one.scope == scope
            assert ask(desk, one, key, by_name=True) == (200 if allowed else 403), (one.name, scope)
            assert bool(calls) == allowed


def test_refusals_say_what_is_missing(doors: tuple[Desk, list[str]]) -> None:
    desk, _ = doors
    stranger = desk.get("/signals", "")
    assert stranger.headers["www-authenticate"] == 'Bearer realm="CryptoSatX"'
    wrong = desk.get("/signals", "csx_")
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    scope = desk.get("/signals", desk.key("tom", ["plans.read"]))
    assert 'error="insufficient_scope", scope="signals.read"' in scope.headers["www-authenticate"]
    role = desk.get("/sources", desk.key("tom")).json()
    assert role["detail"] == "This needs the role admin, and tom is trader."
    basic = desk.client.get(f"{PREFIX}/signals", headers={"Authorization": f"Basic {desk.key()}"})
    assert basic.status_code == 401


def test_every_address_of_the_api_but_its_description_needs_a_key(
    doors: tuple[Desk, list[str]],
) -> None:
    desk, calls = doors
    told = desk.client.get(f"{PREFIX}/openapi.json").json()
    for path, methods in told["paths"].items():
        for method in methods:
            answer = desk.client.request(
                method, f"{PREFIX}{path}", json={} if method == "post" else None
            )
            assert answer.status_code == 401, path
    for path in ("/openapi.json", "/docs"):
        assert desk.client.get(f"{PREFIX}{path}").status_code == 200
    assert not calls
    listed = desk.get("/operations", desk.key("tom", ["signals.read"])).json()["items"]
    allowed = {one["name"] for one in listed if one["allowed"]}
    assert allowed == {one.name for one in own_operations() if one.scope == "signals.read"}


def test_a_role_that_is_taken_away_and_a_key_that_is_revoked_count_at_the_next_request(
    doors: tuple[Desk, list[str]],
) -> None:
    desk, _ = doors
    key = desk.key("ida")
    assert desk.get("/sources", key).status_code == 200
    with desk.here.accounts.begin() as conn:
        people.set_role(conn, "ida", "trader", now=NOW)
    assert desk.get("/sources", key).status_code == 403
    assert desk.get("/signals", key).status_code == 200
    with desk.here.accounts.begin() as conn:
        newest = keys.list_keys(conn, "ida")[0]
        assert newest.last_used_at is not None
        keys.revoke(conn, newest.id, by="ada", now=NOW)
    assert desk.get("/signals", key).status_code == 401


# How often.


class Clock:
    """A clock that a test moves, in place of that of the memory in which requests are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_700_000_000.0
        monkeypatch.setattr("time.time", lambda: self.now)


def test_a_key_may_ask_so_often_in_a_minute_and_is_told_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, rates = Clock(monkeypatch), Rates(4)
    spent = [rates.spend(1) for _ in range(6)]
    assert [one.allowed for one in spent] == [True] * 4 + [False] * 2
    assert [one.left for one in spent] == [3, 2, 1, 0, 0, 0]
    assert rates.spend(2).allowed, "another key has a rate of its own"
    first, last = spent[0].headers, spent[-1].headers
    assert first["RateLimit-Policy"] == '"key";q=4;w=60'
    assert first["RateLimit"].startswith('"key";r=3;t=')
    assert "Retry-After" not in first
    assert 1 <= int(last["Retry-After"]) <= 60
    clock.now += 121
    assert rates.spend(1).allowed


def test_a_key_that_asks_too_often_is_told_when_to_go_on(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> None:
    from core.store.database import open_database

    url = new_sqlite()
    engine = open_database(url)
    add_people(engine)
    engine.dispose()
    limiting.rates_of.cache_clear()
    for desk in serve(monkeypatch, url, tmp_path, CRYPTOSATX_API_CALLS_PER_MINUTE="3"):
        answers = [desk.get("/market") for _ in range(5)]
        assert [one.status_code for one in answers] == [200] * 3 + [429] * 2
        assert answers[-1].headers["content-type"] == "application/problem+json"
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=60'
        assert desk.get("/nothing").status_code == 404
        assert desk.get("/market", desk.key("tom")).status_code == 200
        # What is refused before it is known who asks is not counted to anybody.
        assert desk.get("/market", "csx_").status_code == 401
    limiting.rates_of.cache_clear()


@contextmanager
def redis() -> Iterator[str]:
    """Address of a server that speaks as Redis does."""
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"redis://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_servers_that_share_a_redis_count_together_and_each_alone_while_it_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with redis() as url:
        servers = [Rates(3, url), Rates(3, url)]
        spent = [servers[at % 2].spend(1).allowed for at in range(5)]
        assert spent == [True] * 3 + [False] * 2
    away = Rates(2, "redis://127.0.0.1:1")
    assert [away.spend(1).allowed for _ in range(3)] == [True, True, False]
    assert "Redis does not count requests" in caplog.text


# By the command line and on the page.


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str], tmp_path: Path
) -> Iterator[Desk]:
    from core.store.database import open_database

    url = new_sqlite()
    engine = open_database(url)
    add_people(engine)
    engine.dispose()
    yield from serve(monkeypatch, url, tmp_path)


def test_keys_are_made_listed_rotated_and_revoked_by_command(here: Desk) -> None:
    def command(*words: str) -> str:
        done = CliRunner().invoke(app, ["key", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    said = command("create", "tom", "--name", "desk bot", "--scope", "signals.read")
    text = next(line for line in said.splitlines() if line.startswith(CSX))
    assert here.get("/signals", text).status_code == 200
    assert here.get("/market", text).status_code == 403
    listed = command("list", "tom")
    assert "desk bot" in listed
    assert text not in listed
    number = str(max(key.id for key in _all(here) if key.owner == "tom"))
    following = command("rotate", number, "--overlap", "1")
    new = next(line for line in following.splitlines() if line.startswith(CSX))
    assert here.get("/signals", text).status_code == here.get("/signals", new).status_code == 200
    command("revoke", number)
    assert here.get("/signals", text).status_code == 401
    assert here.get("/signals", new).status_code == 200
    with pytest.raises(AccountError, match=r"There is no scope signal\.read"):
        CliRunner().invoke(
            app, ["key", "create", "tom", "--name", "x", "--scope", "signal.read"],
            catch_exceptions=False, standalone_mode=False,
        )  # fmt: skip


def _all(here: Desk) -> list[Key]:
    with here.here.accounts.connect() as conn:
        return keys.list_keys(conn)


def sign_in(here: Desk, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from core.accounts import sessions
    from core.store.tables import users

    with here.here.accounts.begin() as conn:
        number = conn.scalar(select(users.c.id).where(users.c.username == name))
        token = sessions.start(conn, number, now=datetime.now(UTC))
    monkeypatch.setattr(session, "_browser_token", lambda: token)


def test_a_person_makes_rotates_and_revokes_keys_on_the_account_page(
    here: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(here, monkeypatch, "tom")
    at = open_page("account.py")
    assert "rules.write" not in at.multiselect(key="key_scopes").options
    at.text_input(key="key_name").set_value("My *bot*")
    at.multiselect(key="key_scopes").set_value(["signals.read"])
    next(one for one in at.button if one.label == "Make the key").click()
    run(at)
    text = next(one.value for one in at.code if one.value.startswith(CSX))
    assert here.get("/signals", text).status_code == 200
    run(at)
    assert text not in words(at)
    assert not [one for one in at.code if text in one.value]
    mine = next(key for key in _all(here) if key.owner == "tom")
    assert "My \\*bot\\*" in words(at)
    at.button(key=f"rotate_{mine.id}").click()
    run(at)
    new = next(one.value for one in at.code if one.value.startswith(CSX))
    assert here.get("/signals", new).status_code == 200
    at.button(key=f"revoke_{mine.id}").click()
    run(at)
    assert here.get("/signals", text).status_code == 401
    assert "of ada" not in words(at), "others' keys are for administrators"


def test_an_administrator_sees_and_revokes_everybody_s_keys_and_nobody_else_can(
    here: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.errors import AccessDenied
    from core.ui import key_actions

    text = here.key("tom")
    mine = next(key for key in _all(here) if key.owner == "tom")
    sign_in(here, monkeypatch, "ann")
    with pytest.raises(AccessDenied, match="Only its owner"):
        key_actions.revoke(mine.id)
    with pytest.raises(AccessDenied, match="Only the owner"):
        key_actions.rotate(mine.id, overlap_hours=1, days=1)
    sign_in(here, monkeypatch, "ada")
    at = open_page("account.py")
    assert "of tom" in words(at)
    at.button(key=f"revoke_{mine.id}").click()
    run(at)
    assert here.get("/signals", text).status_code == 401
    with here.here.accounts.connect() as conn:
        newest = list_changes(conn, subject="key")[0]
    assert (newest.action, newest.by, newest.after["owner"]) == ("end", "ada", "tom")  # type: ignore[index]


def test_where_administrators_need_a_second_factor_their_keys_open_nothing_without(
    here: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_SECOND_FACTOR", "required")
    admin, trader = here.key("ada", ["market.read"]), here.key("tom", ["market.read"])
    refused = here.get("/market", admin)
    assert refused.status_code == 403
    assert refused.json()["type"].endswith("factor-missing")
    assert here.get("/market", trader).status_code == 200
    ada, sealer, now = (
        owner_of(here, admin),
        Sealer([Fernet.generate_key().decode()]),
        datetime.now(UTC),
    )
    with here.here.accounts.begin() as conn:
        secret = second_factor.begin(conn, ada.id or 0, sealer, now=now)
        second_factor.confirm(conn, ada, pyotp.TOTP(secret).at(now), sealer, now=now)
    assert here.get("/market", admin).status_code == 200


def owner_of(desk: Desk, text: str) -> Person:
    bearer = read(desk.here.accounts, text, datetime.now(UTC))
    assert bearer is not None
    return bearer.person
