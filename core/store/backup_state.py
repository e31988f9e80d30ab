"""How backups are doing, as whoever makes them last wrote it down: one row of `meta`.

It is in the database of people, which an installation has one of.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from core.store.database import dump_json
from core.store.tables import meta, users

_KEY = "backup"
_TIMES = {"made_at", "failed_at", "running_since", "heard_at"}
# Whoever makes one says so at least this often.
_SILENT_AFTER = timedelta(minutes=10)


@dataclass(frozen=True)
class BackupState:
    """The newest backup (``made_at`` is the moment that it shows), the newest failure, and the one
    that is being made, with how much is done of how many bytes.

    ``missed_since`` is when the first person came, where no backup was ever made.
    """

    name: str | None = None
    place: str | None = None
    made_at: datetime | None = None
    missed_since: datetime | None = None
    bytes: int = 0
    seconds: float = 0.0
    encrypted: bool = False
    kept: int = 0
    kept_bytes: int = 0
    failed_at: datetime | None = None
    failure: str | None = None
    running_since: datetime | None = None
    heard_at: datetime | None = None
    doing: str = ""
    done: int = 0
    of: int = 0

    @property
    def fails(self) -> bool:
        """Whether the newest attempt failed."""
        return self.failed_at is not None and (
            self.made_at is None or self.failed_at > self.made_at
        )

    def is_running(self, now: datetime) -> bool:
        """Whether one is being made, by somebody who is heard of."""
        return self.heard_at is not None and now - self.heard_at < _SILENT_AFTER


def load_backup_state(conn: Connection) -> BackupState:
    """What was written down; nothing is known where no backup was ever tried."""
    text = conn.scalar(select(meta.c.value).where(meta.c.key == _KEY))
    if text is None:
        return BackupState(missed_since=_beginning(conn))
    known = {field.name for field in fields(BackupState)}
    told: dict[str, Any] = {k: v for k, v in orjson.loads(text).items() if k in known}
    for name in _TIMES & set(told):
        told[name] = None if told[name] is None else datetime.fromisoformat(told[name])
    state = BackupState(**told)
    return replace(state, missed_since=_beginning(conn) if state.made_at is None else None)


def _beginning(conn: Connection) -> datetime | None:
    found: datetime | None = conn.scalar(select(func.min(users.c.created_at)))
    return found


def note_backup(conn: Connection, **changes: Any) -> None:
    """Write down what has changed of a `BackupState`."""
    state = replace(load_backup_state(conn), **changes)
    text = dump_json({k: v for k, v in asdict(state).items() if k != "missed_since"})
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(meta)
    statement = insert.values(key=_KEY, value=text)
    conn.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": text}))
