"""The sources as programs ask them: within a share of the budgets that is not the worker's.

Questions run on a loop in a thread of their own, through the one HTTP client with its time-outs,
retries and breaker. What was answered is kept for a while, in a bounded memory, for whoever asks next.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import orjson

from core.errors import SourceRefused, SourceReplyWrong, TookTooLong
from core.market.http import Check, Http
from core.market.sources import open_http, sources_in_use
from core.settings import Settings

T = TypeVar("T")
# So many questions at a time, of all who read; the rest is told to come again, so that sources that
# are slow do not take every thread of the API.
AT_ONCE, PATIENCE_SECONDS = 4, 1.0
# What is kept of all sources together.
KEPT_BYTES = 32_000_000


@dataclass(frozen=True)
class Wanted:
    """A question to a source; ``charges`` is what it costs (default: 1 of each budget)."""

    source: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    charges: Mapping[str, int] | None = None
    check: Check | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The same for the same question."""
        return orjson.dumps(
            (self.source, self.url, self.params), option=orjson.OPT_SORT_KEYS
        ).decode()


@dataclass(frozen=True)
class Found:
    """What a source answered, as JSON; ``kept_at`` by `time.monotonic`."""

    body: bytes
    seen_at: datetime
    kept_at: float

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.kept_at


class Kept:
    """Answers by name, the newest, of at most ``most`` bytes together."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most, self._bytes = most, 0
        self._found: OrderedDict[str, Found] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, name: str, found: Found) -> None:
        with self._lock:
            self._drop(name)
            self._found[name] = found
            self._bytes += len(found.body)
            while self._bytes > self._most:
                self._drop(next(iter(self._found)))

    def recall(self, name: str, seconds: float) -> Found | None:
        """The answer, where it is not older."""
        with self._lock:
            found = self._found.get(name)
        return found if found is not None and found.age_seconds < seconds else None

    def _drop(self, name: str) -> None:
        old = self._found.pop(name, None)
        if old is not None:
            self._bytes -= len(old.body)


class Readers:
    """Asks sources for whoever reads them, from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.kept = Kept()
        self._http = open_http(settings, readers=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="readers", daemon=True)
        self._asking: dict[str, asyncio.Task[Found]] = {}
        self._parts: dict[str, Any] = {}
        self._making = threading.Lock()
        self._at_once = threading.BoundedSemaphore(AT_ONCE)
        self._thread.start()

    @property
    def http(self) -> Http:
        return self._http

    def ask(self, wanted: Wanted, *, seconds: float, until: float) -> Found:
        """The answer, or one that is younger than ``seconds``. `TookTooLong` once `time.monotonic`
        has passed ``until``; raises a `SourceError` as the client does."""
        kept = self.kept.recall(wanted.name, seconds)
        if kept is not None:
            return kept
        if not self._at_once.acquire(timeout=PATIENCE_SECONDS):
            raise SourceRefused(
                "Too many sources are asked at once: try again in a moment.", retry_after=1.0
            )
        future = asyncio.run_coroutine_threadsafe(self._shared(wanted, seconds), self._loop)
        try:
            return future.result(max(until - time.monotonic(), 0.0))
        except TimeoutError:
            future.cancel()
            raise TookTooLong(f"{wanted.source} did not answer in time: ask for less.") from None
        finally:
            self._at_once.release()

    def part(self, name: str, make: Callable[[], T]) -> T:
        """What belongs to these readers and is made when it is first needed."""
        with self._making:
            if name not in self._parts:
                self._parts[name] = make()
            made: T = self._parts[name]
            return made

    def close(self) -> None:
        """Break off what is asked, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _shared(self, wanted: Wanted, seconds: float) -> Found:
        """One question for all who ask the same at the same time; it goes on for the others when
        one of them gives up."""
        # It may have been answered while this one waited for its turn.
        if kept := self.kept.recall(wanted.name, seconds):
            return kept
        task = self._asking.get(wanted.name)
        if task is None:
            task = asyncio.create_task(self._ask(wanted))
            self._asking[wanted.name] = task
            task.add_done_callback(lambda done: self._forget(wanted.name, done))
        return await asyncio.shield(task)

    def _forget(self, name: str, task: asyncio.Task[Found]) -> None:
        del self._asking[name]
        if not task.cancelled():
            task.exception()  # Seen, even where everybody gave up.

    async def _ask(self, wanted: Wanted) -> Found:
        self._refuse_too_dear(wanted)
        reply = await self._http.get(
            wanted.source,
            wanted.url,
            params=wanted.params,
            headers=wanted.headers,
            charges=wanted.charges,
            check=wanted.check,
        )
        found = Found(_pack(wanted, reply.json), reply.seen_at, time.monotonic())
        self.kept.keep(wanted.name, found)
        return found

    def _refuse_too_dear(self, wanted: Wanted) -> None:
        for use in self._http.state(wanted.source).budgets:
            cost = (wanted.charges or {}).get(use.name, 1)
            if cost > use.allowed:
                raise SourceRefused(
                    f"This costs {cost} {use.name} of {wanted.source}, and readers have {use.allowed} in "
                    f"{use.seconds:,} s: ask for less.",
                    retry_after=float(use.seconds),
                )

    async def _stop(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.__aexit__()


def _pack(wanted: Wanted, reply: Any) -> bytes:
    """The reply as JSON; NaN is null, and a key that comes back in it is hidden."""
    try:
        body = orjson.dumps(reply)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise SourceReplyWrong(f"{wanted.source} sent what cannot be passed on.") from error
    for value in wanted.headers.values():
        if secret := value.split()[-1]:
            body = body.replace(secret.encode(), b"***")
    return body


_readers: dict[tuple[Any, ...], Readers] = {}
_opening = threading.Lock()


def readers_of(settings: Settings) -> Readers:
    """The readers of these settings, one for the whole process."""
    name = _what_counts(settings)
    with _opening:
        if name not in _readers:
            _readers[name] = Readers(settings)
        return _readers[name]


def close_readers() -> None:
    """End all of them; who asks afterwards gets new ones."""
    with _opening:
        for readers in _readers.values():
            readers.close()
        _readers.clear()


def _what_counts(settings: Settings) -> tuple[Any, ...]:
    """What readers are made of."""
    pairs = (settings.endpoints, settings.limits, settings.budgets)
    return sources_in_use(settings), *(tuple(sorted(one.items())) for one in pairs)
