"""Events on disk while the database is away: bounded, and still there after a crash."""

from __future__ import annotations

import fcntl
import os
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import orjson

from core.errors import StoreError
from core.market.stream.events import Event

LIMIT_BYTES = 256 * 1024 * 1024


@dataclass
class _Part:
    """One file: what lies before ``at`` is stored, what lies before ``taken`` was taken out."""

    path: Path
    file: IO[bytes]
    own: bool
    at: int = 0
    taken: int = 0

    @property
    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size


class Spool:
    """A file of its own per process and stream, and those that processes left behind.

    Only the process that holds the lock of a file reads it. Taking events out twice is harmless,
    because the database keeps each once. Safe to use from several threads.
    """

    def __init__(self, folder: Path, venue: str, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder, self._venue, self._limit = folder, venue, limit_bytes
        self._parts: list[_Part] = []
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._size = 0
        self.adopt()

    @property
    def waiting(self) -> bool:
        """Whether there are events to take out."""
        return bool(self._parts)

    def adopt(self) -> None:
        """Take up files that other processes have let go of since."""
        with self._lock:
            own = {part.path for part in self._parts}
            for path in sorted(self._folder.glob(f"{self._venue}-*.jsonl")):
                if path not in own:
                    self._adopt(path)
            self._size = sum(part.size for part in self._parts)

    def append(self, events: Iterable[Event]) -> int:
        """Write events down; how many there was room for, the first ones first."""
        with self._lock:
            lines: list[bytes] = []
            size = self._size
            for event in events:
                line = orjson.dumps(tuple(event)) + b"\n"
                if size + len(line) > self._limit:
                    break
                size += len(line)
                lines.append(line)
            if lines:
                self._write(b"".join(lines))
                self._size = size
            return len(lines)

    def take(self, count: int) -> list[Event]:
        """Up to ``count`` of the events; they stay until `forget` is called."""
        with self._lock:
            if not self._parts:
                return []
            part = self._parts[0]
            part.file.seek(part.at)
            lines = [line for line in (part.file.readline() for _ in range(count)) if line]
            part.taken = part.file.tell()
            return [event for line in lines if (event := _read(line)) is not None]

    def forget(self) -> None:
        """What was taken out last is stored; a file that is done is deleted."""
        with self._lock:
            part = self._parts[0]
            part.at = part.taken
            if part.at < part.size:
                return
            part.path.unlink(missing_ok=True)
            part.file.close()
            del self._parts[0]
            self._size -= part.at

    def close(self) -> None:
        """Let go of the files; what is in them waits for the next process."""
        with self._lock:
            for part in self._parts:
                part.file.close()
            self._parts.clear()

    def _adopt(self, path: Path) -> None:
        try:
            file = path.open("r+b")
        except FileNotFoundError:
            return  # Whoever had it is done with it.
        if _locked(file) and os.fstat(file.fileno()).st_nlink:
            self._parts.insert(0, _Part(path, file, own=False))
        else:
            file.close()

    def _write(self, content: bytes) -> None:
        try:
            part = self._own_part()
            start = part.file.seek(0, os.SEEK_END)
            try:
                part.file.write(content)
                part.file.flush()
                os.fsync(part.file.fileno())
            except OSError:
                part.file.truncate(start)
                raise
        except OSError as error:
            raise StoreError(
                f"Events cannot be written to {self._folder} ({error.strerror}): "
                "make room there, or set CRYPTOSATX_DATA to another folder."
            ) from error

    def _own_part(self) -> _Part:
        """A file that another process left may end in half a line, so nothing is added to it."""
        if not self._parts or not self._parts[-1].own:
            path = self._folder / f"{self._venue}-{uuid.uuid4().hex}.jsonl"
            file = path.open("x+b")
            _locked(file)
            self._parts.append(_Part(path, file, own=True))
        return self._parts[-1]


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(line: bytes) -> Event | None:
    """None for a line that a crash cut short."""
    try:
        told = dict(zip(Event._fields, orjson.loads(line), strict=True))
        for name in ("occurred_at", "received_at"):
            told[name] = datetime.fromisoformat(told[name])
        return Event(**told)
    except (ValueError, TypeError):
        return None
