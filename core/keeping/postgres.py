"""PostgreSQL's own tools, which dump a database and bring a dump back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from core.errors import BackupError

_DEBIAN = Path("/usr/lib/postgresql")
_SERVICE = "cryptosatx"
_POLL_SECONDS = 0.5


def tool(name: str) -> str:
    """The program of this name, the newest of several; `BackupError` says what to install."""
    found = shutil.which(name)
    if found is not None:
        return found
    versions = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: _version(path.parts[-3]))
    if not versions:
        raise BackupError(
            f"{name} is missing, which {'makes' if name == 'pg_dump' else 'reads'} backups of "
            "PostgreSQL: install the client of the server's version or a newer one; on Debian: "
            "apt-get install postgresql-client."
        )
    return str(versions[-1])


def _version(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def dump(url: URL, snapshot: str, target: Path, grown: Callable[[int], None], folder: Path) -> None:
    """Write what ``snapshot`` shows to ``target`` in the custom format; ``grown`` is told its size."""
    wanted = [tool("pg_dump"), "--format=custom", "--compress=1", f"--snapshot={snapshot}"]
    _run(url, [*wanted, "--no-password", f"--file={target}"], folder, lambda: _size(target, grown))


def load(url: URL, source: Path, folder: Path) -> None:
    """Bring a dump back into a database that holds nothing, whole or not at all."""
    wanted = [tool("pg_restore"), "--exit-on-error", "--single-transaction"]
    wanted += ["--no-owner", "--no-privileges", "--no-password", f"--dbname=service={_SERVICE}"]
    _run(url, [*wanted, str(source)], folder)


def _size(path: Path, grown: Callable[[int], None]) -> None:
    if path.exists():
        grown(path.stat().st_size)


def _run(
    url: URL, command: list[str], folder: Path, at_times: Callable[[], None] = lambda: None
) -> None:
    """Run a tool on the database; nothing of its address is in the list of processes."""
    said = folder / "said"
    with _service(url, folder) as environment, said.open("w+") as errors:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
        )
        try:
            while True:
                try:
                    code = process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    at_times()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if code != 0:
            errors.seek(0)
            raise BackupError(f"{Path(command[0]).name} gave up: {_first_fault(errors.read())}")


def _first_fault(said: str) -> str:
    """The first error that a tool told of, which is that which the others follow from."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    at = next((n for n, line in enumerate(lines) if "error" in line.lower()), 0)
    told = [re.sub(r"^pg_\w+: (error: |detail: )?", "", line) for line in lines[at : at + 2]]
    return "; ".join(told)[:500] or "it does not say why"


@contextmanager
def _service(url: URL, folder: Path) -> Iterator[Mapping[str, str]]:
    """An environment in which libpq's service `_SERVICE` is the database; in a file, as it has its
    password, that only this user can read."""
    named = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
    asked = {name: str(value) for name, value in named.items() if value is not None}
    asked["dbname"] = url.database or ""
    for name, value in url.query.items():
        asked[name] = value if isinstance(value, str) else ",".join(value)
    if any("\n" in value for value in asked.values()):
        raise BackupError(
            "DATABASE_URL has a line break in it, which PostgreSQL's tools cannot read."
        )
    path = folder / "service"
    file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(file, "w") as lines:
        lines.write(f"[{_SERVICE}]\n" + "".join(f"{k}={v}\n" for k, v in asked.items()))
    try:
        yield {**os.environ, "PGSERVICEFILE": str(path), "PGSERVICE": _SERVICE}
    finally:
        path.unlink()
