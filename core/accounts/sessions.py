"""Sessions: the browser holds a random token, the database decides on every run what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select

from core.accounts.people import GUEST, Person
from core.accounts.tokens import digest, new_token
from core.store import audit
from core.store.tables import sessions, users

IDLE = timedelta(days=7)
LIFETIME = timedelta(days=30)
# A session is marked as seen at most this often, so that reading a page does not write each time.
SEEN_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class Session:
    """A session that holds at the moment it was read; ``id`` is the digest of its token."""

    id: str
    person: Person
    created_at: datetime
    seen_at: datetime
    user_agent: str


def start(conn: Connection, user_id: int | None, *, now: datetime, user_agent: str = "") -> str:
    """The token of a new session; without a user it is a guest's. Stale sessions are swept out."""
    conn.execute(sessions.delete().where(sessions.c.expires_at <= now))
    conn.execute(sessions.delete().where(sessions.c.seen_at <= now - IDLE))
    token = new_token()
    conn.execute(
        sessions.insert().values(
            token_hash=digest(token),
            user_id=user_id,
            created_at=now,
            seen_at=now,
            expires_at=now + LIFETIME,
            user_agent=user_agent[:256],
        )
    )
    return token


def read(conn: Connection, token: str, *, now: datetime) -> Session | None:
    """The session of ``token``, or None: unknown, ended, too old, too long unused, or disabled."""
    asked = _joined().where(sessions.c.token_hash == digest(token), _alive(now))
    row = conn.execute(asked).first()
    return None if row is None else _session(row)


def mark_seen(conn: Connection, session: Session, *, now: datetime) -> None:
    """Note that the session is in use, which keeps it from going idle."""
    conn.execute(sessions.update().where(sessions.c.token_hash == session.id).values(seen_at=now))


def list_sessions(conn: Connection, user_id: int, *, now: datetime) -> list[Session]:
    """The sessions of a person that hold, newest use first."""
    asked = _joined().where(sessions.c.user_id == user_id, _alive(now))
    return [_session(row) for row in conn.execute(asked.order_by(sessions.c.seen_at.desc()))]


def end(conn: Connection, token: str) -> None:
    """End the session of ``token``; one that is over already stays over."""
    conn.execute(sessions.delete().where(sessions.c.token_hash == digest(token)))


def end_others(conn: Connection, session: Session, *, now: datetime) -> int:
    """End every session of this person but the given one, which is noted; how many that were."""
    others = sessions.delete().where(
        sessions.c.user_id == session.person.id, sessions.c.token_hash != session.id
    )
    ended = conn.execute(others).rowcount
    if ended:
        who = session.person
        audit.note(
            conn,
            at=now,
            by=who.username,
            action="revoke",
            subject="person",
            subject_id=who.id,
            name=who.username,
            after={"sessions_ended": ended},
        )
    return ended


def _joined() -> Select[Any]:
    person = (users.c.username, users.c.name, users.c.role)
    return select(sessions, *person).outerjoin(users, users.c.id == sessions.c.user_id)


def _alive(now: datetime) -> ColumnElement[bool]:
    return and_(
        sessions.c.expires_at > now,
        sessions.c.seen_at > now - IDLE,
        or_(sessions.c.user_id.is_(None), users.c.disabled.is_(False)),
    )


def _session(row: Row[Any]) -> Session:
    person = GUEST
    if row.user_id is not None:
        person = Person(row.user_id, row.username, row.name, row.role)
    return Session(row.token_hash, person, row.created_at, row.seen_at, row.user_agent)
