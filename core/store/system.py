"""The database about itself: what it holds, how large it is, and which schema it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select, text

from core.store.opening import market_of
from core.store.tables import metadata


@dataclass(frozen=True)
class About:
    """``size_bytes`` is on disk, of SQLite with its log; ``market`` the key of a `Market`.

    ``rows`` are by table. Where ``rows_are_about`` they are what PostgreSQL's statistics say, and
    None where it has not looked at a table yet.
    """

    kind: str
    size_bytes: int
    revision: str | None
    market: str | None
    rows: dict[str, int | None]
    rows_are_about: bool


def load_about(conn: Connection) -> About:
    """What the database says of itself; counting is exact on SQLite only."""
    sqlite = conn.dialect.name == "sqlite"
    return About(
        "SQLite" if sqlite else "PostgreSQL",
        _sqlite_bytes(conn) if sqlite else _postgres_bytes(conn),
        conn.scalar(text("SELECT version_num FROM alembic_version")),
        market_of(conn),
        _sqlite_rows(conn) if sqlite else _postgres_rows(conn),
        rows_are_about=not sqlite,
    )


def _sqlite_rows(conn: Connection) -> dict[str, int | None]:
    return {
        table.name: conn.scalar(select(func.count()).select_from(table))
        for table in metadata.sorted_tables
    }


def _postgres_rows(conn: Connection) -> dict[str, int | None]:
    """From the last vacuum or analysis, or where there was none from what was counted since."""
    query = text(
        "SELECT c.relname, CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE s.n_live_tup END "
        "FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid "
        "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace"
    )
    found = {name: None if rows is None else int(rows) for name, rows in conn.execute(query)}
    return {table.name: found.get(table.name) for table in metadata.sorted_tables}


def _sqlite_bytes(conn: Connection) -> int:
    pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
    size: int = pages * conn.exec_driver_sql("PRAGMA page_size").scalar_one()
    log = Path(f"{conn.engine.url.database}-wal")
    return size + (log.stat().st_size if log.exists() else 0)


def _postgres_bytes(conn: Connection) -> int:
    size: int = conn.scalar(text("SELECT pg_database_size(current_database())")) or 0
    return size
