"""What opens the product to a person, ended: their sessions, tickets to new ones, and keys of programs.

Whoever calls it writes it down.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from core.store.tables import api_keys, sessions, tickets


def end_sessions(conn: Connection, user_id: int | None, *, keep: str = "") -> int:
    """End a person's sessions, but the one whose id is ``keep``; how many.

    A ticket would open another one, so those that were not shown yet are worth nothing any more. Guests
    have no id, and what one of them does is not done to all.
    """
    if user_id is None:
        return 0
    drop_tickets(conn, user_id)
    mine = (sessions.c.user_id == user_id) & (sessions.c.token_hash != keep)
    return conn.execute(sessions.delete().where(mine)).rowcount


def drop_tickets(conn: Connection, user_id: int) -> None:
    """Make sign-ins of a person worthless that are on their way from the page to the cookie."""
    conn.execute(tickets.delete().where(tickets.c.user_id == user_id))


def revoke_keys(conn: Connection, user_id: int | None, *, now: datetime) -> int:
    """Revoke what keys of a person are neither revoked nor expired; how many."""
    held = api_keys.update().where(_held(user_id, now))
    return conn.execute(held.values(revoked_at=now)).rowcount


def count_keys(conn: Connection, user_id: int | None, *, now: datetime) -> int:
    """How many keys of a person are neither revoked nor expired."""
    return conn.scalar(select(func.count()).where(_held(user_id, now))) or 0


def _held(user_id: int | None, now: datetime) -> ColumnElement[bool]:
    return (
        (api_keys.c.user_id == user_id)
        & api_keys.c.revoked_at.is_(None)
        & (api_keys.c.expires_at > now)
    )
