"""Leases: one holder at a time, for a time, so that what a dead process held becomes free."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, case, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from core.store.tables import leases

# A worker holds a lease of its own name, with this before it, for as long as it is alive.
WORKER = "worker "


def take_lease(conn: Connection, name: str, holder: str, now: datetime, length: timedelta) -> bool:
    """Take a lease that is free, or prolong one's own; whether ``holder`` has it from now on."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(leases)
    statement = insert.values(name=name, holder=holder, taken_at=now, held_until=now + length)
    taken = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "holder": holder,
            "held_until": now + length,
            # A holder that comes again has had it since it came first.
            "taken_at": case((leases.c.holder == holder, leases.c.taken_at), else_=now),
        },
        where=or_(leases.c.holder == holder, leases.c.held_until <= now),
    )
    return conn.execute(taken.returning(leases.c.holder)).scalar() == holder


def drop_lease(conn: Connection, name: str, holder: str) -> None:
    """Give a lease back; nothing where another has it."""
    conn.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


def load_leases(conn: Connection, prefix: str, now: datetime) -> Mapping[str, str]:
    """The holder of every lease that is held now and whose name begins with ``prefix``."""
    query = select(leases.c.name, leases.c.holder).where(
        leases.c.name.startswith(prefix, autoescape=True), leases.c.held_until > now
    )
    return {row.name: row.holder for row in conn.execute(query)}


def load_holdings(conn: Connection, now: datetime) -> pd.DataFrame:
    """Every lease that is held now: holder, taken_at and held_until, index name, sorted."""
    query = select(leases).where(leases.c.held_until > now).order_by(leases.c.name)
    rows = conn.execute(query).mappings().all()
    return pd.DataFrame(rows, columns=[column.name for column in leases.c]).set_index("name")


def worker_leases(conn: Connection) -> list[datetime]:
    """Until when each worker was alive that has not said goodbye."""
    query = select(leases.c.held_until).where(leases.c.name.startswith(WORKER, autoescape=True))
    return list(conn.scalars(query))
