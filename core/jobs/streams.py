"""The liquidation streams of a live market: each followed by one worker, and summed up by the hour."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from urllib.parse import urlencode

import pandas as pd
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.jobs.asking import Newest
from core.jobs.collecting import Collected, Collector
from core.jobs.passed_on import Contracts, PassedOn
from core.market.files import LIQUIDATIONS
from core.market.source_state import SourceState
from core.market.stream.batch import Gap, StreamState
from core.market.stream.feeds import FEEDS, Feed
from core.market.stream.sockets import Wanted
from core.store.health import UsedBudgets
from core.store.leases import drop_lease, take_lease
from core.store.liquidations import load_gaps, load_minutes, load_stream, save_gap, save_stream
from core.streaming import follow_stream

HOUR = timedelta(hours=1)
HELD, RENEW_SECONDS = timedelta(seconds=20), 4.0
# A stream is pinged just after every hour, so one that lives has been heard by then.
HEARD_SECONDS, HEARD_POLL_SECONDS = 3.0, 0.05
_logger = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


def feed_of(venue: str, endpoints: Mapping[str, str], key: str = "") -> Feed:
    """A venue's stream, at the address that the settings put in the place of the venue's own.

    >>> feed_of("okx", {"okx": "http://127.0.0.1:9000"}).url
    'ws://127.0.0.1:9000/ws/v5/public'
    >>> feed_of("coinglass", {}, key="a&b").url
    'wss://open-ws.coinglass.com/ws-api?cg-api-key=a%26b'
    """
    feed = FEEDS[venue]
    if key:
        feed = replace(feed, url=f"{feed.url}?{urlencode({'cg-api-key': key})}", secret=key)
    return feed.placed(endpoints)


class Streams:
    """Follows every exchange's stream that no other worker follows; use it inside ``with``.

    ``contracts`` are by venue and the venue's own names; a stream begins when there are any. With
    ``passed_on`` Coinglass is followed too, for the venues that are not followed themselves.
    ``clock`` is the time of the market, leases run by the clock on the wall.
    """

    def __init__(
        self,
        engine: Engine,
        contracts: Contracts,
        holder: str,
        spool_folder: Path,
        endpoints: Mapping[str, str],
        clock: Callable[[], datetime] = _now,
        passed_on: PassedOn | None = None,
    ) -> None:
        self._engine, self._contracts, self._holder = engine, contracts, holder
        self._folder, self._clock = spool_folder, clock
        self._feeds = {venue: feed_of(venue, endpoints) for venue in contracts}
        self._wanted: dict[str, Wanted] = {}
        if passed_on is not None:
            name = passed_on.venue
            self._feeds[name] = feed_of(name, endpoints, passed_on.key)
            self._contracts = {**contracts, name: passed_on}
            self._wanted[name] = passed_on.is_wanted
        self._loop = asyncio.new_event_loop()
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)

    def __enter__(self) -> Streams:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._main = self._loop.create_task(self._follow_all())
        (ended,) = self._loop.run_until_complete(asyncio.gather(self._main, return_exceptions=True))
        if isinstance(ended, Exception):
            _logger.error("The streams are no longer followed.", exc_info=ended)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())

    def _cancel(self) -> None:
        if self._main is not None:
            self._main.cancel()

    async def _follow_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for venue in self._feeds:
                group.create_task(self._follow(venue))

    async def _follow(self, venue: str) -> None:
        while True:
            known = len(self._contracts[venue]) > 0
            if known and await asyncio.to_thread(self._take, venue):
                await self._hold(venue)
            await asyncio.sleep(RENEW_SECONDS / 4)

    async def _hold(self, venue: str) -> None:
        """Follow for as long as the lease is ours."""
        following = asyncio.create_task(
            follow_stream(
                self._engine,
                self._feeds[venue],
                self._contracts[venue],
                self._folder,
                clock=self._clock,
                wanted=self._wanted.get(venue),
            )
        )
        try:
            while not following.done():
                await asyncio.wait({following}, timeout=RENEW_SECONDS)
                if not await asyncio.to_thread(self._renew, venue):
                    break
        finally:
            following.cancel()
            (ended,) = await asyncio.gather(following, return_exceptions=True)
            if isinstance(ended, Exception):
                _logger.error("The stream of %s is begun again: %s", venue, ended)
            await asyncio.to_thread(self._drop, venue)

    def _take(self, venue: str) -> bool:
        try:
            with self._engine.begin() as conn:
                if not take_lease(conn, f"stream {venue}", self._holder, _now(), HELD):
                    return False
                if load_stream(conn, venue) is None:
                    note_first(conn, venue, self._clock())
                return True
        except SQLAlchemyError:
            return False

    def _renew(self, venue: str) -> bool:
        """Whether it may be followed on; while the database is away events are kept on disk."""
        try:
            with self._engine.begin() as conn:
                return take_lease(conn, f"stream {venue}", self._holder, _now(), HELD)
        except SQLAlchemyError:
            return True

    def _drop(self, venue: str) -> None:
        try:
            with self._engine.begin() as conn:
                drop_lease(conn, f"stream {venue}", self._holder)
        except SQLAlchemyError:
            return  # It ends by itself.


def note_first(conn: Connection, venue: str, now: datetime) -> None:
    """Have the time before anybody listened count as a gap."""
    save_gap(conn, Gap(venue, now - timedelta(days=1), None, "Nobody listened yet."))
    save_stream(conn, StreamState(venue), now)


@dataclass(frozen=True)
class WithStreams:
    """A collector whose tables also hold the totals of the hour before the bar, from the streams.

    They are lower bounds: exchanges report at most one liquidation per market and second, and of the
    last second of an hour what they report by the time the candles are there.
    """

    collector: Collector
    engine: Engine
    contracts: Contracts
    heard_seconds: float = HEARD_SECONDS

    def fetch(self, newest: Newest, bar: datetime) -> Collected:
        found = self.collector.fetch(newest, bar)
        self._wait_until_heard(bar)
        with self.engine.connect() as conn:
            totals = hour_totals(conn, self.contracts, bar)
        if totals.empty:
            return found
        return replace(found, tables={**found.tables, LIQUIDATIONS.file: totals})

    def saved(self) -> None:
        self.collector.saved()

    def states(self) -> Iterable[SourceState]:
        return self.collector.states()

    def rest(self) -> None:
        self.collector.rest()

    def take_over(self, used: UsedBudgets) -> None:
        self.collector.take_over(used)

    def _wait_until_heard(self, bar: datetime) -> None:
        """Until every stream that lives has been heard after the bar closed."""
        give_up = monotonic() + self.heard_seconds
        while monotonic() < give_up:
            with self.engine.connect() as conn:
                states = [load_stream(conn, venue) for venue in self.contracts]
            living = [one for one in states if one is not None and one.state == "live"]
            if all(one.heard_at is not None and one.heard_at >= bar for one in living):
                return
            sleep(HEARD_POLL_SECONDS)


def hour_totals(conn: Connection, contracts: Contracts, bar: datetime) -> pd.DataFrame:
    """Rows of liquidations for the hour that ends with ``bar``, of venues that were heard all of it.

    A market without an event has a total of 0; a venue with a gap in the hour has no rows.
    """
    gaps = load_gaps(conn, bar - HOUR, bar)
    heard = [
        venue
        for venue in contracts
        if (state := load_stream(conn, venue)) is not None
        and state.heard_at is not None
        and state.heard_at >= bar
        and not ((gaps["venue"] == venue) & (gaps["started_at"] < bar)).any()
    ]
    keys = [
        (symbol, venue)
        for venue in heard
        for symbol in sorted({one.symbol for one in contracts[venue].values()})
    ]
    minutes = load_minutes(conn, bar - HOUR, bar - timedelta(minutes=1), venues=heard)
    sums = minutes.groupby(["symbol", "venue"])[["long_usd", "short_usd"]].sum()
    index = pd.MultiIndex.from_tuples(keys, names=["symbol", "venue"]) if keys else sums.index[:0]
    totals = sums.reindex(index, fill_value=0.0).reset_index()
    names = dict(zip(("long_usd", "short_usd"), LIQUIDATIONS.numbers, strict=True))
    return totals.rename(columns=names).assign(
        open_at=pd.Timestamp(bar - HOUR), published_at=pd.Timestamp(bar)
    )
