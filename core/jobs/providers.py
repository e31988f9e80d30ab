"""The providers beside the exchanges: what each adds to the live market, where its key is set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from core.errors import SourceError
from core.jobs.asking import Newest, Question
from core.jobs.collecting import BACKFILL
from core.jobs.markets import Markets
from core.market.http import Http
from core.market.replies import Reply
from core.market.source_state import SourceState
from core.market.sources import (
    alternative_me,
    coinapi,
    coingecko,
    coinglass,
    key_of,
    lunarcrush,
)
from core.market.sources.venue import read
from core.market.symbols import Contract
from core.settings import Settings

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Coins are ranked by so many pages of 250, this often.
PAGES, RANKED_EVERY = 4, timedelta(days=1)
# Providers that are asked by the hour or the day are heard at least this often.
HEARD_EVERY = {
    alternative_me.SOURCE: timedelta(minutes=1),
    lunarcrush.SOURCE: timedelta(minutes=5),
    coingecko.SOURCE: timedelta(minutes=10),
}
# The provider of last resort allows 100 requests a day.
STAND_INS = 10
# Only this exchange says nothing of top traders, and of open interest in USD only what is now.
FILLED_IN = ("bybit",)


class Providers:
    """Asks the providers; lives on the loop of its `Http`."""

    def __init__(self, http: Http, settings: Settings, markets: Markets) -> None:
        self._http, self._markets = http, markets
        self._keys = {
            source: key_of(source, settings) or ""
            for source in (coinglass.SOURCE, lunarcrush.SOURCE, coinapi.SOURCE, coingecko.SOURCE)
        }
        self._coins: dict[str, int] = {}
        # Markets that had no social score when they were first seen, until their past has come.
        self._seen: set[str] = set()
        self._lacking: set[str] = set()
        self._ranked: pd.DataFrame | None = None
        self._untaken: pd.DataFrame | None = None
        self._ranked_at: datetime | None = None

    async def rank(self) -> None:
        """Find out which coin each market is, once a day; see `take_coins`."""
        now = self._http.now()
        if self._ranked_at is not None and now - self._ranked_at < RANKED_EVERY:
            return
        found = []
        for page in range(1, PAGES + 1):
            key = self._keys[coingecko.SOURCE]
            asked = coingecko.fetch_coins(self._http, page=page, key=key)
            try:
                found.append(await read(self._http, coingecko.SOURCE, asked, _coins))
            except SourceError:
                return  # The client has noted it in the source's state.
            if len(found[-1]) < coingecko.PAGE_SIZE:
                break
        self._ranked_at = now
        coins = pd.concat(found, ignore_index=True).drop_duplicates("coin_id", ignore_index=True)
        self._ranked = coingecko.match_coins(coins, self._markets.firsts, self._markets.prices())
        self._untaken = self._ranked

    def take_coins(self) -> pd.DataFrame | None:
        """The coins of the markets, where they were found out anew."""
        taken, self._untaken = self._untaken, None
        return taken

    def by_value(self, contracts: Iterable[Contract]) -> list[Contract]:
        """The most valuable coins first, unknown ones last: readers look at these most."""
        if self._ranked is None:
            return list(contracts)
        ranks = self._ranked["rank"].fillna(math.inf).to_dict()
        return sorted(contracts, key=lambda one: ranks.get(one.symbol, math.inf))

    async def prepare(self, newest: Newest) -> None:
        """Find out which coin of the social provider each market is, where its past is wanted."""
        fresh = set(self._markets.by_symbol) - self._seen
        self._seen |= fresh
        self._lacking |= fresh - set(newest.get("social", {}))
        if not self._keys[lunarcrush.SOURCE] or self._lacking <= set(self._coins):
            return
        firsts, prices = self._markets.firsts, self._markets.prices()
        asked = lunarcrush.fetch_social(self._http, key=self._keys[lunarcrush.SOURCE])
        try:
            self._coins |= await read(
                self._http,
                lunarcrush.SOURCE,
                asked,
                lambda reply: lunarcrush.parse_coin_ids(reply.json, firsts, prices),
            )
        except SourceError:
            return  # The client has noted it in the source's state.
        self._lacking &= set(self._coins)

    def questions(self) -> Iterable[Question]:
        """What is asked market by market over the hour."""
        if self._keys[coinglass.SOURCE]:
            for first in self.by_value(self._markets.firsts):
                yield Question(coinglass.SOURCE, "liquidations_4h", first)
                if first.venue in FILLED_IN:
                    yield Question(coinglass.SOURCE, "open_interest", first, needed=False)
                    yield Question(coinglass.SOURCE, "long_short", first, needed=False)
        if self._keys[lunarcrush.SOURCE]:
            for first in self.by_value(self._markets.firsts):
                if first.symbol in self._coins and first.symbol in self._lacking:
                    yield Question(lunarcrush.SOURCE, "social", first, needed=False, once=True)

    async def answer(self, question: Question, *, count: int) -> pd.DataFrame:
        contract = question.contract
        if question.source == lunarcrush.SOURCE:
            return await self._social_history(contract)
        key = self._keys[coinglass.SOURCE]
        fetch, parse = {
            "liquidations_4h": (coinglass.fetch_liquidations, coinglass.parse_liquidations),
            "open_interest": (coinglass.fetch_open_interest, coinglass.parse_open_interest),
            "long_short": (coinglass.fetch_long_short, coinglass.parse_long_short),
        }[question.table]
        asked = fetch(self._http, contract, key=key, count=count)
        return await read(
            self._http,
            coinglass.SOURCE,
            asked,
            lambda reply: parse(reply.json, contract, reply.seen_at),
        )

    async def fear_greed(self, newest: Newest, bar: datetime) -> list[tuple[str, pd.DataFrame]]:
        stored = newest.get("fear_greed", {}).get("", bar - BACKFILL)
        if bar - stored < DAY:
            return []  # There is one value a day.
        asked = alternative_me.fetch_fear_greed(self._http, days=(bar - stored).days + 3)
        return await self._table("fear_greed", alternative_me.SOURCE, asked, _fear_greed)

    async def social(self) -> list[tuple[str, pd.DataFrame]]:
        """The score of every coin as it is now."""
        key, firsts, prices = (
            self._keys[lunarcrush.SOURCE],
            self._markets.firsts,
            self._markets.prices(),
        )
        if not key or not firsts:
            return []
        return await self._table(
            "social",
            lunarcrush.SOURCE,
            lunarcrush.fetch_social(self._http, key=key),
            lambda reply: lunarcrush.parse_social(reply.json, firsts, prices, reply.seen_at),
        )

    async def ask_again(self) -> None:
        """Of providers that failed, or have not been heard of late, what is asked once an hour."""
        states = {state.source: state for state in self._http.states()}
        if self._is_due(states[alternative_me.SOURCE]):
            asked = alternative_me.fetch_fear_greed(self._http, days=1)
            await self._table("fear_greed", alternative_me.SOURCE, asked, _fear_greed)
        if self._keys[lunarcrush.SOURCE] and self._is_due(states[lunarcrush.SOURCE]):
            await self.social()
        if self._is_due(states[coingecko.SOURCE]):
            await self._first_coins()
            await self.rank()

    def _is_due(self, state: SourceState) -> bool:
        heard = state.last_success_at
        return bool(state.troubles) or (
            heard is not None and self._http.now() - heard > HEARD_EVERY[state.source]
        )

    async def _first_coins(self) -> None:
        key = self._keys[coingecko.SOURCE]
        asked = coingecko.fetch_coins(self._http, key=key)
        await self._table("coins", coingecko.SOURCE, asked, _coins)

    async def candles(
        self, symbols: Sequence[str], since: Mapping[str, datetime]
    ) -> list[pd.DataFrame]:
        """Candles of the first few markets, for when no exchange gives any."""
        key, found = self._keys[coinapi.SOURCE], []
        wanted = [self._markets.by_symbol[one][0] for one in symbols[:STAND_INS]] if key else []
        for venue in dict.fromkeys(one.venue for one in wanted):
            own = [one for one in wanted if one.venue == venue]
            try:
                names = await read(
                    self._http,
                    coinapi.SOURCE,
                    coinapi.fetch_symbols(self._http, venue, key=key),
                    lambda reply, own=own: coinapi.parse_symbols(reply.json, own),  # type: ignore[misc]
                )
                for name, contract in names.items():
                    found.append(await self._stand_in(name, contract, since[contract.symbol]))
            except SourceError:
                break  # The client has noted it in the source's state.
        return found

    async def _stand_in(self, name: str, contract: Contract, since: datetime) -> pd.DataFrame:
        count = int((self._http.now() - since) / HOUR) + 2
        asked = coinapi.fetch_candles(self._http, name, key=self._keys[coinapi.SOURCE], count=count)
        return await read(
            self._http,
            coinapi.SOURCE,
            asked,
            lambda reply: coinapi.parse_candles(reply.json, contract, reply.seen_at),
        )

    async def _social_history(self, contract: Contract) -> pd.DataFrame:
        asked = lunarcrush.fetch_social_history(
            self._http, key=self._keys[lunarcrush.SOURCE], coin_id=self._coins[contract.symbol]
        )
        found = await read(
            self._http,
            lunarcrush.SOURCE,
            asked,
            lambda reply: lunarcrush.parse_social_history(reply.json, contract, reply.seen_at),
        )
        self._lacking.discard(contract.symbol)
        return found

    async def _table(
        self, table: str, source: str, asked: Any, parse: Any
    ) -> list[tuple[str, pd.DataFrame]]:
        try:
            return [(table, await read(self._http, source, asked, parse))]
        except SourceError:
            return []  # The client has noted it in the source's state.


def _coins(reply: Reply) -> pd.DataFrame:
    return coingecko.parse_coins(reply.json)


def _fear_greed(reply: Reply) -> pd.DataFrame:
    return alternative_me.parse_fear_greed(reply.json, reply.seen_at)
