"""Following a venue's stream from connection to connection, and noting when it was not heard."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from datetime import datetime

import orjson
from websockets.exceptions import WebSocketException

from core.errors import SourceError, SourceReplyWrong
from core.market.stream.batch import Gap
from core.market.stream.connection import Connection, Patience
from core.market.stream.events import Event, parse_message
from core.market.stream.feeds import Feed
from core.market.stream.writer import Clock, Writer
from core.market.symbols import Contract

Wanted = Callable[[Event], bool]
logger = logging.getLogger(__name__)


class Stream:
    """One venue's stream, followed by `run` until it is cancelled.

    Events and gaps go to ``writer``. ``contracts`` is looked up for every event, so whoever keeps
    it may add to it. A gap lasts from the last sign of life to the next subscription; ``gap`` is
    one that began before this process. ``wanted`` leaves events out that are not to be stored.
    """

    def __init__(
        self,
        feed: Feed,
        contracts: Mapping[str, Contract],
        writer: Writer,
        clock: Clock,
        *,
        patience: Patience | None = None,
        gap: Gap | None = None,
        wanted: Wanted | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._feed, self._contracts, self._writer, self._clock = feed, contracts, writer, clock
        self._patience = patience or Patience()
        self._gap, self._chance, self._wanted = gap, chance, wanted
        self._live_since: float | None = None

    async def run(self) -> None:
        attempt = 0
        while True:
            self._live_since = None
            try:
                await self._follow()
            except (OSError, WebSocketException, SourceError) as error:
                attempt = 1 if self._was_steady() else attempt + 1
                self._note_down(error)
                await asyncio.sleep(self._wait_s(attempt))

    async def _follow(self) -> None:
        """Hold a connection, and before it gets too old have the next one stand beside it."""
        current, renew_s = self._connect(), self._feed.max_age_s
        try:
            while True:
                ended, _ = await asyncio.wait({current.task}, timeout=renew_s)
                if ended:
                    return current.task.result()
                fresh = await self._renew(current)
                renewed = fresh is not current
                current = fresh
                renew_s = self._feed.max_age_s if renewed else self._patience.renew_again_s
        finally:
            await current.end()

    async def _renew(self, current: _Held) -> _Held:
        """The new connection once it is subscribed; the old one if either ends before that."""
        fresh = self._connect()
        ready = asyncio.create_task(fresh.connection.subscribed.wait())
        renewed = False
        try:
            await asyncio.wait(
                {fresh.task, current.task, ready}, return_when=asyncio.FIRST_COMPLETED
            )
            renewed = ready.done() and not current.task.done() and not fresh.task.done()
        finally:
            ready.cancel()
            await (current if renewed else fresh).end()
        return fresh if renewed else current

    def _connect(self) -> _Held:
        return _Held(
            Connection(self._feed, list(self._contracts), self._patience, self._hear, self._clock)
        )

    def _hear(self, text: str | bytes | None) -> None:
        now = self._clock()
        if self._live_since is None:
            self._note_live()
        if text is not None:
            self._read(text, now)
        # Last, so that whoever finds this time also finds the events up to it.
        self._writer.note_heard(now)

    def _read(self, text: str | bytes, now: datetime) -> None:
        try:
            reading = parse_message(self._feed.venue, read_json(text), now, self._contracts)
        except SourceReplyWrong as error:
            self._note_refused([str(error)])
            return
        self._note_refused(reading.refused)
        events = reading.events
        if self._wanted is not None:
            events = [event for event in events if self._wanted(event)]
        if events:
            self._writer.put(events)

    def _note_refused(self, sentences: list[str]) -> None:
        if sentences:
            state = self._writer.state
            state.refused += len(sentences)
            state.message = self._feed.hide(sentences[-1])

    def _note_live(self) -> None:
        self._live_since = asyncio.get_running_loop().time()
        state = self._writer.state
        state.state, state.message = "live", None
        if self._gap is not None:
            self._writer.note_gap(self._gap._replace(ended_at=self._clock()))
            self._gap = None

    def _note_down(self, error: Exception) -> None:
        reason = self._feed.hide(reason_of(self._feed.venue, error))
        state = self._writer.state
        if self._gap is None:
            logger.warning("stream down: %s", reason, extra={"venue": self._feed.venue})
            self._gap = Gap(self._feed.venue, state.heard_at or self._clock(), None, reason)
            self._writer.note_gap(self._gap)
        state.state, state.message = "down", reason

    def _was_steady(self) -> bool:
        """Whether the connection that ended had lived long enough to try the next one soon."""
        now = asyncio.get_running_loop().time()
        since = self._live_since
        return since is not None and now - since > self._patience.longest_wait_s

    def _wait_s(self, attempt: int) -> float:
        longest = self._patience.longest_wait_s
        full = min(longest, self._patience.first_wait_s * 2.0 ** min(attempt - 1, 20))
        return full * (1 - 0.5 * self._chance())


class _Held:
    """A connection and the task that runs it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.task = asyncio.create_task(connection.run())

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def read_json(text: str | bytes) -> object:
    """A message's content; `SourceReplyWrong` where there is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SourceReplyWrong(f"A message cannot be read as JSON: {error}.") from error


def reason_of(venue: str, error: Exception) -> str:
    """Why a venue's stream ended, as a sentence."""
    if isinstance(error, SourceError):
        return str(error)
    said = str(error).strip() or type(error).__name__
    return f"{venue} cannot be heard: {said}."
