"""Replies of sources, and a bounded memory of those that can be asked for by their version."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

_VALIDATORS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}


@dataclass(frozen=True)
class Reply:
    """What a source answered, as JSON.

    ``seen_at`` is when it was known to be so: our clock, or the source's own Date header where
    that is behind, so that a bar that is still open there never counts as closed here. A reply from
    memory keeps the time of the request that brought it; ``age_seconds`` counts from then.
    """

    json: Any
    seen_at: datetime
    age_seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    path: str = ""


@dataclass(frozen=True)
class _Kept:
    reply: Reply
    kept_at: float


class Replies:
    """The last reply of each of at most ``size`` addresses, by (source, address)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def keep(self, source: str, address: str, reply: Reply, *, always: bool = False) -> None:
        """Remember a reply that has a version, or ``always``."""
        if always or any(name in reply.headers for name in _VALIDATORS):
            self._kept[source, address] = _Kept(reply, time.monotonic())
            self._kept.move_to_end((source, address))
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)

    def recall(
        self, source: str, address: str, within_seconds: float = float("inf")
    ) -> Reply | None:
        """The reply as it was, with its age, if it is not older."""
        kept = self._kept.get((source, address))
        if kept is None:
            return None
        age = time.monotonic() - kept.kept_at
        return replace(kept.reply, age_seconds=age) if age < within_seconds else None

    def conditions(self, source: str, address: str) -> dict[str, str]:
        """Request headers that ask for the reply only if it is not the one that is kept."""
        kept = self._kept.get((source, address))
        headers = kept.reply.headers if kept else {}
        return {asked: headers[name] for name, asked in _VALIDATORS.items() if name in headers}

    def oldest_seconds(self, source: str) -> float | None:
        times = [kept.kept_at for (owner, _), kept in self._kept.items() if owner == source]
        return time.monotonic() - min(times) if times else None
