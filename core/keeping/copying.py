"""Copies of databases as they are at one moment, while others go on writing to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import make_url

from core.errors import BackupError
from core.keeping import postgres
from core.keeping.manifest import Database, Kind
from core.market.choice import ACCOUNTS
from core.settings import Settings
from core.store import ledger as chain
from core.store.database import open_database
from core.store.opening import market_of
from core.store.tables import ledger, meta

_PAGES = 2_048  # copied between two looks at how far it is
_JOBS = ".jobs"  # the worker's bookkeeping, in a file beside a database
DUMP = "database.dump"

# What is copied, how much of it is done, and of how much; 0 where that is not known.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Source:
    """A database to copy: a SQLite file under the name that it has in a backup, or a PostgreSQL."""

    member: str
    path: Path | None = None
    url: str = ""

    @property
    def is_bookkeeping(self) -> bool:
        return self.member.endswith(f"{_JOBS}.sqlite")


def kind_of(settings: Settings) -> Kind:
    """How an installation keeps its databases."""
    if settings.database_url is None:
        return "folder"
    backend = make_url(settings.database_url).get_backend_name()
    return "sqlite" if backend == "sqlite" else "postgresql"


def sources_of(settings: Settings) -> list[Source]:
    """Every database of an installation, the worker's bookkeeping before that which it is of.

    A piece of work that the bookkeeping does not know to be done is done again, which changes nothing;
    the other way about it would be left undone.
    """
    kind = kind_of(settings)
    if kind == "postgresql":
        return [Source(DUMP, url=settings.database_url or "")]
    if kind == "folder":
        files = sorted(settings.data_dir.glob("*.sqlite"), key=_order)
        return [Source(f"databases/{path.name}", path) for path in files]
    path = _file_of(settings)
    pairs = {
        f"database{_JOBS}.sqlite": path.with_suffix(f"{_JOBS}.sqlite"),
        "database.sqlite": path,
    }
    return [Source(f"databases/{name}", one) for name, one in pairs.items() if one.is_file()]


def place_of(settings: Settings, member: str) -> Path:
    """Where a SQLite file of a backup belongs."""
    name = member.removeprefix("databases/")
    if kind_of(settings) == "folder":
        return settings.data_dir / name
    path = _file_of(settings)
    return path.with_suffix(f"{_JOBS}.sqlite") if name.endswith(f"{_JOBS}.sqlite") else path


def _file_of(settings: Settings) -> Path:
    return Path(str(make_url(settings.database_url or "").database)).absolute()


def _order(path: Path) -> tuple[str, bool, bool]:
    """By market, people last, as what they did may be in the markets' files too."""
    bookkeeping = path.stem.endswith(_JOBS)
    name = path.stem.removesuffix(_JOBS)
    return ("~" if name == ACCOUNTS else name), not bookkeeping, bookkeeping


def copy(source: Source, target: Path, folder: Path, progress: Progress) -> Database | None:
    """Copy a database to ``target``; what it is at that moment. None for the bookkeeping."""
    if source.path is None:
        return _dump(source, target, folder, progress)
    name = source.path.name
    _copy_sqlite(source.path, target, lambda done, of: progress(name, done, of))
    if source.is_bookkeeping:
        return None
    with opened(target) as conn:
        return describe(conn, source.member)


def _copy_sqlite(path: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """By SQLite's online backup, within one transaction: writers go on, and it never begins anew."""
    try:
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as source,
            closing(sqlite3.connect(target)) as copied,
        ):
            source.isolation_level = None
            source.execute("PRAGMA busy_timeout=30000")
            size = source.execute("PRAGMA page_size").fetchone()[0]
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(
                copied,
                pages=_PAGES,
                progress=lambda _, left, of: progress((of - left) * size, of * size),
            )
            source.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise BackupError(f"{path} cannot be copied: {error}.") from error


def _dump(source: Source, target: Path, folder: Path, progress: Progress) -> Database:
    """By pg_dump, of the very snapshot in which the head of the ledger is read."""
    engine = open_database(source.url)
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn:
            told = describe(conn, source.member)
            snapshot = conn.scalar(text("SELECT pg_export_snapshot()"))
            postgres.dump(
                engine.url,
                str(snapshot),
                target,
                lambda size: progress("database", size, 0),
                folder,
            )
        return told
    finally:
        engine.dispose()


def describe(conn: Connection, member: str) -> Database:
    """What a database is, of whatever schema; `BackupError` where it is none of ours."""
    there = inspect(conn)
    if not there.has_table("alembic_version"):
        raise BackupError(f"{_name(conn.engine)} is no database of CryptoSatX: it has no schema.")
    length, head = chain.head(conn) if there.has_table(ledger.name) else (0, chain.GENESIS)
    return Database(
        file=member,
        market=market_of(conn) if there.has_table(meta.name) else None,
        schema_revision=str(conn.scalar(text("SELECT version_num FROM alembic_version"))),
        length=length,
        head=head.hex(),
    )


def _name(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


@contextmanager
def opened(path: Path) -> Iterator[Connection]:
    """A connection to a copy; nothing is left of it afterwards."""
    engine = open_database(f"sqlite:///{path}")
    try:
        with engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()


def sizes(sources: list[Source]) -> Iterator[int]:
    """Bytes of each file to copy, with what waits in its log."""
    for source in sources:
        if source.path is not None:
            log = source.path.with_name(source.path.name + "-wal")
            yield source.path.stat().st_size + (log.stat().st_size if log.exists() else 0)
