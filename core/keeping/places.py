"""Where backups lie: a folder, or a bucket of a store that speaks as Amazon's S3 does.

What is written there appears whole or not at all, and in the place of nothing.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from core.errors import BackupError
from core.keeping.pieces import buffered
from core.production import OFF
from core.settings import Settings

_READ_BYTES = 8 * 1024 * 1024
_PART_BYTES = 16 * 1024 * 1024  # of which S3 allows 10,000
_UPLOADS = 4


class Out(Protocol):
    """What is written to, piece by piece."""

    def write(self, piece: bytes, /) -> int: ...

    def flush(self) -> None: ...


class Place(Protocol):
    """Files by their names, in no folders."""

    @property
    def words(self) -> str:
        """Where it is, for people."""
        ...

    def names(self) -> dict[str, int]:
        """Every file there, with its size in bytes."""
        ...

    def writing(self, name: str) -> AbstractContextManager[Out]:
        """A context with an `Out`; the file is there when it ended well. `BackupError` where it is
        there already."""
        ...

    def reading(self, name: str) -> AbstractContextManager[io.BufferedReader]:
        """A context with a buffered reader; `BackupError` where there is no such file."""
        ...

    def beginning(self, name: str, size: int) -> bytes:
        """The first bytes of a file, of which no more is read."""
        ...

    def delete(self, name: str) -> None: ...


def open_place(settings: Settings) -> Place:
    """The place of CRYPTOSATX_BACKUP_TO; `BackupError` where there is none."""
    to = settings.backup_to
    if to is None or to == OFF:
        raise BackupError("Say where backups lie: --at, or CRYPTOSATX_BACKUP_TO.")
    return Bucket(settings, to) if to.startswith("s3://") else Folder(Path(to).expanduser())


@dataclass(frozen=True)
class Folder:
    """A folder that only its owner can look into, where it is made here."""

    path: Path

    @property
    def words(self) -> str:
        return str(self.path)

    def names(self) -> dict[str, int]:
        with _explained(f"{self.path} cannot be read"):
            if not self.path.exists():
                return {}
            return {one.name: one.stat().st_size for one in self.path.iterdir() if one.is_file()}

    @contextmanager
    def writing(self, name: str) -> Iterator[Out]:
        path, part = self.path / name, self.path / f".{name}.part"
        with _explained(f"{path} cannot be written"):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists():
                raise FileExistsError(errno.EEXIST, "it is there already")
            file = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                with os.fdopen(file, "wb") as out:
                    yield out
                    out.flush()
                    os.fsync(out.fileno())
                _appear(part, path)
            finally:
                part.unlink(missing_ok=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[io.BufferedReader]:
        try:
            file = (self.path / name).open("rb")
        except OSError as error:
            raise BackupError(f"{self.path / name} cannot be read: {error.strerror}.") from error
        with file:
            yield file

    def beginning(self, name: str, size: int) -> bytes:
        with self.reading(name) as file, _explained(f"{self.path / name} cannot be read"):
            return file.read(size)

    def delete(self, name: str) -> None:
        with _explained(f"{self.path / name} cannot be deleted"):
            (self.path / name).unlink(missing_ok=True)


def _appear(part: Path, path: Path) -> None:
    """Give a whole file its name, which nothing else has; a folder forgets nothing at a power cut."""
    try:
        os.link(part, path)
    except OSError as error:
        # Some network folders have no links; the name has chance in it.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Bucket:
    """A bucket, or the part of it below a prefix."""

    def __init__(self, settings: Settings, url: str) -> None:
        from obstore.store import S3Store

        parts = urlsplit(url)
        prefix = parts.path.strip("/")
        self._words = f"s3://{parts.netloc}" + (f"/{prefix}" if prefix else "")
        config: dict[str, Any] = {
            "access_key_id": settings.aws_access_key_id,
            "secret_access_key": None
            if settings.aws_secret_access_key is None
            else settings.aws_secret_access_key.get_secret_value(),
            "region": settings.aws_region,
            "endpoint": settings.aws_endpoint_url,
            # Not every store that speaks as S3 does knows how to delete several at once.
            "disable_bulk_delete": True,
        }
        plain = (settings.aws_endpoint_url or "").startswith("http://")
        self._store = S3Store(
            parts.netloc,
            prefix=prefix or None,
            config={name: value for name, value in config.items() if value is not None},  # type: ignore[arg-type]
            client_options={"allow_http": plain, "timeout": "60s", "connect_timeout": "10s"},
            retry_config={"max_retries": 4, "retry_timeout": timedelta(minutes=3)},
        )

    @property
    def words(self) -> str:
        return self._words

    def names(self) -> dict[str, int]:
        import obstore

        with _explained_store(f"{self.words} cannot be listed"):
            return {
                one["path"]: one["size"]
                for batch in obstore.list(self._store)
                for one in batch
                if "/" not in one["path"]
            }

    @contextmanager
    def writing(self, name: str) -> Iterator[Out]:
        import obstore

        with _explained_store(f"{self.words}/{name} cannot be written"):
            with suppress(FileNotFoundError):
                obstore.head(self._store, name)
                raise BackupError(f"{self.words}/{name} is there already.")
            out = obstore.open_writer(
                self._store, name, buffer_size=_PART_BYTES, max_concurrency=_UPLOADS
            )
            yield _Upload(out)
            # What is not closed never becomes a file.
            out.close()

    @contextmanager
    def reading(self, name: str) -> Iterator[io.BufferedReader]:
        import obstore

        with _explained_store(f"{self.words}/{name} cannot be read"):
            file = obstore.open_reader(self._store, name, buffer_size=_READ_BYTES)
            yield buffered(file, 1024 * 1024)

    def beginning(self, name: str, size: int) -> bytes:
        import obstore

        with _explained_store(f"{self.words}/{name} cannot be read"):
            return bytes(obstore.get_range(self._store, name, start=0, length=size))

    def delete(self, name: str) -> None:
        import obstore

        with _explained_store(f"{self.words}/{name} cannot be deleted"):
            obstore.delete(self._store, name)


class _Upload:
    """Bytes in larger pieces: a call for each small one costs more than what it carries."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def write(self, piece: bytes, /) -> int:
        return int(self._out.write(piece))

    def flush(self) -> None:
        """Nothing: parts are sent as they become full."""


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupError(f"{what}: {error.strerror or error}.") from error


@contextmanager
def _explained_store(what: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        first = str(error).strip().split("\n")[0]
        raise BackupError(f"{what}: {first}") from error
