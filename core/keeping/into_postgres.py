"""Bringing a dump back into PostgreSQL: into an empty database, or in place of one that goes aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from core.errors import BackupError
from core.keeping import postgres
from core.keeping.copying import Progress, describe
from core.keeping.manifest import Database
from core.keeping.verified import end_sessions, is_as_told, verify_as_told
from core.settings import Settings
from core.store import open_store
from core.store.database import open_database
from core.store.entries import snapshot
from core.store.verifying import Verified

_MAINTENANCE = "postgres"
_NAME = 37  # characters of a name, as PostgreSQL cuts what has more than 63 with a time behind it
_OWN_SCHEMAS = (
    "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' "
    "AND nspname <> 'information_schema'"
)
_HOLDS = (
    "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema')"
)
_USERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)


def nothing_in_the_way(settings: Settings, *, replace: bool) -> None:
    """`BackupError` where the database holds something that may not be replaced, or is in use."""
    engine = open_database(settings.database_url or "")
    try:
        with engine.connect() as conn:
            holds, name = bool(conn.scalar(text(_HOLDS))), str(engine.url.database)
            users = conn.scalar(text(_USERS), {"name": name}) or 0
    finally:
        engine.dispose()
    if holds and not replace:
        raise BackupError(
            f"The database {name} is not empty. With --replace it is kept under another name, and what is "
            "in the backup takes its place."
        )
    if users:
        raise BackupError(
            f"The database {name} is in use by {users} others: stop the dashboards and the workers first."
        )


class Loading:
    """A dump on its way into the database of the settings.

    It is loaded into a database of its own and takes the other's name when it is verified; only where
    that one is empty anyway, and nothing is rehearsed, straight into it.
    """

    def __init__(self, settings: Settings, folder: Path, stamp: str, progress: Progress) -> None:
        self._target = open_database(settings.database_url or "").url
        self._folder, self._stamp, self._progress = folder, stamp, progress
        self._apart: URL | None = None

    @property
    def _loaded_at(self) -> URL:
        return self._apart or self._target

    @contextmanager
    def loaded(
        self, told: Database, unpacked: Path, *, rehearse: bool
    ) -> Iterator[dict[str, Verified]]:
        """What the loaded copy was verified to be; unless it was put in place nothing is left of it."""
        if rehearse or self._holds_something():
            self._apart = self._make_another()
        kept = False
        try:
            self._progress("database, loaded", 0, 0)
            postgres.load(self._loaded_at, unpacked / told.file, self._folder)
            self._is_as_told(told)
            engine = open_store(_text(self._loaded_at), told.market)
            try:
                with snapshot(engine) as conn:
                    verified = verify_as_told(conn, told, self._progress)
            finally:
                engine.dispose()
            yield {told.file: verified}
            kept = not rehearse
        finally:
            if not kept:
                self._take_back()

    def sign_out(self) -> None:
        """Have nobody signed in to the loaded copy."""
        with _connected(self._loaded_at) as conn, conn.begin():
            end_sessions(conn)

    def put_in_place(self, *, replace: bool) -> str | None:
        """Give the loaded copy the name of the database; the name that the other has from now on."""
        if self._apart is None:
            return None
        if not replace:
            raise BackupError(f"The database {self._target.database} is not empty any more.")
        name, new = str(self._target.database), str(self._apart.database)
        aside = f"{name[:_NAME]}_before_{self._stamp}"
        with self._beside() as conn:
            if users := conn.scalar(text(_USERS), {"name": name}):
                raise BackupError(f"The database {name} is in use by {users} others.")
            _rename(conn, name, aside)
            try:
                _rename(conn, new, name)
            except DBAPIError:
                _rename(conn, aside, name)
                raise
        self._apart = None
        return f"database {aside}"

    def _holds_something(self) -> bool:
        with _connected(self._target) as conn:
            return bool(conn.scalar(text(_HOLDS)))

    def _is_as_told(self, told: Database) -> None:
        with _connected(self._loaded_at) as conn:
            is_as_told(describe(conn, told.file), told)

    def _make_another(self) -> URL:
        name = f"{str(self._target.database)[:_NAME]}_restored_{self._stamp}"
        try:
            with self._beside() as conn:
                conn.execute(text(f"CREATE DATABASE {_quoted(name)} TEMPLATE template0"))
        except DBAPIError as error:
            raise BackupError(
                f"A database to restore into cannot be made beside {self._target.database} "
                f"({str(error.orig).strip()}): make an empty one, and set DATABASE_URL to it."
            ) from error
        return self._target.set(database=name)

    def _take_back(self) -> None:
        """Leave nothing of what was loaded: the database made for it, or all in the empty one."""
        if self._apart is not None:
            with self._beside() as conn:
                name = _quoted(str(self._apart.database))
                conn.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            return
        with _connected(self._target) as conn, conn.begin():
            for schema in list(conn.scalars(text(_OWN_SCHEMAS))):
                conn.execute(text(f"DROP SCHEMA {_quoted(schema)} CASCADE"))
            conn.execute(text("CREATE SCHEMA public"))

    @contextmanager
    def _beside(self) -> Iterator[Connection]:
        """A connection to the server that is in neither of the two databases."""
        engine: Engine = open_database(_text(self._target.set(database=_MAINTENANCE)))
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                yield conn
        finally:
            engine.dispose()


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = open_database(_text(url))
    try:
        with engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _rename(conn: Connection, name: str, to: str) -> None:
    conn.execute(text(f"ALTER DATABASE {_quoted(name)} RENAME TO {_quoted(to)}"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
