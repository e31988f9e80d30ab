"""Opening a database: make it, bring it to the newest schema, and hold it to one market."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, select
from sqlalchemy.engine import make_url

from core.errors import StoreError
from core.store.database import open_database
from core.store.tables import meta, metadata


def open_store(url: str, market: str | None = None) -> Engine:
    """Engine for the database at ``url``, migrated; a missing SQLite file and its folder are made.

    With ``market`` (the key of a `Market`) the database is claimed for it, and refused with
    `StoreError` when it already holds another.
    """
    file = make_url(url).database if url.startswith("sqlite") else None
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = open_database(url)
    metadata.create_all(engine)
    if market is not None:
        with engine.begin() as conn:
            claim_market(conn, market)
    return engine


def claim_market(conn: Connection, market: str) -> None:
    """Write down which market the database holds, once; `StoreError` if it holds another."""
    held = conn.scalar(select(meta.c.value).where(meta.c.key == "market"))
    if held is None:
        conn.execute(meta.insert().values(key="market", value=market))
    elif held != market:
        raise StoreError(
            f"This database holds the market {held} and cannot also hold {market}: "
            "set DATABASE_URL to another database."
        )
