"""Opening a database: make it, bring it to the newest schema, and hold it to one market."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from core.errors import StoreError
from core.store.database import open_database
from core.store.tables import meta

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_267_283_001  # any number, the same in every process: one migration at a time
_LOCK_WAIT_MS = 60_000
# The schemas since which sums of outcomes, and of pairs of verdicts, are kept as these are stored.
TALLIED = "0007"
PAIRED = "0009"


def open_store(url: str, market: str | None = None) -> Engine:
    """Engine for the database at ``url``, migrated; a missing SQLite file and its folder are made.

    With ``market`` (the key of a `Market`) the database is claimed for it. `StoreError` when it
    already holds another, cannot be reached, or was made by a newer version.
    """
    parsed = make_url(url)
    engine = open_database(url)
    if engine.dialect.name == "sqlite" and parsed.database not in (None, "", ":memory:"):
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    try:
        migrate(engine)
        if market is not None:
            with engine.begin() as conn:
                claim_market(conn, market)
    except OperationalError as error:
        engine.dispose()
        raise _cannot_open(parsed, error) from error
    except StoreError:
        engine.dispose()
        raise
    return engine


def held_market(url: str) -> str | None:
    """The key of the market that the database at ``url`` holds; None: none yet, or it is not there.

    `StoreError` when it cannot be reached. Nothing is made or changed.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).is_file():
        return None
    engine = open_database(url)
    try:
        with engine.connect() as conn:
            return market_of(conn) if inspect(conn).has_table(meta.name) else None
    except OperationalError as error:
        raise _cannot_open(parsed, error) from error
    finally:
        engine.dispose()


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to ``revision``, one process at a time; does nothing where it is there."""
    newest = newest_revision()
    target = newest if revision == "head" else revision
    with engine.connect() as conn:
        held = _held_revision(conn)
    if held == target:
        return
    with locked(engine) as conn:
        held = _held_revision(conn)
        if held is not None and held > newest:
            raise StoreError(
                f"The database has schema {held}, this version knows schemas up to {newest}: "
                "install the newer version that it was used with."
            )
        if held != target:
            _run_alembic(conn, held, target)
            if held is not None and target == newest:
                _fill_sums(conn, held)


def newest_revision() -> str:
    """The revision that this version brings a database to: files are named NNNN_subject.py."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def claim_market(conn: Connection, market: str) -> None:
    """Write down which market the database holds, once; `StoreError` if it holds another."""
    held = market_of(conn)
    if held is None:
        conn.execute(
            text("INSERT INTO meta VALUES ('market', :market) ON CONFLICT DO NOTHING"),
            {"market": market},
        )
        held = market_of(conn)
    if held != market:
        raise StoreError(
            f"This database holds the market {held} and cannot also hold {market}: "
            "set DATABASE_URL to another database."
        )


def market_of(conn: Connection) -> str | None:
    """The key of the market that a database holds; None where it has not been claimed for one."""
    held: str | None = conn.scalar(select(meta.c.value).where(meta.c.key == "market"))
    return held


def _cannot_open(url: URL, error: OperationalError) -> StoreError:
    return StoreError(
        f"The database {url.render_as_string(hide_password=True)} cannot be opened: "
        f"{str(error.orig).strip()}. Check DATABASE_URL and that the server runs."
    )


def _fill_sums(conn: Connection, held: str) -> None:
    """Add up what was stored before the sums of it were kept."""
    from core.store.pairs import rebuild_pairs
    from core.store.tallies import rebuild_tallies

    if held < TALLIED:
        rebuild_tallies(conn)
    elif held < PAIRED:
        rebuild_pairs(conn)


def _held_revision(conn: Connection) -> str | None:
    if not inspect(conn).has_table("alembic_version"):
        return None
    held: str | None = conn.scalar(text("SELECT version_num FROM alembic_version"))
    return held


def _run_alembic(conn: Connection, held: str | None, target: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": conn})
    config.set_main_option("script_location", str(MIGRATIONS))
    down = target == "base" or (held is not None and target < held)
    (command.downgrade if down else command.upgrade)(config, target)


@contextmanager
def locked(engine: Engine) -> Iterator[Connection]:
    """A transaction that no second process can be in at the same time."""
    if engine.dialect.name == "sqlite":
        with _locked_sqlite(engine) as conn:
            yield conn
    else:
        with engine.begin() as conn:
            conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield conn


@contextmanager
def _locked_sqlite(engine: Engine) -> Iterator[Connection]:
    """Autocommit as far as the driver knows, so that schema changes stay in one transaction.

    Foreign keys rest meanwhile: altering a table copies it and drops the old one, which would
    otherwise take the rows that point to it along.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql(f"PRAGMA busy_timeout={_LOCK_WAIT_MS}")
        conn.exec_driver_sql("PRAGMA foreign_keys=OFF")
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield conn
        except BaseException:
            conn.exec_driver_sql("ROLLBACK")
            raise
        else:
            conn.exec_driver_sql("COMMIT")
        finally:
            conn.invalidate()
