"""The collector of the live market: exchanges and providers, each asked for what it is best at."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar

import pandas as pd

from core.errors import SourceError
from core.jobs.asking import Asking, Question
from core.market.files import FILES, VENUES
from core.market.source_state import SourceState
from core.market.sources import alternative_me, coinglass, key_of, lunarcrush, open_http
from core.market.sources.venue import Venue, read
from core.market.symbols import Contract, unify
from core.settings import Settings

T = TypeVar("T")
HOUR = timedelta(hours=1)
# A round does not wait longer for what is spread over the hour.
PATIENCE_SECONDS = 15.0
# How far back statistics and rates are asked for the first time, and before what is there already.
PAST, OVERLAP = timedelta(days=30), timedelta(hours=26)
# Rates need the settlements before them, which tell their interval.
RATES_BEFORE = timedelta(days=3)
# Open interest that has no history in USD is asked for this long before a bar closes.
SNAPSHOT_BEFORE = timedelta(seconds=20)
SNAPSHOTS = ("bybit",)
JUST_SETTLED = timedelta(minutes=10)


def _now() -> datetime:
    return datetime.now(UTC)


class LiveCollector:
    """Asks the sources of the settings, on an event loop in a thread of its own.

    Use it inside ``with``. Each market's rows come from the first of its exchanges; candles from
    the next one where that fails. ``contracts`` holds the placed contracts of each exchange by the
    exchange's own names, and is kept up to date.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = _now,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.contracts: dict[str, dict[str, Contract]] = {name: {} for name in settings.exchanges}
        self._settings, self._clock, self._patience = settings, clock, patience_seconds
        self._http = open_http(settings, now=clock)
        self._venues = {name: Venue(name, self._http) for name in settings.exchanges}
        self._listed: dict[str, list[Contract]] = {}
        self._prices: dict[str, dict[str, float]] = {}
        self._markets: dict[str, list[Contract]] = {}
        self._owed: dict[str, datetime] = {}
        self._snapshots: dict[str, pd.DataFrame] = {}
        self._asking = Asking(self._ask, clock)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sources", daemon=True)
        self._watching: asyncio.Task[None] | None = None

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

    def fetch(self, since: datetime, bar: datetime) -> dict[str, pd.DataFrame]:
        """Rows published from ``since`` up to ``bar``; of statistics those that have come by now."""
        return self._do(self._fetch(since, bar))

    def states(self) -> tuple[SourceState, ...]:
        """The sources that have been asked."""
        return tuple(state for state in self._http.states() if state.requests)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        await self._http.__aenter__()
        self._watching = asyncio.create_task(self._watch_the_close())

    async def _close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._asking.stop()
        await self._http.__aexit__()

    async def _fetch(self, since: datetime, bar: datetime) -> dict[str, pd.DataFrame]:
        await self._list_markets()
        self._asking.expect(self._questions())
        for venue in SNAPSHOTS:
            if venue in self._venues and venue not in self._snapshots:
                await self._take_snapshot(venue)
        found = await asyncio.gather(
            self._candles(since, bar),
            self._just_settled(bar),
            self._fear_greed(since, bar),
            self._social(),
            self._wait_for_statistics(bar),
        )
        parts = self._asking.take()
        for table, rows in [*[one for many in found for one in many], *self._taken_snapshots()]:
            parts.setdefault(table, []).append(rows)
        return {
            table: _between(table, rows, since, bar)
            for table, rows in parts.items()
            if any(len(one) for one in rows)
        }

    async def _list_markets(self) -> None:
        """What was listed last stays where a venue does not answer: names must not change by that."""
        for name, contracts, prices in await asyncio.gather(*map(self._list, self._venues)):
            if contracts is not None:
                self._listed[name] = contracts
            if prices is not None:
                self._prices[name] = prices
        placed = unify(self._listed, self._prices, tuple(self._venues))
        self._markets = {}
        for contract in placed:
            self._markets.setdefault(contract.symbol, []).append(contract)
        for name, held in self.contracts.items():
            held.update({one.name: one for one in placed if one.venue == name})

    async def _list(self, name: str) -> tuple[str, list[Contract] | None, dict[str, float] | None]:
        venue = self._venues[name]
        contracts = await _or_none(venue.contracts())
        return name, contracts, await _or_none(venue.prices())

    def _questions(self) -> Iterable[Question]:
        """What is asked of each market's first exchange, and of the providers with a key."""
        with_key = key_of(coinglass.SOURCE, self._settings)
        for first in (several[0] for several in self._markets.values()):
            yield Question(first.venue, "funding", first)
            yield Question(first.venue, "long_short", first)
            if first.venue not in SNAPSHOTS:
                yield Question(first.venue, "open_interest", first)
            if with_key:
                yield Question(coinglass.SOURCE, "liquidations_4h", first)

    async def _ask(self, question: Question, newest: datetime | None) -> pd.DataFrame:
        contract, now = question.contract, self._clock()
        count = 500 if newest is None else int((now - newest + OVERLAP) / HOUR) + 1
        if question.source == coinglass.SOURCE:
            key = key_of(coinglass.SOURCE, self._settings) or ""
            asked = coinglass.fetch_liquidations(self._http, contract, key=key, count=count)
            return await read(
                self._http,
                coinglass.SOURCE,
                asked,
                lambda reply: coinglass.parse_liquidations(reply.json, contract, reply.seen_at),
            )
        venue = self._venues[question.source]
        if question.table == "funding":
            since = now - PAST if newest is None else newest - RATES_BEFORE
            return await venue.funding(contract, since=since)
        if question.table == "open_interest":
            return await venue.open_interest(contract, count=count)
        return await venue.long_short(contract, count=count)

    async def _candles(self, since: datetime, bar: datetime) -> list[tuple[str, pd.DataFrame]]:
        found = await asyncio.gather(
            *(self._candles_of(symbol, since, bar) for symbol in self._markets)
        )
        return [("candles_1h", rows) for rows in found if rows is not None]

    async def _candles_of(self, symbol: str, since: datetime, bar: datetime) -> pd.DataFrame | None:
        """From the first exchange, or one that would not come before it in the market frame."""
        since = min(since, self._owed.get(symbol, since))
        first, *others = self._markets[symbol]
        later = [one for one in others if VENUES.index(one.venue) > VENUES.index(first.venue)]
        for contract in (first, *later):
            asked = self._venues[contract.venue].candles(contract, since=since - HOUR, until=bar)
            rows = await _or_none(asked)
            if contract is first:
                self._note_owed(symbol, None if rows is not None else since)
            if rows is not None:
                return rows
        return None

    def _note_owed(self, symbol: str, since: datetime | None) -> None:
        """A past that an exchange did not give is asked for again with the next bar."""
        if since is None:
            self._owed.pop(symbol, None)
        else:
            self._owed[symbol] = since

    async def _just_settled(self, bar: datetime) -> list[tuple[str, pd.DataFrame]]:
        """The rates settled with the bar, of all markets at once where the exchange tells them so."""
        found = []
        for name, venue in self._venues.items():
            own = {
                one.name: one
                for one in (many[0] for many in self._markets.values())
                if one.venue == name
            }
            rows = await _or_none(venue.all_funding(own, since=bar - JUST_SETTLED)) if own else None
            if rows is not None:
                found.append(("funding", rows))
        return found

    async def _fear_greed(self, since: datetime, bar: datetime) -> list[tuple[str, pd.DataFrame]]:
        asked = alternative_me.fetch_fear_greed(self._http, days=(bar - since).days + 3)
        rows = await _or_none(
            read(
                self._http,
                alternative_me.SOURCE,
                asked,
                lambda reply: alternative_me.parse_fear_greed(reply.json, reply.seen_at),
            )
        )
        return [] if rows is None else [("fear_greed", rows)]

    async def _social(self) -> list[tuple[str, pd.DataFrame]]:
        key = key_of(lunarcrush.SOURCE, self._settings)
        if key is None or not self._markets:
            return []
        firsts = [several[0] for several in self._markets.values()]
        prices = {
            one.symbol: price * one.scale
            for one in firsts
            if (price := self._prices.get(one.venue, {}).get(one.name)) is not None
        }
        rows = await _or_none(
            read(
                self._http,
                lunarcrush.SOURCE,
                lunarcrush.fetch_social(self._http, key=key),
                lambda reply: lunarcrush.parse_social(reply.json, firsts, prices, reply.seen_at),
            )
        )
        return [] if rows is None else [("social", rows)]

    async def _wait_for_statistics(self, bar: datetime) -> list[tuple[str, pd.DataFrame]]:
        # What has not come by then is asked on, and taken with the next bar.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asking.caught_up(bar), self._patience)
        return []

    async def _watch_the_close(self) -> None:
        """Take the snapshots once an hour, shortly before the bar closes."""
        taken_for = None
        while True:
            now = self._clock()
            closes = (now + SNAPSHOT_BEFORE).replace(minute=0, second=0, microsecond=0)
            if now < closes and closes != taken_for:
                taken_for = closes
                await asyncio.gather(
                    *(self._take_snapshot(name) for name in SNAPSHOTS if name in self._venues)
                )
            await asyncio.sleep(1)

    async def _take_snapshot(self, name: str) -> None:
        own = self.contracts[name]
        rows = await _or_none(self._venues[name].all_open_interest(own)) if own else None
        if rows is not None:
            self._snapshots[name] = rows

    def _taken_snapshots(self) -> list[tuple[str, pd.DataFrame]]:
        """Only of markets that no exchange before this one has: the others' history says more."""
        found = []
        for name, rows in self._snapshots.items():
            firsts = {symbol for symbol, many in self._markets.items() if many[0].venue == name}
            found.append(("open_interest", rows[rows["symbol"].isin(firsts)]))
        return found


async def _or_none(work: Coroutine[Any, Any, T]) -> T | None:
    """None where the source failed, which the client has noted in its state."""
    try:
        return await work
    except SourceError:
        return None


def _between(
    table: str, parts: Iterable[pd.DataFrame], since: datetime, bar: datetime
) -> pd.DataFrame:
    """Rows of a time, each once; the first of several counts."""
    source = FILES[table]
    rows = pd.concat([one for one in parts if len(one)], ignore_index=True)
    keys = [*(["symbol"] if source.per_symbol else []), "venue"]
    keys += ["open_at"] if source.has_open else [source.known_at]
    known = rows[source.known_at]
    return rows[(known >= since) & (known <= bar)].drop_duplicates(keys, ignore_index=True)
