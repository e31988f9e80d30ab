"""How much one visitor, and all of them together, may ask for at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from core.settings import EDGE_LIMITS

_UPLOADS = "/_stcore/upload_file/"


@dataclass(frozen=True)
class Limits:
    """See CRYPTOSATX_EDGE_LIMITS.

    ``requests``, ``files`` and ``probes`` are per minute and address, ``messages`` per minute of one
    page's connection. ``at_once`` counts requests that are being answered, ``pages`` open pages (each
    has a WebSocket). ``seconds`` until an answer begins, ``long_seconds`` until it ends; ``megabytes``
    are those of a request's body and of a page's message, ``upload_megabytes`` those of a body that
    brings a file, which is taken from administrators alone.
    """

    requests: int
    files: int
    probes: int
    messages: int
    at_once: int
    at_once_per_address: int
    pages: int
    pages_per_address: int
    seconds: int
    long_seconds: int
    megabytes: int
    upload_megabytes: int

    @property
    def bytes(self) -> int:
        return self.megabytes * 1024 * 1024

    def megabytes_at(self, path: str) -> int:
        """How large a request to this path may be.

        >>> limits_of({}).megabytes_at("/_stcore/upload_file/1/2"), limits_of({}).megabytes_at("/join")
        (11, 2)
        """
        return self.upload_megabytes if path.startswith(_UPLOADS) else self.megabytes


def limits_of(told: Mapping[str, int]) -> Limits:
    """The limits with what an operator has changed.

    >>> limits_of({"requests": 60}).requests, limits_of({}).requests
    (60, 1200)
    """
    return Limits(**{**EDGE_LIMITS, **told})


class Places:
    """Counts what is there at a time, in all and for each visitor.

    >>> places = Places(most=2, each=1)
    >>> with places.taken("a") as first, places.taken("a") as second, places.taken("b") as third:
    ...     first, second, third
    (True, False, True)
    >>> len(places)
    0
    """

    def __init__(self, *, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._held: Counter[str] = Counter()
        self._total = 0

    def __len__(self) -> int:
        return self._total

    @contextmanager
    def taken(self, key: str) -> Iterator[bool]:
        """Whether there is a place, which is held inside the block."""
        if self._total >= self._most or self._held[key] >= self._each:
            if not self._held[key]:
                del self._held[key]
            yield False
            return
        self._total += 1
        self._held[key] += 1
        try:
            yield True
        finally:
            self._total -= 1
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
