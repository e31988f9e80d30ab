"""Reading that ends by itself: what takes too long is broken off in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from core.errors import TookTooLong

# SQLite asks after so many steps of its machine, some hundredths of a second.
_STEPS = 20_000


@contextmanager
def bounded(engine: Engine, until: float) -> Iterator[Connection]:
    """A connection for reading; `TookTooLong` once `time.monotonic` has passed ``until``."""
    left = until - monotonic()
    if left <= 0:
        raise TookTooLong("There was no time left to ask the database.")
    with engine.connect() as conn, _broken_off(conn, until):
        if engine.dialect.name == "sqlite":
            yield conn
        else:
            limit = str(max(1, int(1000 * left)))
            conn.execute(
                text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": limit}
            )
            yield conn


@contextmanager
def _broken_off(conn: Connection, until: float) -> Iterator[None]:
    driver: Any = conn.connection.driver_connection
    sqlite = conn.dialect.name == "sqlite"
    if sqlite:
        driver.set_progress_handler(lambda: monotonic() > until, _STEPS)
    try:
        yield
    except OperationalError as error:
        if monotonic() > until or "statement timeout" in str(error.orig):
            raise TookTooLong("The database took too long to answer.") from error
        raise
    finally:
        if sqlite:
            driver.set_progress_handler(None, 0)
