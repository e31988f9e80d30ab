"""One schema on two databases: SQLite (WAL) embedded, or PostgreSQL by address."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

import orjson
from sqlalchemy import Connection, DateTime, Dialect, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from core.errors import StoreError


def dump_json(value: Any) -> str:
    """Canonical JSON: sorted keys, numbers that read back to the last bit.

    >>> dump_json({"b": 0.1, "a": [1, "x"]})
    '{"a":[1,"x"],"b":0.1}'
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


_LOCK_WAIT_S = 30
# Seconds to connect, and milliseconds until a server that is no longer reached counts as gone.
_PATIENCE = {"connect_timeout": 5, "tcp_user_timeout": 10_000}
_JSON: dict[str, Any] = {"json_serializer": dump_json, "json_deserializer": orjson.loads}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC on both databases; a naive one is refused instead of guessed."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise StoreError(f"{value} has no time zone; store times in UTC")
        return value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def hold(conn: Connection, lock: int) -> None:
    """Be the only holder of a lock, any number, until the transaction ends. SQLite has one for all."""
    if conn.dialect.name == "sqlite":
        # Any write takes it; this one changes nothing.
        conn.exec_driver_sql("UPDATE meta SET value = value WHERE key = 'market'")
    else:
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


def open_database(url: str) -> Engine:
    """Engine for ``url``: ``sqlite:///path`` or ``postgresql://...`` (spoken through psycopg 3).

    SQLite is opened with write-ahead logging, foreign keys and a wait of half a minute for a lock.

    >>> open_database("postgresql://host/name").dialect.driver
    'psycopg'
    """
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, **_JSON)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    if parsed.drivername == "postgresql+psycopg":
        patience = {name: _PATIENCE[name] for name in _PATIENCE if name not in parsed.query}
        pool: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 5, "max_overflow": 10}
        # The connection that was used last knows the statements that come again.
        pool["pool_use_lifo"] = True
        return create_engine(parsed, connect_args=patience, **pool, **_JSON)
    raise StoreError(
        f"DATABASE_URL starts with {parsed.drivername}; write sqlite:///FILE or postgresql://..."
    )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_LOCK_WAIT_S * 1000}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # Without it REPLACE deletes the row in its way unasked; see `core.store.append_only`.
    cursor.execute("PRAGMA recursive_triggers=ON")
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Turn write-ahead logging on; a new file is turned once, and SQLite does not wait for that."""
    deadline = monotonic() + _LOCK_WAIT_S
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if monotonic() > deadline:
                raise
            sleep(0.02)
