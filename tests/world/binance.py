"""Binance USD-M futures, as its REST interface answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.world.market import HOUR_MS, Market

Query = Mapping[str, str]
Answer = Callable[[Market, Query], Any]


def _newest(rows: list[Any], query: Query, usual: int, most: int) -> list[Any]:
    return rows[-min(int(query.get("limit", usual)), most) :]


def _first(rows: list[Any], query: Query, usual: int, most: int) -> list[Any]:
    return rows[: min(int(query.get("limit", usual)), most)]


def _number(query: Query, name: str) -> int | None:
    return int(query[name]) if name in query else None


def exchange_info(market: Market, query: Query) -> Any:
    symbols = [
        {
            "symbol": symbol,
            "pair": symbol,
            "contractType": "PERPETUAL",
            "status": "TRADING",
            "baseAsset": symbol.removesuffix("USDT"),
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "pricePrecision": 4,
            "quantityPrecision": 3,
            "filters": [],
            "orderTypes": ["LIMIT", "MARKET"],
        }
        for symbol in market.symbols
    ]
    dated = {**symbols[0], "symbol": "BTCUSDT_260327", "contractType": "CURRENT_QUARTER"}
    return {"timezone": "UTC", "serverTime": market.now_ms, "symbols": [*symbols, dated]}


def klines(market: Market, query: Query) -> Any:
    start = _number(query, "startTime")
    rows = [
        [
            row["open_ms"],
            *(repr(float(row[name])) for name in ("open", "high", "low", "close", "volume")),
            row["open_ms"] + HOUR_MS - 1,
            repr(float(row["quote_volume"])),
            100,
            "1.0",
            "1.0",
            "0",
        ]
        for row in market.candles(query["symbol"], first=start, last=_number(query, "endTime"))
    ]
    return (_newest if start is None else _first)(rows, query, 500, 1500)


def premium_index(market: Market, query: Query) -> Any:
    rows = [
        {
            "symbol": symbol,
            "markPrice": repr(price),
            "indexPrice": repr(price),
            "lastFundingRate": "0.00010000",
            "nextFundingTime": 0,
            "time": market.now_ms,
        }
        for symbol in market.symbols
        if (price := market.price(symbol)) is not None
    ]
    named = [row for row in rows if row["symbol"] == query.get("symbol")]
    return named[0] if named else rows


def funding_rate(market: Market, query: Query) -> Any:
    start, end = _number(query, "startTime"), _number(query, "endTime")
    symbols = [query["symbol"]] if "symbol" in query else market.symbols
    rows = [
        {
            "symbol": symbol,
            "fundingTime": row["known_ms"],
            "fundingRate": repr(float(row["funding_rate"])),
            "markPrice": "1.0",
        }
        for symbol in symbols
        for row in market.rows("funding", symbol, first=start, last=end)
    ]
    rows.sort(key=lambda row: row["fundingTime"])
    return (_newest if start is None else _first)(rows, query, 100, 1000)


def funding_info(market: Market, query: Query) -> Any:
    hours = {symbol: market.funding_hours(symbol) for symbol in market.symbols}
    return [
        {"symbol": symbol, "fundingIntervalHours": int(interval), "disclaimer": False}
        for symbol, interval in hours.items()
        if interval != 8
    ]


def open_interest(market: Market, query: Query) -> Any:
    rows = [
        {
            "symbol": query["symbol"],
            "sumOpenInterest": repr(float(row.get("open_interest", "nan"))),
            "sumOpenInterestValue": repr(float(row["open_interest_usd"])),
            "timestamp": row["known_ms"],
        }
        for row in market.rows("open_interest", query["symbol"])
    ]
    return _newest(rows, query, 30, 500)


def _ratio(column: str) -> Answer:
    def answer(market: Market, query: Query) -> Any:
        rows = [
            {
                "symbol": query["symbol"],
                "longAccount": repr(float(row[column])),
                "shortAccount": repr(1 - float(row[column])),
                "longShortRatio": repr(float(row[column]) / (1 - float(row[column]))),
                "timestamp": row["known_ms"],
            }
            for row in market.rows("long_short", query["symbol"])
        ]
        return _newest(rows, query, 30, 500)

    return answer


ANSWERS: dict[str, Answer] = {
    "/fapi/v1/exchangeInfo": exchange_info,
    "/fapi/v1/time": lambda market, _: {"serverTime": market.now_ms},
    "/fapi/v1/klines": klines,
    "/fapi/v1/premiumIndex": premium_index,
    "/fapi/v1/fundingRate": funding_rate,
    "/fapi/v1/fundingInfo": funding_info,
    "/futures/data/openInterestHist": open_interest,
    "/futures/data/globalLongShortAccountRatio": _ratio("long_account_share"),
    "/futures/data/topLongShortAccountRatio": _ratio("top_account_long_share"),
    "/futures/data/topLongShortPositionRatio": _ratio("top_position_long_share"),
}


def cost(path: str, query: Query) -> tuple[str, int]:
    """The published budget a request is charged to, and how much."""
    if path.startswith("/futures/data"):
        return "statistics", 1
    if "/funding" in path:
        return "funding", 1
    if path.endswith("klines"):
        limit = int(query.get("limit", 500))
        return "weight", 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
    return "weight", 10 if path.endswith("premiumIndex") else 1


BUDGETS = {"weight": (2400, 60.0), "funding": (500, 300.0), "statistics": (1000, 300.0)}
