"""The candle streams of the exchanges around the close of a bar.

A stream tells of every change of a candle, and only the end of it is wanted: so they are followed
from shortly before a close until the candles have come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import pandas as pd
from websockets.exceptions import WebSocketException

from core.errors import SourceError
from core.jobs.markets import Markets
from core.market.sources.exchange import to_ms
from core.market.sources.reading import REMARKS
from core.market.sources.venue import Venue
from core.market.stream.candles import CANDLE_FEEDS, PER_CONNECTION, Told, read_closed
from core.market.stream.connection import Connection, Patience
from core.market.stream.feeds import Feed
from core.market.stream.sockets import read_json, reason_of
from core.market.symbols import Contract

HOUR = timedelta(hours=1)
# Streams are listened to from so long before a close, and at most so long after it.
LISTEN_BEFORE, LISTEN_AFTER = timedelta(seconds=20), timedelta(seconds=5)
# This machine's clock may run a little slow: what closes later than that has not closed.
SLOW = timedelta(seconds=2)
_LOOK_SECONDS, _AGAIN_SECONDS, _POLL_SECONDS = 0.1, 1.0, 0.01
_logger = logging.getLogger(__name__)


async def wait_until(
    moment: datetime,
    clock: Callable[[], datetime],
    enough: Callable[[], bool] = lambda: False,
    look_seconds: float = _POLL_SECONDS,
) -> None:
    """Wait for a time of the market, or until it is ``enough``; it is looked every ``look_seconds``.

    No longer than that time is away, also where the clock stands still.
    """
    give_up = monotonic() + (moment - clock()).total_seconds()
    while clock() < moment and monotonic() < give_up and not enough():
        await asyncio.sleep(look_seconds)


class Closing:
    """Hears which candles have closed, while it is ``wanted``; lives on one event loop.

    What was told at a close is there until shortly before the next one.
    """

    def __init__(
        self,
        venues: Mapping[str, Venue],
        markets: Markets,
        endpoints: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self.wanted = False
        self._venues, self._markets, self._clock = venues, markets, clock
        self._feeds = {name: CANDLE_FEEDS[name].placed(endpoints) for name in venues}
        self._bar: datetime | None = None
        self._told: dict[tuple[str, str], list[Told]] = {}
        self._followed: set[tuple[str, str]] = set()
        self._troubles: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Listen around every close."""
        while True:
            try:
                await self._look()
            except Exception:
                _logger.exception("The streams of candles failed; the next close is tried again.")
            await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self) -> None:
        """Listen no more; what has come stays."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def candles(
        self, contracts: Sequence[Contract], bar: datetime, until: datetime
    ) -> list[pd.DataFrame]:
        """Rows of the candles of these that closed at ``bar``, waited for until a time at most."""
        if bar == self._bar and contracts:
            await wait_until(until, self._clock, lambda: self._have_come(contracts))
        if bar != self._bar:
            return []
        return [
            self._rows(venue, [one for one in contracts if one.venue == venue], bar)
            for venue in sorted({one.venue for one in contracts})
        ]

    def _have_come(self, contracts: Sequence[Contract]) -> bool:
        return all(_key(one) in self._told for one in contracts)

    async def _look(self) -> None:
        now = self._clock()
        closes = (now + LISTEN_BEFORE).replace(minute=0, second=0, microsecond=0)
        if self.wanted and now < closes and closes != self._bar and self._markets.by_symbol:
            await self.stop()
            self._begin(closes)
        elif self._tasks and (self._whole() or self._is_over(now)):
            await self.stop()

    def _whole(self) -> bool:
        return len(self._told) == len(self._followed)

    def _is_over(self, now: datetime) -> bool:
        return self._bar is not None and now > self._bar + LISTEN_AFTER

    def _begin(self, bar: datetime) -> None:
        self._bar, self._told, self._troubles = bar, {}, {}
        firsts = self._markets.firsts
        self._followed = {_key(one) for one in firsts}
        for venue, feed in self._feeds.items():
            names = sorted(one.name for one in firsts if one.venue == venue)
            for start in range(0, len(names), PER_CONNECTION):
                part = names[start : start + PER_CONNECTION]
                self._tasks.append(asyncio.create_task(self._listen(feed, part, bar)))

    async def _listen(self, feed: Feed, names: Sequence[str], bar: datetime) -> None:
        """Until the bar closes a connection that ends is renewed; later it would be told nothing."""
        hear = partial(self._hear, feed.venue)
        while self._clock() < bar:
            try:
                await Connection(feed, names, Patience(), hear, self._clock).run()
            except (OSError, WebSocketException, SourceError) as error:
                self._troubles[feed.venue] = reason_of(feed.venue, error)
            await asyncio.sleep(_AGAIN_SECONDS)

    def _hear(self, venue: str, message: str | bytes | None) -> None:
        if message is None:
            return
        try:
            for one in read_closed(venue, read_json(message)):
                self._take(venue, one)
        except SourceError as error:
            self._troubles[venue] = str(error)

    def _take(self, venue: str, one: Told) -> None:
        """What is told twice is kept once; where two contradict each other neither is used."""
        bar, key = self._bar, (venue, one.contract)
        if bar is None or key not in self._followed or self._clock() < bar - SLOW:
            return
        if one.open_ms == to_ms(bar - HOUR) and one not in self._told.get(key, []):
            self._told.setdefault(key, []).append(one)

    def _rows(self, venue: str, contracts: Sequence[Contract], bar: datetime) -> pd.DataFrame:
        told = [(one, each.row) for one in contracts for each in self._told.get(_key(one), [])]
        rows = pd.DataFrame({"symbol": []})
        if told:
            try:
                rows = self._venues[venue].streamed_candles(told, max(bar, self._clock()))
            except SourceError as error:
                self._troubles[venue] = str(error)
        self._remark(venue, rows, len(contracts), bar)
        return rows

    def _remark(self, venue: str, rows: pd.DataFrame, wanted: int, bar: datetime) -> None:
        """Say what a venue's stream did not give, and what was wrong with it."""
        said = [f"{one}." for one in rows.attrs.get(REMARKS, ())]
        said += [self._troubles[venue]] if venue in self._troubles else []
        if missing := wanted - len(rows):
            late = f"{missing} of {wanted} candles that closed at {bar:%H:%M} UTC did not come"
            said.insert(0, f"{late} by its stream, and were asked for.")
        if said:
            self._venues[venue].remark("candle stream", " ".join(said))


def _key(contract: Contract) -> tuple[str, str]:
    return contract.venue, contract.name
