"""From a stream into the database, in batches; to disk while the database is away.

Nothing here waits for the database but the thread that writes, and nothing grows without bound:
events wait in a queue of fixed length, then in a spool of fixed size, and what finds no room is
counted as lost in a gap.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from core.errors import StoreError
from core.market.stream.batch import Batch, Gap, StreamState
from core.market.stream.events import Event
from core.market.stream.spool import Spool

logger = logging.getLogger(__name__)

Store = Callable[[Batch], object]
Clock = Callable[[], datetime]
AWAY = (OperationalError, InterfaceError, NoConnection)
# What has piled up is written in larger parts, which cost less each.
_MOST_BATCHES = 5
# Another process may have held this stream before, and let go of its spool only later.
_ADOPT_EVERY_S = 30.0


@dataclass(frozen=True)
class Pace:
    """How a writer batches: it writes as soon as ``batch`` events wait, or after ``every_s``.

    ``capacity`` events wait in memory. While the database is away it is tried every ``retry_s``.
    A stream that is quiet has its state noted every ``note_s``.
    """

    batch: int = 1_000
    every_s: float = 0.25
    capacity: int = 20_000
    retry_s: float = 1.0
    note_s: float = 2.0


class Writer:
    """Takes one stream's events and notes, and stores them; `run` does so until `close`."""

    def __init__(
        self, store: Store, spool: Spool, state: StreamState, clock: Clock, pace: Pace | None = None
    ) -> None:
        self.state = state
        self._store, self._spool, self._clock = store, spool, clock
        self._pace = pace or Pace()
        self._queue: deque[Event] = deque()
        self._gaps: dict[datetime, Gap] = {}
        self._loss: Gap | None = None
        self._lock = threading.Lock()
        self._full = asyncio.Event()
        self._closed = False
        self._away = False
        self._try_at = self._noted_at = float("-inf")
        self._woken_for = 0.0
        self._adopt_at = time.monotonic() + _ADOPT_EVERY_S

    def put(self, events: Sequence[Event]) -> None:
        """Take events, at once; those that find no room in memory go to disk."""
        self._queue.extend(events)
        self.state.received += len(events)
        for event in events:
            if self.state.newest_at is None or event.occurred_at > self.state.newest_at:
                self.state.newest_at = event.occurred_at
        if len(self._queue) > self._pace.capacity:
            self._set_aside([self._queue.popleft() for _ in range(len(self._queue) // 2)])
        if len(self._queue) >= self._pace.batch:
            self._full.set()

    def note_heard(self, now: datetime) -> None:
        """The stream gave a sign of life; the first of an hour is written at once: it is waited for."""
        self.state.heard_at = now
        hour = now.timestamp() // 3600
        if hour > self._woken_for:
            self._woken_for = hour
            self._full.set()

    def note_gap(self, gap: Gap) -> None:
        """A gap began, or more is known of it."""
        with self._lock:
            self._gaps[gap.started_at] = gap

    async def run(self) -> None:
        """Write until closed; everything taken before `close` is in the database or on disk then."""
        while not self._closed:
            if len(self._queue) < self._pace.batch:
                await self._wait()
            self._full.clear()
            await asyncio.to_thread(self._write)
        while self._queue:
            await asyncio.to_thread(self._write)
        await asyncio.to_thread(self._write)
        self._spool.close()

    def close(self) -> None:
        self._closed = True
        self._full.set()

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._full.wait(), self._pace.every_s)
        except TimeoutError:
            return

    def _write(self) -> None:
        now, state = self._clock(), replace(self.state)
        if time.monotonic() >= self._adopt_at:
            self._adopt_at = time.monotonic() + _ADOPT_EVERY_S
            self._spool.adopt()
        count = min(_MOST_BATCHES * self._pace.batch, len(self._queue))
        events = [self._queue.popleft() for _ in range(count)]
        if self._away and now.timestamp() < self._try_at:
            self._set_aside(events)
        elif events or self._something_to_note(now):
            self._try(Batch(events, self._take_gaps(), self._vouched_for(state), now))

    def _vouched_for(self, state: StreamState) -> StreamState:
        """The state without what still waits in memory, which would be gone if this process died:
        the gap that is then noted begins where the stored events end."""
        try:
            oldest = self._queue[0].received_at
        except IndexError:
            return state
        state.received = max(state.received - len(self._queue), 0)
        state.heard_at = oldest if state.heard_at is None else min(state.heard_at, oldest)
        return state

    def _something_to_note(self, now: datetime) -> bool:
        if self._gaps or self._loss or self._spool.waiting or self._closed:
            return True
        return self._hour_begun() or now.timestamp() >= self._noted_at + self._pace.note_s

    def _hour_begun(self) -> bool:
        """Whether the stream was heard in an hour that is not noted yet: somebody waits for that."""
        heard = self.state.heard_at
        return heard is not None and heard.timestamp() // 3600 > self._noted_at // 3600

    def _try(self, batch: Batch) -> None:
        try:
            self._store(batch)
            self._store_spooled(batch.at)
        except AWAY as error:
            self._put_back(batch)
            self._note_away(error, batch.at)
        except SQLAlchemyError:
            self._put_back(batch)
            raise
        else:
            self._noted_at = batch.at.timestamp()
            if self._away:
                logger.info("the database is back", extra={"venue": self.state.venue})
            self._away = False

    def _store_spooled(self, now: datetime) -> None:
        """A part of what lies on disk, so that new events do not wait behind it."""
        if self._spool.waiting:
            events = self._spool.take(_MOST_BATCHES * self._pace.batch)
            self._store(Batch(events, [], None, now))
            self._spool.forget()

    def _set_aside(self, events: Sequence[Event]) -> None:
        """To disk, or counted as lost where there is no room or the disk fails."""
        if not events:
            return
        try:
            kept = self._spool.append(events)
        except StoreError:
            logger.exception("events could not be written to disk")
            kept = 0
        with self._lock:
            self.state.spooled += kept
            if kept < len(events):
                self._count_lost(events[kept:])

    def _count_lost(self, lost: Sequence[Event]) -> None:
        started_at = min(event.received_at for event in lost)
        before = self._loss.lost if self._loss else 0
        self.state.lost += len(lost)
        self._loss = Gap(
            self.state.venue,
            min(started_at, self._loss.started_at) if self._loss else started_at,
            max(event.received_at for event in lost),
            "The database was away and there was no more room on disk.",
            before + len(lost),
        )

    def _take_gaps(self) -> list[Gap]:
        with self._lock:
            gaps = [*self._gaps.values(), *([self._loss] if self._loss else [])]
            self._gaps, self._loss = {}, None
            return gaps

    def _put_back(self, batch: Batch) -> None:
        self._set_aside(batch.events)
        with self._lock:
            for gap in batch.gaps:
                self._gaps.setdefault(gap.started_at, gap)

    def _note_away(self, error: Exception, now: datetime) -> None:
        self._try_at = now.timestamp() + self._pace.retry_s
        if not self._away:
            logger.warning("the database is away: %s", error, extra={"venue": self.state.venue})
        self._away = True
