"""The first administrator: made once, with a token that only the terminal shows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from core.accounts import people
from core.accounts.people import SETUP_KEY, Person
from core.accounts.tokens import digest, new_token
from core.errors import AccessDenied
from core.store.tables import meta


def new_setup_token(conn: Connection) -> str | None:
    """A token that replaces any earlier one; None if somebody has an account already."""
    conn.execute(meta.delete().where(meta.c.key == SETUP_KEY))
    if people.any_people(conn):
        return None
    token = new_token()
    conn.execute(meta.insert().values(key=SETUP_KEY, value=digest(token)))
    return token


def create_first_admin(
    conn: Connection, token: str, *, username: str, name: str, password: str, now: datetime
) -> Person:
    """The first administrator, for whoever holds the token; it dies in the same transaction."""
    held = meta.delete().where(meta.c.key == SETUP_KEY, meta.c.value == digest(token.strip()))
    if not conn.execute(held).rowcount or people.any_people(conn):
        raise AccessDenied(
            "That is not the token in the terminal: copy it from there. It is printed anew at "
            "each start of the server until somebody has an account."
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
