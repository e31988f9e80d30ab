"""The first administrator: made once, with a token that only the terminals of servers show."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from core.accounts import people
from core.accounts.people import SETUP_KEY, Person
from core.accounts.tokens import digest, new_token
from core.errors import AccessDenied
from core.store.database import hold
from core.store.tables import meta

LASTS = timedelta(days=7)
_LOCK = 7_267_283_029


def new_setup_token(conn: Connection, *, now: datetime) -> str | None:
    """Another token beside those of other servers; None if somebody has an account already."""
    if people.any_people(conn):
        people.forget_setup(conn)
        return None
    found = conn.execute(select(meta).where(meta.c.key.startswith(SETUP_KEY, autoescape=True)))
    stale = [row.key for row in found if not _is_good(row.value, now)]
    conn.execute(meta.delete().where(meta.c.key.in_(stale)))
    token = new_token()
    held = {"key": _key(token), "value": f"{digest(token)} {now.isoformat()}"}
    conn.execute(meta.insert().values(held))
    return token


def create_first_admin(
    conn: Connection, token: str, *, username: str, name: str, password: str, now: datetime
) -> Person:
    """The first administrator, for whoever holds a token; all tokens die in the same transaction."""
    hold(conn, _LOCK)  # Of two who hold one each, the second one finds the first one's account.
    token = token.strip()
    value = conn.scalar(select(meta.c.value).where(meta.c.key == _key(token))) or ""
    good = value.startswith(f"{digest(token)} ") and _is_good(value, now)
    if not good or people.any_people(conn):
        raise AccessDenied(
            "That is not a token in the terminal, or it is too old: copy it from there. Each start of a "
            f"server prints one until somebody has an account, and it is good for {LASTS.days} days."
        )
    return people.create_user(
        conn,
        username=username,
        name=name,
        role="admin",
        password=password,
        now=now,
        by=people.clean_username(username),
    )


def _key(token: str) -> str:
    return f"{SETUP_KEY} {digest(token)[:32]}"


def _is_good(value: str, now: datetime) -> bool:
    """Whether a token is young enough; one that an older version left says no time, and is not."""
    _, _, made_at = value.partition(" ")
    return bool(made_at) and now - datetime.fromisoformat(made_at) < LASTS
