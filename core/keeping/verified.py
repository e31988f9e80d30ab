"""What a copy of a database has to be before it takes the place of anything."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, delete

from core.errors import BackupError
from core.keeping.copying import Progress
from core.keeping.manifest import Database
from core.store.tables import sessions
from core.store.verifying import Verified, still_there, unguarded_words, verify


def is_as_told(found: Database, told: Database) -> None:
    """`BackupError` where a database is not the one that the backup says it holds."""
    if found != told:
        raise BackupError(
            f"{told.file} is not what the backup says: its ledger ends with {found.published}, and not "
            f"with {told.published}, or its schema or market is another one."
        )


def verify_as_told(conn: Connection, told: Database, progress: Progress) -> Verified:
    """Walk the ledger of a restored copy, and see that it ends where it did when it was copied."""
    found = verify(
        conn,
        lambda done, of: progress(f"{Path(told.file).name}, verified", done, of),
        with_sums=False,
    )
    fault = found.fault or (unguarded_words(found.unguarded) if found.unguarded else None)
    if fault is None and not still_there(conn, told.published):
        fault = f"The head {told.published} is not in its ledger."
    if fault is not None:
        raise BackupError(f"{told.file} in the backup does not hold: {fault}")
    return found


def end_sessions(conn: Connection) -> None:
    """Have nobody signed in: a session that was ended since the backup would hold again."""
    conn.execute(delete(sessions))
