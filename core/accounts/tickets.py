"""Tickets carry a sign-in from a page, which cannot set a cookie, to the route that can."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from core.accounts.tokens import digest, new_token
from core.store.tables import tickets

LIFETIME = timedelta(seconds=20)


@dataclass(frozen=True)
class Ticket:
    """Who signed in (None: a guest) and the page of this site they were on their way to."""

    user_id: int | None
    next_path: str


def issue(
    conn: Connection, *, user_id: int | None, browser: str, next_path: str, now: datetime
) -> str:
    """A ticket for the browser that holds the token ``browser``, good once and for seconds."""
    conn.execute(tickets.delete().where(tickets.c.expires_at <= now))
    ticket = new_token()
    conn.execute(
        tickets.insert().values(
            ticket_hash=digest(ticket),
            browser_hash=digest(browser),
            user_id=user_id,
            next_path=next_path,
            expires_at=now + LIFETIME,
        )
    )
    return ticket


def redeem(conn: Connection, ticket: str, *, browser: str, now: datetime) -> Ticket | None:
    """What the ticket says, or None: used, too late, or shown by another browser.

    Whoever shows a ticket uses it up, right or wrong.
    """
    mine = tickets.c.ticket_hash == digest(ticket)
    row = conn.execute(select(tickets).where(mine)).first()
    taken = conn.execute(tickets.delete().where(mine)).rowcount
    if row is None or not taken or row.expires_at <= now:
        return None
    if not hmac.compare_digest(row.browser_hash, digest(browser)):
        return None
    return Ticket(row.user_id, row.next_path)
