"""DBOS's own tables, read from beside it: which pieces of work wait, run, or ended in an error.

They lie in a schema of their own on PostgreSQL, and in a file beside the database on SQLite.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from core.errors import StoreError

# A piece of work that ended well is of no interest here.
STATES = ("PENDING", "ENQUEUED", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_QUERY = (
    "SELECT name, status, count(*), min(created_at) FROM {table} WHERE status IN ("
    + ", ".join(f"'{state}'" for state in STATES)
    + ") GROUP BY name, status ORDER BY name, status"
)


@dataclass(frozen=True)
class Work:
    """How many pieces of work of one name are in one of `STATES`, and since when the oldest is."""

    name: str
    state: str
    count: int
    since: datetime


def bookkeeping_url(engine: Engine) -> str:
    """Where DBOS keeps its tables for the database of ``engine``.

    >>> from core.store.database import open_database
    >>> bookkeeping_url(open_database("sqlite:////data/live.sqlite"))
    'sqlite:////data/live.jobs.sqlite'
    """
    url = engine.url
    if engine.dialect.name == "sqlite":
        url = url.set(database=str(_file(engine)))
    return url.render_as_string(hide_password=False)


def load_work(conn: Connection) -> list[Work]:
    """What waits, runs or ended in an error; nothing where no worker has ever run."""
    rows = _from_file(_file(conn.engine)) if conn.dialect.name == "sqlite" else _from_schema(conn)
    return [
        Work(name, state, count, datetime.fromtimestamp(since / 1000, UTC))
        for name, state, count, since in rows
    ]


def _file(engine: Engine) -> Path:
    return Path(str(engine.url.database)).with_suffix(".jobs.sqlite")


def _from_file(path: Path) -> list[Any]:
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
            if not conn.execute("PRAGMA table_info(workflow_status)").fetchall():
                return []
            return conn.execute(_QUERY.format(table="workflow_status")).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"{path.name} cannot be read ({error}).") from error


def _from_schema(conn: Connection) -> list[Any]:
    if conn.scalar(text("SELECT to_regclass('dbos.workflow_status')")) is None:
        return []
    return list(conn.execute(text(_QUERY.format(table="dbos.workflow_status"))))
