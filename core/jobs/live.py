"""The collector of the live market: exchanges and providers, each asked for what it is best at."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from types import TracebackType
from typing import Any, TypeVar

import pandas as pd

from core.errors import SourceError
from core.jobs.asking import Asking, Newest, Question
from core.jobs.closing import Closing, wait_until
from core.jobs.collecting import BACKFILL, Collected
from core.jobs.markets import Markets
from core.jobs.providers import Providers
from core.market.files import FILES
from core.market.source_state import SourceState
from core.market.sources import open_http
from core.market.sources.venue import Venue
from core.market.symbols import Contract
from core.settings import Settings
from core.store.health import UsedBudgets

T = TypeVar("T")
HOUR = timedelta(hours=1)
# A candle is published when its bar is over, and takes a moment to be: it is asked for after this,
# where its stream has not told of it by then. Rates that settle with the bar are asked for sooner.
SETTLING, RATES_SETTLE = timedelta(seconds=1), timedelta(seconds=0.2)
# A round waits this long for statistics that can all come within it, and for a part of a past that
# takes longer.
PATIENCE_SECONDS = 1.5
PAST_SECONDS = 25.0
EXTRAS_SECONDS = 3.0
# What is asked for once a bar's rows are taken is of use to the next one: the machine is left to the
# bar until so long after its close.
QUIET = timedelta(seconds=3)
# Whoever is asked once an hour for the rest is not thought well or ill for an hour.
LOOK_SECONDS = 15.0
# More answers than these cannot come within a round; they are taken with the next bar.
FEW = 60
# How far back statistics are asked for before what is there already.
OVERLAP = timedelta(hours=26)
# Candles are asked for from these before the newest one.
CANDLES_AGAIN = timedelta(hours=2)
# Rates need the settlements before them, which tell their interval.
RATES_BEFORE = timedelta(days=3)
# Before a bar closes markets are listed anew, and open interest is asked for where there is no
# history of it in USD.
SNAPSHOT_BEFORE = timedelta(seconds=20)
SNAPSHOTS = ("bybit",)
JUST_SETTLED = timedelta(minutes=10)
_logger = logging.getLogger(__name__)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def _now() -> datetime:
    return datetime.now(UTC)


class LiveCollector:
    """Asks the sources of the settings, on an event loop in a thread of its own.

    Use it inside ``with``. Each market's rows come from the first of its exchanges; candles from
    the next one where that fails. The newest candle comes by the exchange's stream, and is asked
    for where it does not. ``contracts`` holds the placed contracts of each exchange by the
    exchange's own names, and is kept up to date.

    A market that lacks more than the newest bar waits until its statistics have been asked for too:
    a bar is stored once, so its past must be there before.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = _now,
        patience_seconds: float = PATIENCE_SECONDS,
        past_seconds: float = PAST_SECONDS,
    ) -> None:
        self._clock = clock
        self._patience, self._past = patience_seconds, past_seconds
        self._http = open_http(settings, now=clock)
        self._venues = {name: Venue(name, self._http) for name in settings.exchanges}
        self._markets = Markets(self._venues)
        self._providers = Providers(self._http, settings, self._markets)
        self.contracts: Mapping[str, Mapping[str, Contract]] = self._markets.contracts
        self._closing = Closing(self._venues, self._markets, settings.endpoints, clock)
        self._owed: dict[str, datetime] = {}
        # Up to which bar the candles of a market have come without a gap, from its first exchange.
        self._whole: dict[str, datetime] = {}
        self._behind_since: dict[str, datetime] = {}
        self._snapshots: dict[str, pd.DataFrame] = {}
        self._asking = Asking(self._ask, clock)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sources", daemon=True)
        self._watching: list[asyncio.Task[None]] = []
        self._quiet: asyncio.Task[None] | None = None

    def __enter__(self) -> LiveCollector:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fetch(self, newest: Newest, bar: datetime) -> Collected:
        """Rows that are not stored, published up to ``bar``; of statistics those that have come."""
        return self._do(self._fetch(newest, bar))

    def saved(self) -> None:
        """What was fetched last is stored."""
        self._do(self._confirm())

    def states(self) -> tuple[SourceState, ...]:
        """The sources that have been asked."""
        return self._do(self._states())

    def prices(self) -> Mapping[str, float]:
        """Mark price by symbol as last asked for."""
        return self._markets.prices()

    def rest(self) -> None:
        """Ask nothing more until the next `fetch`: another worker does."""
        self._do(self._rest())

    def take_over(self, used: UsedBudgets) -> None:
        """Count what another worker has spent of the budgets, by source."""
        self._do(self._book(used))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        await self._http.__aenter__()
        work = (self._watch(), self._closing.run())
        self._watching = [asyncio.create_task(one) for one in work]

    async def _close(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await self._end_quiet()
        await self._rest()
        await self._http.__aexit__()

    async def _rest(self) -> None:
        self._closing.wanted = False
        await self._asking.stop()
        await self._closing.stop()

    async def _confirm(self) -> None:
        self._asking.confirm()

    async def _states(self) -> tuple[SourceState, ...]:
        return tuple(state for state in self._http.states() if state.requests)

    async def _book(self, used: UsedBudgets) -> None:
        self._closing.wanted = True
        for source, uses in used.items():
            self._http.note_used(source, uses)

    async def _fetch(self, newest: Newest, bar: datetime) -> Collected:
        self._closing.wanted = True
        await self._end_quiet()
        if not all(self.contracts.values()):
            await self._markets.refresh()
        await self._providers.prepare(newest)
        self._note_behind(newest, bar)
        self._asking.expect(self._questions(), newest)
        for venue in SNAPSHOTS:
            if venue in self._venues and venue not in self._snapshots:
                await self._take_snapshot(venue)
        waiting = await self._wait_for_the_past()
        taken = [symbol for symbol in self._markets.by_symbol if symbol not in waiting]
        # Hundreds of answers are put together before the candles come, and not after.
        parts = {table: [_joined(rows)] for table, rows in self._asking.take().items()}
        found = await asyncio.gather(
            self._candles(taken, newest, bar),
            _in_time(self._just_settled(bar)),
            _in_time(self._providers.fear_greed(newest, bar)),
            _in_time(self._providers.social()),
        )
        if self._asking.behind(bar) <= FEW:
            # What has not come by then is asked on, and taken with the next bar.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asking.caught_up(bar), self._patience)
        more = self._asking.take_more().items()
        self._quiet = asyncio.create_task(self._be_quiet(bar))
        others = [*[one for many in found for one in many], *self._taken_snapshots()]
        for table, rows in [*((table, one) for table, many in more for one in many), *others]:
            parts.setdefault(table, []).append(rows)
        tables = {
            table: _up_to(table, rows, bar)
            for table, rows in parts.items()
            if any(len(one) for one in rows)
        }
        return Collected(tables, tuple(sorted(waiting)), self._providers.take_coins())

    async def _be_quiet(self, bar: datetime) -> None:
        self._asking.pause()
        try:
            # Nobody waits for the end of it, and to look takes the time of who judges the bar.
            await wait_until(bar + QUIET, self._clock, look_seconds=0.05)
        finally:
            self._asking.go_on()

    async def _end_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            await asyncio.gather(self._quiet, return_exceptions=True)

    def _note_behind(self, newest: Newest, bar: datetime) -> None:
        """Which markets lack more than the newest bar, and since when that is known."""
        now, stored = self._clock(), newest.get("candles_1h", {})
        self._behind_since = {
            symbol: self._behind_since.get(symbol, now)
            for symbol in self._markets.by_symbol
            if stored.get(symbol, _LONG_AGO) < bar - HOUR
        }

    async def _wait_for_the_past(self) -> set[str]:
        """The markets that still wait, after some patience, for the statistics of their past."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._past):
                while self._asking.unasked(self._behind_since):
                    await asyncio.sleep(0.05)
        return self._asking.unasked(self._behind_since)

    def _questions(self) -> Iterable[Question]:
        """What is asked of each market's first exchange, and of the providers with a key."""
        for first in self._providers.by_value(self._markets.firsts):
            yield Question(first.venue, "funding", first)
            yield Question(first.venue, "long_short", first)
            if first.venue not in SNAPSHOTS:
                yield Question(first.venue, "open_interest", first)
        yield from self._providers.questions()

    async def _ask(self, question: Question, newest: datetime | None) -> pd.DataFrame:
        contract, now = question.contract, self._clock()
        count = 500 if newest is None else int((now - newest + OVERLAP) / HOUR) + 1
        if question.source not in self._venues:
            return await self._providers.answer(question, count=count)
        venue = self._venues[question.source]
        if question.table == "funding":
            since = now - BACKFILL if newest is None else newest - RATES_BEFORE
            return await venue.funding(contract, since=since)
        if question.table == "open_interest":
            return await venue.open_interest(contract, count=count)
        return await venue.long_short(contract, count=count)

    async def _candles(
        self, symbols: Sequence[str], newest: Newest, bar: datetime
    ) -> list[tuple[str, pd.DataFrame]]:
        """From the streams, and for markets that lack more, or of which they did not tell in time,
        by a request each."""
        stored = newest.get("candles_1h", {})
        told = await self._told(symbols, stored, bar)
        came = {symbol for rows in told for symbol in rows["symbol"]}
        self._whole |= dict.fromkeys(came, bar)
        others = {
            symbol: max(stored[symbol] - CANDLES_AGAIN, bar - BACKFILL)
            if symbol in stored
            else bar - BACKFILL
            for symbol in symbols
            if symbol not in came
        }
        rows = told + (await self._asked_for(others, bar) if others else [])
        if others and not rows:
            rows = await self._providers.candles(list(others), others)
        return [("candles_1h", one) for one in rows]

    async def _told(
        self, symbols: Sequence[str], stored: Mapping[str, datetime], bar: datetime
    ) -> list[pd.DataFrame]:
        """Newest candles, of the markets that lack nothing else."""
        before = bar - HOUR
        fresh = [one for one in symbols if stored.get(one) == before == self._whole.get(one)]
        firsts = [self._markets.by_symbol[one][0] for one in fresh]
        return await self._closing.candles(firsts, bar, bar + SETTLING)

    async def _asked_for(self, since: Mapping[str, datetime], bar: datetime) -> list[pd.DataFrame]:
        """What the exchanges reply, of the symbols in ``since``; statistics are asked for later."""
        await wait_until(bar + SETTLING, self._clock)
        self._asking.pause()
        try:
            found = await asyncio.gather(
                *(self._candles_of(one, first, bar) for one, first in since.items())
            )
        finally:
            self._asking.go_on()
        self._remark_late(list(since), bar)
        return [one for one in found if one is not None]

    def _remark_late(self, symbols: Sequence[str], bar: datetime) -> None:
        """Say of whom the newest candle is not there yet."""
        firsts = [self._markets.by_symbol[one][0].venue for one in symbols]
        late = [self._markets.by_symbol[one][0].venue for one in symbols if one in self._owed]
        for venue in set(late):
            many, of = late.count(venue), firsts.count(venue)
            words = f"{many} of {of} markets had no candle that closed at {bar:%H:%M} UTC yet."
            self._venues[venue].remark("candles", words)

    async def _candles_of(self, symbol: str, since: datetime, bar: datetime) -> pd.DataFrame | None:
        """From the first of the market's exchanges, and what that lacks from the next ones."""
        since = min(since, self._owed.get(symbol, since))
        found: list[pd.DataFrame] = []
        for place, contract in enumerate(self._markets.by_symbol[symbol]):
            asked = self._venues[contract.venue].candles(contract, since=since - HOUR, until=bar)
            rows = await or_none(asked)
            whole = rows is not None and bool((rows["published_at"] == bar).any())
            if place == 0:
                self._note_owed(symbol, None if whole else since)
                if whole:
                    self._whole[symbol] = bar
            if rows is not None:
                found.append(rows)
            if whole:
                break
        return pd.concat(found, ignore_index=True) if found else None

    def _note_owed(self, symbol: str, since: datetime | None) -> None:
        """A past that an exchange did not give is asked for again with the next bar."""
        if since is None:
            self._owed.pop(symbol, None)
        else:
            self._owed[symbol] = since

    async def _just_settled(self, bar: datetime) -> list[tuple[str, pd.DataFrame]]:
        """The rates settled with the bar, of all markets at once where the exchange tells them so."""
        await wait_until(bar + RATES_SETTLE, self._clock)
        found = []
        for name, venue in self._venues.items():
            own = {one.name: one for one in self._markets.firsts if one.venue == name}
            rows = await or_none(venue.all_funding(own, since=bar - JUST_SETTLED)) if own else None
            if rows is not None:
                found.append(("funding", rows))
        return found

    async def _watch(self) -> None:
        """List the markets at first and once an hour, shortly before the bar closes, when open
        interest is asked for too; and see to sources that are quiet or fail."""
        done_for: datetime | None = None
        looked_at = monotonic()
        while True:
            closes = (self._clock() + SNAPSHOT_BEFORE).replace(minute=0, second=0, microsecond=0)
            try:
                if done_for is None or (self._clock() < closes and closes != done_for):
                    done_for = closes
                    await self._prepare_the_close()
                elif monotonic() - looked_at > LOOK_SECONDS:
                    looked_at = monotonic()
                    await self._look_after_sources()
            except Exception:
                _logger.exception("Looking after the sources failed; it goes on.")
            await asyncio.sleep(1)

    async def _prepare_the_close(self) -> None:
        await self._markets.refresh()
        await self._providers.rank()
        await asyncio.gather(
            *(self._take_snapshot(name) for name in SNAPSHOTS if name in self._venues)
        )

    async def _look_after_sources(self) -> None:
        """Keep prices fresh, which shows how every exchange is doing, and ask again what failed."""
        await asyncio.gather(self._markets.refresh(), self._providers.ask_again())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._http.ask_failed_again(), LOOK_SECONDS)

    async def _take_snapshot(self, name: str) -> None:
        own = self.contracts[name]
        rows = await or_none(self._venues[name].all_open_interest(own)) if own else None
        if rows is not None:
            self._snapshots[name] = rows

    def _taken_snapshots(self) -> list[tuple[str, pd.DataFrame]]:
        """Only of markets that no exchange before this one has: the others' history says more."""
        firsts = {one.symbol: one.venue for one in self._markets.firsts}
        return [
            ("open_interest", rows[rows["symbol"].map(firsts) == name])
            for name, rows in self._snapshots.items()
        ]


async def _in_time(work: Coroutine[Any, Any, list[T]]) -> list[T]:
    """Nothing where it takes long, as while a budget is used up: the candles do not wait for it."""
    try:
        return await asyncio.wait_for(work, EXTRAS_SECONDS)
    except TimeoutError:
        return []


async def or_none(work: Coroutine[Any, Any, T]) -> T | None:
    """None where the source failed, which the client has noted in its state."""
    try:
        return await work
    except SourceError:
        return None


def _up_to(table: str, parts: Iterable[pd.DataFrame], bar: datetime) -> pd.DataFrame:
    """Rows of the last `BACKFILL`, each once; the first of several counts."""
    source = FILES[table]
    rows = _joined(parts)
    keys = [*(["symbol"] if source.per_symbol else []), "venue"]
    keys += ["open_at"] if source.has_open else [source.known_at]
    known = rows[source.known_at]
    inside = (known >= bar - BACKFILL) & (known <= bar)
    return rows[inside].drop_duplicates(keys, ignore_index=True)


def _joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """All rows, in order; empty parts have no say in the kinds of columns."""
    some = [one for one in parts if len(one)]
    return pd.concat(some, ignore_index=True) if some else pd.DataFrame()
