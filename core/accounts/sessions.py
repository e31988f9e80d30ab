"""Sessions: the browser holds a random token, the database decides on every run what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    not_,
    or_,
    select,
)

from core.accounts import ending
from core.accounts.people import GUEST, Person, note_change
from core.accounts.tokens import digest, new_token
from core.store.tables import second_factors, sessions, users

# A session is marked as seen at most this often, so that reading a page does not write each time.
SEEN_EVERY = timedelta(minutes=5)
# A time, or the place of one in a question that is put together once.
Moment = datetime | BindParameter[Any]


@dataclass(frozen=True)
class Limits:
    """How long a session holds: ``idle`` without use, ``lifetime`` with it."""

    idle: timedelta = timedelta(hours=24)
    lifetime: timedelta = timedelta(days=30)


LIMITS = Limits()


@dataclass(frozen=True)
class Session:
    """A session that holds at the moment it was read; ``id`` is the digest of its token.

    ``password`` and ``factor`` say whether its person has one: who is signed in by an organisation has
    no password, and its factors are the organisation's.
    """

    id: str
    person: Person
    created_at: datetime
    seen_at: datetime
    user_agent: str
    password: bool = True
    factor: bool = False


def start(
    conn: Connection,
    user_id: int | None,
    *,
    now: datetime,
    user_agent: str = "",
    limits: Limits = LIMITS,
) -> str:
    """The token of a new session; without a user it is a guest's. Stale sessions are swept out."""
    conn.execute(sessions.delete().where(not_(_fresh(**_moments(now, limits)))))
    token = new_token()
    conn.execute(
        sessions.insert().values(
            token_hash=digest(token),
            user_id=user_id,
            created_at=now,
            seen_at=now,
            expires_at=now + limits.lifetime,
            user_agent=user_agent[:256],
        )
    )
    _mark_person(conn, user_id, now)
    return token


def read(conn: Connection, token: str, *, now: datetime, limits: Limits = LIMITS) -> Session | None:
    """The session of ``token``, or None: unknown, ended, too old, too long unused, or disabled."""
    values = {"asked_hash": digest(token), **_moments(now, limits)}
    row = conn.execute(_asked(), values).first()
    return None if row is None else _session(row)


def mark_seen(conn: Connection, session: Session, *, now: datetime) -> None:
    """Note that the session is in use, which keeps it from going idle."""
    conn.execute(sessions.update().where(sessions.c.token_hash == session.id).values(seen_at=now))
    _mark_person(conn, session.person.id, now)


def list_sessions(
    conn: Connection, user_id: int, *, now: datetime, limits: Limits = LIMITS
) -> list[Session]:
    """The sessions of a person that hold, newest use first."""
    asked = _joined().where(sessions.c.user_id == user_id, _alive(now, limits))
    return [_session(row) for row in conn.execute(asked.order_by(sessions.c.seen_at.desc()))]


def note_sign_in(conn: Connection, token: str, *, now: datetime, limits: Limits = LIMITS) -> None:
    """Write down that a person signed in to the session of ``token``, and by what; guests are nobody."""
    session = read(conn, token, now=now, limits=limits)
    if session is None or session.person.guest:
        return
    method = "password and code" if session.factor else "password"
    if not session.password:
        method = "organisation"
    who = session.person
    note_change(conn, who, "sign in", who.username, now, after={"method": method})


def end(conn: Connection, token: str, *, now: datetime | None = None) -> None:
    """End the session of ``token``, which is written down as signing out; one that is over already
    stays over. ``now`` is the present unless it is given."""
    mine = sessions.c.token_hash == digest(token)
    row = conn.execute(_joined().where(mine)).first()
    ended = conn.execute(sessions.delete().where(mine)).rowcount
    if row is not None and row.user_id is not None and ended:
        who = _session(row).person
        note_change(conn, who, "sign out", who.username, now or datetime.now(UTC))


def end_one(conn: Connection, person: Person, session_id: str, *, by: str, now: datetime) -> bool:
    """End one session of a person, which is noted; False if it is over already or somebody else's."""
    mine = (sessions.c.user_id == person.id) & (sessions.c.token_hash == session_id)
    ended = conn.execute(sessions.delete().where(mine)).rowcount
    return _noted(conn, person, ended, by, now) > 0


def end_others(conn: Connection, session: Session, *, now: datetime) -> int:
    """End every session of this person but the given one, which is noted; how many that were."""
    who = session.person
    ended = ending.end_sessions(conn, who.id, keep=session.id)
    return _noted(conn, who, ended, who.username, now)


def count_sessions(conn: Connection, *, now: datetime, limits: Limits = LIMITS) -> dict[int, int]:
    """How many sessions hold, by person."""
    held = _joined().where(_alive(now, limits), sessions.c.user_id.is_not(None)).subquery()
    counted = select(held.c.user_id, func.count()).group_by(held.c.user_id)
    return {row[0]: row[1] for row in conn.execute(counted)}


def _noted(conn: Connection, person: Person, ended: int, by: str, now: datetime) -> int:
    if ended:
        note_change(conn, person, "revoke", by, now, after={"sessions_ended": ended})
    return ended


def _mark_person(conn: Connection, user_id: int | None, now: datetime) -> None:
    """A person's last use outlives the session."""
    conn.execute(users.update().where(users.c.id == user_id).values(seen_at=now))


def _joined() -> Select[Any]:
    person = (users.c.username, users.c.name, users.c.role, users.c.password_hash)
    factor = second_factors.c.confirmed_at.label("factor_at")
    return (
        select(sessions, *person, factor)
        .outerjoin(users, users.c.id == sessions.c.user_id)
        .outerjoin(second_factors, second_factors.c.user_id == users.c.id)
    )


@cache
def _asked() -> Select[Any]:
    """The question of `read`, which every run of a page asks: to put it together takes most of that."""
    names = ("ends_after", "begun_after", "used_after")
    moments: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in names}
    return _joined().where(sessions.c.token_hash == bindparam("asked_hash"), _enabled(**moments))


def _moments(now: datetime, limits: Limits) -> dict[str, datetime]:
    # Its end was set when it began; limits that are narrower now count for it too.
    return {
        "ends_after": now,
        "begun_after": now - limits.lifetime,
        "used_after": now - limits.idle,
    }


def _fresh(ends_after: Moment, begun_after: Moment, used_after: Moment) -> ColumnElement[bool]:
    return and_(
        sessions.c.expires_at > ends_after,
        sessions.c.created_at > begun_after,
        sessions.c.seen_at > used_after,
    )


def _enabled(**moments: Moment) -> ColumnElement[bool]:
    return and_(_fresh(**moments), or_(sessions.c.user_id.is_(None), users.c.disabled.is_(False)))


def _alive(now: datetime, limits: Limits) -> ColumnElement[bool]:
    return _enabled(**_moments(now, limits))


def _session(row: Row[Any]) -> Session:
    person = GUEST
    if row.user_id is not None:
        person = Person(row.user_id, row.username, row.name, row.role)
    return Session(
        row.token_hash,
        person,
        row.created_at,
        row.seen_at,
        row.user_agent,
        password=row.password_hash is not None,
        factor=row.factor_at is not None,
    )
