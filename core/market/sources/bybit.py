"""Bybit v5, linear perpetuals. Every public call costs 1 of 600 requests in 5 seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from core.market import files
from core.market.budgets import Budget
from core.market.replies import Reply
from core.market.sources.exchange import Exchange, Params, to_ms
from core.market.sources.funding import with_intervals
from core.market.sources.reading import (
    HOUR_MS,
    Wanted,
    get,
    milliseconds,
    number,
    read_listed_candle,
    records,
    rows,
    text,
)
from core.market.symbols import Contract

VENUE = "bybit"
BUDGETS = (Budget("requests", 600, 5),)
_LINEAR: Params = {"category": "linear"}
_LIST = ("result", "list")


def charges(method: str, params: Params) -> Mapping[str, int]:  # noqa: ARG001
    return {"requests": 1}


async def fetch_contracts(exchange: Exchange) -> Reply:
    return await exchange.get(
        "publicGetV5MarketInstrumentsInfo", {**_LINEAR, "limit": 1000}, fresh_seconds=3600
    )


def parse_contracts(raw: Any) -> list[Contract]:
    """Perpetuals in USDT that trade, with their present funding interval."""
    found = []
    for one in records(raw, VENUE, *_LIST):
        kind, status = text(one, "contractType", VENUE), text(one, "status", VENUE)
        if (kind, status, text(one, "quoteCoin", VENUE)) == ("LinearPerpetual", "Trading", "USDT"):
            minutes = number(get(one, "fundingInterval", VENUE))
            hours = minutes / 60 if minutes > 0 else None
            name, base = text(one, "symbol", VENUE), text(one, "baseCoin", VENUE)
            found.append(Contract(VENUE, name, base, "USDT", funding_hours=hours))
    return found


async def fetch_prices(exchange: Exchange) -> Reply:
    """Prices and open interest of every market, in one call."""
    return await exchange.get("publicGetV5MarketTickers", _LINEAR)


def parse_prices(raw: Any) -> dict[str, float]:
    """Mark price by the venue's own name; names without a readable one are left out."""
    found = records(raw, VENUE, *_LIST)
    marks = {text(one, "symbol", VENUE): number(get(one, "markPrice", VENUE)) for one in found}
    return {name: price for name, price in marks.items() if price > 0}


async def fetch_time(exchange: Exchange) -> Reply:
    return await exchange.get("publicGetV5MarketTime")


def parse_time(raw: Any) -> int | None:
    return milliseconds(get(raw, "time", VENUE))


async def fetch_candles(
    exchange: Exchange, contract: Contract, *, since: datetime, until: datetime, background: bool
) -> Reply:
    hours = (to_ms(until) - to_ms(since)) // HOUR_MS + 2
    asked = {**_LINEAR, "symbol": contract.name, "interval": "60", "start": to_ms(since)}
    limit = min(max(hours, 3), 1000)
    return await exchange.get(
        "publicGetV5MarketKline", {**asked, "limit": limit}, background=background
    )


def parse_candles(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of candles_1h; a bar counts once its close has passed."""
    found = [read_candle(one, contract) for one in records(raw, VENUE, *_LIST)]
    return rows(Wanted(files.CANDLES, VENUE, seen_at, newest_first=True), found)


def read_candle(one: Any, contract: Contract) -> dict[str, object]:
    """What a candle as the venue lists it says of a row."""
    return read_listed_candle(one, contract, VENUE, volume_at=5, quote_at=6)


async def fetch_funding(
    exchange: Exchange, contract: Contract, *, since: datetime, background: bool
) -> Reply:
    """The newest 200 settled rates; ``since`` is as far back as they need to go."""
    asked = {**_LINEAR, "symbol": contract.name, "limit": 200}
    window = {"startTime": to_ms(since), "endTime": to_ms(exchange.http.now())}
    return await exchange.get(
        "publicGetV5MarketFundingHistory", {**asked, **window}, background=background
    )


def parse_funding(raw: Any, contracts: Mapping[str, Contract], seen_at: datetime) -> pd.DataFrame:
    """Rows of funding: settled rates, as a fraction per their own interval."""
    found = [
        {
            "symbol": contracts[name].symbol,
            "known_ms": milliseconds(get(one, "fundingRateTimestamp", VENUE)),
            "funding_rate": get(one, "fundingRate", VENUE),
        }
        for one in records(raw, VENUE, *_LIST, empty=True)
        if (name := text(one, "symbol", VENUE)) in contracts
    ]
    stated = {one.symbol: one.funding_hours for one in contracts.values() if one.funding_hours}
    return rows(
        Wanted(files.FUNDING, VENUE, seen_at, newest_first=True), with_intervals(found, stated)
    )


async def fetch_open_interest(
    exchange: Exchange, contract: Contract, *, count: int, background: bool
) -> Reply:
    """The past of one market, in base units only; what is now is in `fetch_prices`."""
    asked = {**_LINEAR, "symbol": contract.name, "intervalTime": "1h", "limit": min(count, 200)}
    return await exchange.get("publicGetV5MarketOpenInterest", asked, background=background)


def parse_open_interest(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of open_interest in base units."""
    found = [
        {
            "symbol": contract.symbol,
            "known_ms": milliseconds(get(one, "timestamp", VENUE)),
            "open_interest": number(get(one, "openInterest", VENUE)) / contract.scale,
        }
        for one in records(raw, VENUE, *_LIST, empty=True)
    ]
    return rows(Wanted(files.OPEN_INTEREST, VENUE, seen_at, newest_first=True), found)


def parse_all_open_interest(
    raw: Any, contracts: Mapping[str, Contract], seen_at: datetime
) -> pd.DataFrame:
    """Rows of open_interest from the reply to `fetch_prices`, at the time the venue put on it."""
    time = milliseconds(get(raw, "time", VENUE))
    found = [
        {
            "symbol": contracts[name].symbol,
            "known_ms": time and min(time, to_ms(seen_at)),
            "open_interest_usd": get(one, "openInterestValue", VENUE),
            "open_interest": number(get(one, "openInterest", VENUE)) / contracts[name].scale,
        }
        for one in records(raw, VENUE, *_LIST)
        if (name := text(one, "symbol", VENUE)) in contracts
    ]
    return rows(Wanted(files.OPEN_INTEREST, VENUE, seen_at, newest_first=True), found)


async def fetch_long_short(
    exchange: Exchange, contract: Contract, *, count: int, background: bool
) -> Reply:
    asked = {**_LINEAR, "symbol": contract.name, "period": "1h", "limit": min(count, 500)}
    return await exchange.get("publicGetV5MarketAccountRatio", asked, background=background)


def parse_long_short(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of long_short; the venue says nothing of top traders."""
    found = [
        {
            "symbol": contract.symbol,
            "known_ms": milliseconds(get(one, "timestamp", VENUE)),
            "long_account_share": get(one, "buyRatio", VENUE),
        }
        for one in records(raw, VENUE, *_LIST, empty=True)
    ]
    return rows(Wanted(files.LONG_SHORT, VENUE, seen_at, newest_first=True), found)
