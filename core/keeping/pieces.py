"""What can only be read piece by piece, as a file that can be read line by line too."""

from __future__ import annotations

import io
from typing import Any, Protocol

from typing_extensions import Buffer, override


class Readable(Protocol):
    """Gives at most so many bytes, and none at its end."""

    def read(self, size: int, /) -> Buffer: ...


def buffered(source: Readable, size: int) -> io.BufferedReader[Any]:
    """A reader that asks ``source`` for pieces of ``size`` bytes."""
    return io.BufferedReader(_Raw(source), size)


class _Raw(io.RawIOBase):
    def __init__(self, source: Readable) -> None:
        self._source = source

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, into: Buffer, /) -> int:
        view = memoryview(into)
        piece = bytes(self._source.read(len(view)))
        view[: len(piece)] = piece
        return len(piece)
