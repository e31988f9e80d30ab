"""Sessions: how long they hold, and what ends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, select

from core.accounts import passwords, people, second_factor, sessions
from core.accounts.people import GUEST, Person
from core.accounts.sessions import Limits
from core.alerts.delivery.sealing import Sealer
from core.store import audit, tables

NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)


@pytest.fixture
def ada(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Person:
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    with engine.begin() as conn:
        return people.create_user(
            conn,
            username="ada",
            name="Ada",
            role="analyst",
            password="four unrelated words",
            now=NOW,
        )


def start(engine: Engine, person: Person, now: datetime = NOW, agent: str = "") -> str:
    with engine.begin() as conn:
        return sessions.start(conn, person.id, now=now, user_agent=agent)


def read(engine: Engine, token: str, now: datetime = NOW) -> sessions.Session | None:
    with engine.connect() as conn:
        return sessions.read(conn, token, now=now)


def test_a_session_knows_its_person(engine, ada):
    session = read(engine, start(engine, ada, agent="Firefox"))
    assert (session.person, session.user_agent) == (ada, "Firefox")


def test_a_session_without_an_account_is_a_guest_s(engine):
    assert read(engine, start(engine, GUEST)).person == GUEST


@pytest.mark.parametrize("token", ["", "guess", "\x00", "☃"])
def test_an_unknown_token_is_nobody(engine, ada, token):
    start(engine, ada)
    assert read(engine, token) is None


def test_the_stored_digest_is_no_key(engine, ada):
    session = read(engine, start(engine, ada))
    assert read(engine, session.id) is None


def test_every_sign_in_has_a_token_of_its_own(engine, ada):
    assert len({start(engine, ada) for _ in range(3)}) == 3


def test_a_session_goes_idle_after_a_day_without_use(engine, ada):
    token = start(engine, ada)
    assert read(engine, token, NOW + timedelta(hours=24, seconds=-1))
    assert read(engine, token, NOW + timedelta(hours=24)) is None


def test_limits_that_are_set_count_for_sessions_that_began_before(engine, ada):
    token = start(engine, ada)
    for limits in (Limits(idle=timedelta(hours=1)), Limits(lifetime=timedelta(hours=1))):
        with engine.connect() as conn:
            soon, late = NOW + timedelta(minutes=59), NOW + timedelta(hours=1)
            assert sessions.read(conn, token, now=soon, limits=limits)
            assert sessions.read(conn, token, now=late, limits=limits) is None
            assert sessions.count_sessions(conn, now=late, limits=limits) == {}


def test_use_keeps_a_session_from_going_idle_but_not_beyond_a_month(engine, ada):
    token = start(engine, ada)
    with engine.begin() as conn:
        for hours in range(23, 30 * 24, 23):
            now = NOW + timedelta(hours=hours)
            sessions.mark_seen(conn, sessions.read(conn, token, now=now), now=now)
    assert read(engine, token, NOW + timedelta(days=30, seconds=-1))
    assert read(engine, token, NOW + timedelta(days=30)) is None


def test_an_ended_session_is_over_and_can_be_ended_again(engine, ada):
    token, other = start(engine, ada), start(engine, ada)
    for _ in range(2):
        with engine.begin() as conn:
            sessions.end(conn, token)
    assert read(engine, token) is None
    assert read(engine, other)


def signs(engine: Engine) -> list[tuple[str, str, object]]:
    """Who signed in and out, the first one first."""
    with engine.connect() as conn:
        told = audit.list_changes(conn)[::-1]
    return [(one.by, one.action, one.after) for one in told if one.action.startswith("sign")]


def test_signing_in_and_out_is_written_down_with_how_and_guests_are_not(engine, ada):
    key = Sealer([Fernet.generate_key().decode()])

    def come_and_go(person: Person) -> None:
        with engine.begin() as conn:
            token = sessions.start(conn, person.id, now=NOW)
            sessions.note_sign_in(conn, token, now=NOW)
        for _ in range(2):
            with engine.begin() as conn:
                sessions.end(conn, token, now=NOW)

    come_and_go(GUEST)
    assert signs(engine) == []
    come_and_go(ada)
    with engine.begin() as conn:
        secret = second_factor.begin(conn, ada.id, key, now=NOW)
        second_factor.confirm(conn, ada, pyotp.TOTP(secret).at(NOW), key, now=NOW)
    come_and_go(ada)
    with engine.begin() as conn:
        conn.execute(tables.users.update().values(password_hash=None, issuer="x", subject="y"))
    come_and_go(ada)
    methods = ("password", "password and code", "organisation")
    assert signs(engine) == [
        entry
        for method in methods
        for entry in (("ada", "sign in", {"method": method}), ("ada", "sign out", None))
    ]


def test_signing_out_everywhere_else_spares_this_browser_and_other_people(engine, ada):
    mine, elsewhere, guest = start(engine, ada), start(engine, ada), start(engine, GUEST)
    with engine.begin() as conn:
        assert sessions.end_others(conn, sessions.read(conn, mine, now=NOW), now=NOW) == 1
    assert read(engine, mine)
    assert read(engine, guest)
    assert read(engine, elsewhere) is None


def test_one_session_is_ended_by_its_owner_or_for_them_and_no_other_s(engine, ada):
    mine, elsewhere, guest = start(engine, ada), start(engine, ada), start(engine, GUEST)
    with engine.begin() as conn:
        for token, ended in ((elsewhere, True), (elsewhere, False), (guest, False)):
            asked = sessions.digest(token)
            assert sessions.end_one(conn, ada, asked, by="root", now=NOW) is ended
        assert sessions.count_sessions(conn, now=NOW) == {ada.id: 1}
        assert [one.by for one in audit.list_changes(conn, action="revoke")] == ["root"]
    assert read(engine, mine)
    assert read(engine, guest)


def test_when_somebody_was_last_here_outlives_their_sessions(engine, ada):
    token = start(engine, ada)
    with engine.begin() as conn:
        later = NOW + timedelta(hours=1)
        sessions.mark_seen(conn, sessions.read(conn, token, now=later), now=later)
        people.end_sessions(conn, "ada", now=later)
        assert people.find_account(conn, "ada").seen_at == later


def test_a_role_that_is_changed_counts_at_the_next_look(engine, ada):
    token = start(engine, ada)
    with engine.begin() as conn:
        people.set_role(conn, "ada", "trader", now=NOW)
    assert read(engine, token).person.role == "trader"


def test_a_session_that_begins_after_its_person_was_disabled_is_nobody_s(engine, ada):
    with engine.begin() as conn:
        people.disable(conn, "ada", now=NOW)
    assert read(engine, start(engine, ada)) is None


def test_own_sessions_are_listed_by_their_last_use(engine, ada):
    start(engine, ada, agent="old")
    start(engine, ada, now=NOW + timedelta(hours=1), agent="new")
    start(engine, GUEST)
    with engine.connect() as conn:
        held = sessions.list_sessions(conn, ada.id, now=NOW + timedelta(hours=2))
    assert [session.user_agent for session in held] == ["new", "old"]


def test_stale_sessions_are_swept_out_when_a_new_one_starts(engine, ada):
    start(engine, ada)
    start(engine, ada, now=NOW + timedelta(hours=24))
    with engine.connect() as conn:
        assert len(conn.execute(select(tables.sessions)).all()) == 1
