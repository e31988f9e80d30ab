"""Where people live: in one file beside the markets', or in the database of DATABASE_URL.

People belong to the product and not to a market, so that who is signed in stays so whichever market
is shown.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError

from core.accounts.people import any_people, list_people
from core.market.choice import ACCOUNTS, accounts_url
from core.settings import Settings
from core.store import audit, open_store
from core.store.database import open_database
from core.store.tables import sessions, users

_logger = logging.getLogger(__name__)


class _Found(NamedTuple):
    """An account in a market's file, with the sessions that were open there."""

    person: dict[str, Any]
    sessions: list[dict[str, Any]]


def open_accounts(settings: Settings) -> Engine:
    """The database of people, made where it is missing, with those from before taken over."""
    if settings.database_url is not None:
        return open_store(settings.database_url)
    engine = open_store(accounts_url(settings), ACCOUNTS)
    take_over(engine, settings.data_dir)
    return engine


def may_sign_in(engine: Engine, settings: Settings) -> frozenset[str]:
    """Who may, now; ``engine`` is the market's, where people live too unless each market has a file."""
    shared = settings.database_url is not None
    accounts = engine if shared else open_accounts(settings)
    try:
        with accounts.connect() as conn:
            return frozenset(one.person.username for one in list_people(conn) if not one.disabled)
    finally:
        if not shared:
            accounts.dispose()


def take_over(engine: Engine, folder: Path) -> int:
    """Copy people and their sessions from the markets' files, where they lay before; how many.

    Done only while ``engine`` holds nobody. Of a username in several files the one changed last
    counts, and only the sessions of that one.
    """
    with engine.connect() as conn:
        if any_people(conn):
            return 0
    files = [path for path in sorted(folder.glob("*.sqlite")) if path.stem != ACCOUNTS]
    newest: dict[str, _Found] = {}
    for found in (each for path in files for each in _found_in(path)):
        name = found.person["username"]
        if name not in newest or _changed(found) > _changed(newest[name]):
            newest[name] = found
    with engine.begin() as conn:
        taken = sum(_copy(conn, found, datetime.now(UTC)) for found in newest.values())
    if taken:
        _logger.warning("Accounts are kept in %s now; %d taken over.", engine.url.database, taken)
    return taken


def _found_in(path: Path) -> Iterator[_Found]:
    engine = open_database(f"sqlite:///{path}")
    try:
        with engine.connect() as conn:
            if not inspect(conn).has_table(users.name):
                return
            for person in conn.execute(select(users)).mappings().all():
                mine = select(sessions).where(sessions.c.user_id == person["id"])
                held = [dict(row) for row in conn.execute(mine).mappings()]
                yield _Found({k: v for k, v in person.items() if k != "id"}, held)
    except DatabaseError:
        _logger.exception("Nobody could be taken over from %s.", path)
    finally:
        engine.dispose()


def _changed(found: _Found) -> datetime:
    at: datetime = found.person["updated_at"]
    return at


def _copy(conn: Connection, found: _Found, now: datetime) -> int:
    """Two processes may do this at once: what one has copied the other leaves alone."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(users)
    statement = insert.values(found.person).on_conflict_do_nothing().returning(users.c.id)
    user_id = conn.execute(statement).scalar()
    if user_id is None:
        return 0
    audit.note(
        conn,
        at=now,
        by=audit.START,
        action="take over",
        subject="person",
        subject_id=user_id,
        name=found.person["username"],
        after={name: found.person[name] for name in ("role", "name", "disabled")},
    )
    if found.sessions:
        rows = [{**session, "user_id": user_id} for session in found.sessions]
        conn.execute(sessions.insert(), rows)
    return 1
