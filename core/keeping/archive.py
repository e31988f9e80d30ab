"""An archive: a compressed tar whose last file says what the others are, closed as a whole.

It goes through a pipe from the files to where it lies, and back, so none is ever in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from core.errors import BackupError
from core.keeping.encryption import Keys, Seal
from core.keeping.manifest import MEMBER, File, Manifest, parse_manifest
from core.keeping.pieces import buffered
from core.keeping.places import Out

MANIFEST = "manifest.json"
_MOST_MANIFEST = 16 * 1024 * 1024
_PIECE = 1024 * 1024
_LEVEL = 1  # of gzip; a higher one takes several times as long for a tenth of the size


class Hashing:
    """Passes pieces on, to write or from reading, and knows their count and SHA-256."""

    def __init__(self, beyond: Any, moved: Callable[[int], None] = lambda _: None) -> None:
        self._beyond, self._moved = beyond, moved
        self._hash, self.bytes = hashlib.sha256(), 0

    def write(self, piece: bytes, /) -> int:
        self._beyond.write(piece)
        self._count(piece)
        return len(piece)

    def read(self, size: int = -1, /) -> bytes:
        piece: bytes = self._beyond.read(size)
        self._count(piece)
        return piece

    def flush(self) -> None:
        self._beyond.flush()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _count(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.bytes += len(piece)
        self._moved(self.bytes)


class HashingReader(Hashing):
    """A reader of what is at a place, for whoever wants to look ahead."""

    def __init__(self, beyond: io.BufferedReader[Any], moved: Callable[[int], None]) -> None:
        super().__init__(beyond, moved)
        self.buffered = buffered(self, _PIECE)

    def drain(self) -> None:
        """Read what nobody wanted."""
        while self.buffered.read(_PIECE):
            pass


class Packing:
    """An archive in the making: files are added, and at its end what they are."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.files: list[File] = []

    def add(self, name: str, path: Path, moved: Callable[[int], None] = lambda _: None) -> None:
        """Add a file as it is now; one that grows meanwhile is taken up to here."""
        with path.open("rb") as file:
            entry = _entry(name, os.fstat(file.fileno()).st_size)
            hashed = Hashing(file, moved)
            self._tar.addfile(entry, hashed)
        self.files.append(File(name=name, bytes=hashed.bytes, sha256=hashed.sha256))

    def close(self, manifest: Manifest) -> None:
        content = orjson.dumps(manifest.model_dump(mode="json"))
        self._tar.addfile(_entry(MANIFEST, len(content)), io.BytesIO(content))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def pack(fill: Callable[[Packing], None], seal: Seal, out: Out) -> None:
    """Write the archive that ``fill`` fills, closed by ``seal``, to ``out``."""

    def make(beyond: BinaryIO) -> None:
        with (
            gzip.GzipFile(fileobj=beyond, mode="wb", compresslevel=_LEVEL, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            fill(Packing(tar))

    _through_a_pipe(make, lambda plain: seal.write(plain, out))


def unpack(closed: io.BufferedReader[Any], keys: Keys, folder: Path | None) -> Manifest:
    """Take an archive apart into ``folder``, or nowhere; `BackupError` unless every file is as it was.

    What is written is what `MEMBER` allows, and nothing of it counts before this has ended well.
    """
    found: list[File] = []
    told: list[Manifest] = []

    def take(plain: BinaryIO) -> None:
        with (
            gzip.GzipFile(fileobj=plain, mode="rb") as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            for entry in tar:
                file = tar.extractfile(entry) if entry.isreg() else None
                if file is None or told:
                    raise BackupError(f"The backup has {entry.name}, which has no place in one.")
                if entry.name == MANIFEST:
                    told.append(parse_manifest(file.read(_MOST_MANIFEST)))
                else:
                    found.append(_take(entry, file, folder))
            # What follows is looked at too, so that all was decrypted and checked.
            while packed.read(_PIECE):
                pass
        while plain.read(_PIECE):
            pass

    def explained(plain: BinaryIO) -> None:
        try:
            take(plain)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError, OSError) as error:
            raise BackupError(f"The backup is damaged or cut short ({error}).") from error

    _through_a_pipe(lambda out: keys.read(closed, out), explained)
    if not told or sorted(found, key=lambda file: file.name) != sorted(
        told[0].files, key=lambda file: file.name
    ):
        raise BackupError("The backup is not whole: its files are not those that it names.")
    return told[0]


def _take(entry: tarfile.TarInfo, file: Any, folder: Path | None) -> File:
    if not MEMBER.fullmatch(entry.name):
        raise BackupError(f"The backup has a file {entry.name}, which has no place in one.")
    hashed = Hashing(file)
    if folder is None:
        while hashed.read(_PIECE):
            pass
    else:
        path = folder / entry.name
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as target:
            while piece := hashed.read(_PIECE):
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
    return File(name=entry.name, bytes=hashed.bytes, sha256=hashed.sha256)


def _through_a_pipe(give: Callable[[BinaryIO], None], take: Callable[[BinaryIO], None]) -> None:
    """Run the two against each other; of their faults that which came first is the one to tell."""
    far, near = os.pipe()
    reader, writer = os.fdopen(far, "rb", _PIECE), os.fdopen(near, "wb", _PIECE)
    faults: list[BaseException] = []

    def giving() -> None:
        try:
            with writer:
                give(writer)
        except BaseException as error:  # noqa: BLE001 - told by the other thread
            faults.append(error)

    thread = threading.Thread(target=giving, name="keeping", daemon=True)
    thread.start()
    try:
        with reader:
            take(reader)
    except BaseException as error:
        thread.join()
        # Whoever reads sees a pipe that ends early, where the cause is at its other end.
        cause = next((one for one in faults if not isinstance(one, BrokenPipeError)), None)
        if cause is not None and not _is_broken_pipe(cause):
            raise cause from error
        raise
    thread.join()
    if faults:
        raise faults[0]


def _is_broken_pipe(error: BaseException) -> bool:
    """Whether it only says that nobody reads any more, whatever library says it."""
    return "Broken pipe" in str(error)
