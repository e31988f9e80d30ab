"""Binance USD-M futures. Addresses and weights: its REST documentation; only public ones are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from core.market import files
from core.market.budgets import Budget
from core.market.replies import Reply
from core.market.sources.exchange import Exchange, Params, join, to_ms
from core.market.sources.funding import with_intervals
from core.market.sources.reading import (
    HOUR_MS,
    Wanted,
    get,
    milliseconds,
    number,
    records,
    rows,
    share_rows,
    text,
)
from core.market.symbols import Contract

VENUE = "binance"
BUDGETS = (
    Budget("weight", 2400, 60, used_header="x-mbx-used-weight-1m"),
    Budget("funding", 500, 300),
    Budget("statistics", 1000, 300),
)
# What is not listed with an interval of its own settles every 8 hours.
USUAL_FUNDING_HOURS = 8.0


def charges(method: str, params: Params) -> Mapping[str, int]:
    """What a call costs.

    >>> charges("fapiPublicGetKlines", {"limit": 720}), charges("fapiPublicGetPremiumIndex", {})
    ({'weight': 5}, {'weight': 10})
    """
    if method.startswith("fapiData"):
        return {"statistics": 1}
    if method.startswith("fapiPublicGetFunding"):
        return {"funding": 1, "weight": 1}
    if method == "fapiPublicGetKlines":
        limit = int(params["limit"])
        return {"weight": 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10}
    return {"weight": 10 if method == "fapiPublicGetPremiumIndex" else 1}


async def fetch_contracts(exchange: Exchange) -> Reply:
    return await exchange.get("fapiPublicGetExchangeInfo", fresh_seconds=3600)


def parse_contracts(raw: Any) -> list[Contract]:
    """Perpetuals in USDT that trade."""
    found = []
    for one in records(raw, VENUE, "symbols"):
        if (
            text(one, "contractType", VENUE) == "PERPETUAL"
            and text(one, "status", VENUE) == "TRADING"
        ):
            base, quote = text(one, "baseAsset", VENUE), text(one, "quoteAsset", VENUE)
            if quote == "USDT" == text(one, "marginAsset", VENUE):
                found.append(Contract(VENUE, text(one, "symbol", VENUE), base, quote))
    return found


async def fetch_prices(exchange: Exchange) -> Reply:
    return await exchange.get("fapiPublicGetPremiumIndex")


def parse_prices(raw: Any) -> dict[str, float]:
    """Mark price by the venue's own name; names without a readable one are left out."""
    marks = {
        text(one, "symbol", VENUE): number(get(one, "markPrice", VENUE))
        for one in records(raw, VENUE)
    }
    return {name: price for name, price in marks.items() if price > 0}


async def fetch_time(exchange: Exchange) -> Reply:
    return await exchange.get("fapiPublicGetTime")


def parse_time(raw: Any) -> int | None:
    return milliseconds(get(raw, "serverTime", VENUE))


async def fetch_candles(
    exchange: Exchange, contract: Contract, *, since: datetime, until: datetime, background: bool
) -> Reply:
    hours = (to_ms(until) - to_ms(since)) // HOUR_MS + 2
    asked = {"symbol": contract.name, "interval": "1h", "startTime": to_ms(since)}
    limit = min(max(hours, 3), 1000)
    return await exchange.get(
        "fapiPublicGetKlines", {**asked, "limit": limit}, background=background
    )


def parse_candles(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of candles_1h; a bar counts once its close has passed."""
    found = [read_candle(one, contract) for one in records(raw, VENUE)]
    return rows(Wanted(files.CANDLES, VENUE, seen_at), found)


def read_candle(one: Any, contract: Contract) -> dict[str, object]:
    """What a candle as the venue lists it says of a row."""
    open_ms = milliseconds(get(one, 0, VENUE))
    values = {name: get(one, at, VENUE) for at, name in enumerate(files.CANDLES.numbers, 1)}
    times = {"open_ms": open_ms, "known_ms": open_ms and open_ms + HOUR_MS}
    return {"symbol": contract.symbol, **times, **values, "quote_volume": get(one, 7, VENUE)}


async def fetch_funding(
    exchange: Exchange, contract: Contract, *, since: datetime, background: bool
) -> Reply:
    """One market's settled rates, at most the first 1,000."""
    asked = {"symbol": contract.name, "startTime": to_ms(since), "limit": 1000}
    rates, intervals = await asyncio.gather(
        exchange.get("fapiPublicGetFundingRate", asked, background=background),
        exchange.get("fapiPublicGetFundingInfo", fresh_seconds=900, background=background),
    )
    return join(rates=rates, intervals=intervals)


async def fetch_all_funding(exchange: Exchange, *, since: datetime) -> Reply:
    """The rates settled since a time, of every market, at most the first 1,000.

    So ``since`` must be so near that no more can have been settled: minutes, not days.
    """
    rates, intervals = await asyncio.gather(
        exchange.get("fapiPublicGetFundingRate", {"startTime": to_ms(since), "limit": 1000}),
        exchange.get("fapiPublicGetFundingInfo", fresh_seconds=900),
    )
    return join(rates=rates, intervals=intervals)


def parse_funding(raw: Any, contracts: Mapping[str, Contract], seen_at: datetime) -> pd.DataFrame:
    """Rows of funding: settled rates, as a fraction per their own interval."""
    special = {
        text(one, "symbol", VENUE): number(get(one, "fundingIntervalHours", VENUE))
        for one in records(raw, VENUE, "intervals", empty=True)
    }
    stated = {one.symbol: special.get(name, USUAL_FUNDING_HOURS) for name, one in contracts.items()}
    found = [
        {
            "symbol": contracts[name].symbol,
            "known_ms": milliseconds(get(one, "fundingTime", VENUE)),
            "funding_rate": get(one, "fundingRate", VENUE),
        }
        for one in records(raw, VENUE, "rates", empty=True)
        if (name := text(one, "symbol", VENUE)) in contracts
    ]
    return rows(Wanted(files.FUNDING, VENUE, seen_at), with_intervals(found, stated))


def parse_all_funding(
    raw: Any, contracts: Mapping[str, Contract], seen_at: datetime
) -> pd.DataFrame:
    """Rows of funding; none is nothing odd, because most minutes nothing is settled."""
    found = parse_funding(raw, contracts, seen_at)
    if found.empty:
        found.attrs.clear()
    return found


async def fetch_open_interest(
    exchange: Exchange, contract: Contract, *, count: int, background: bool
) -> Reply:
    asked = {"symbol": contract.name, "period": "1h", "limit": min(count, 500)}
    return await exchange.get("fapiDataGetOpenInterestHist", asked, background=background)


def parse_open_interest(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of open_interest, in USD and in base units."""
    found = [
        {
            "symbol": contract.symbol,
            "known_ms": milliseconds(get(one, "timestamp", VENUE)),
            "open_interest_usd": get(one, "sumOpenInterestValue", VENUE),
            "open_interest": get(one, "sumOpenInterest", VENUE),
        }
        for one in records(raw, VENUE, empty=True)
    ]
    return rows(Wanted(files.OPEN_INTEREST, VENUE, seen_at), found)


_LONG_SHORT = {
    "long_account_share": "fapiDataGetGlobalLongShortAccountRatio",
    "top_account_long_share": "fapiDataGetTopLongShortAccountRatio",
    "top_position_long_share": "fapiDataGetTopLongShortPositionRatio",
}


async def fetch_long_short(
    exchange: Exchange, contract: Contract, *, count: int, background: bool
) -> Reply:
    """The accounts and both kinds of top traders; top traders may be missing, the accounts not."""
    asked = {"symbol": contract.name, "period": "1h", "limit": min(count, 500)}
    return await exchange.get_group(_LONG_SHORT, asked, background=background)


def parse_long_short(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of long_short; a time that only the top traders have is left out."""
    shares = {
        name: list(_shares(records(raw, VENUE, name, empty=True)))
        for name in _LONG_SHORT
        if name in raw
    }
    return share_rows(Wanted(files.LONG_SHORT, VENUE, seen_at), contract, shares)


def _shares(found: Iterable[Any]) -> Iterable[tuple[int | None, Any]]:
    return (
        (milliseconds(get(one, "timestamp", VENUE)), get(one, "longAccount", VENUE))
        for one in found
    )
