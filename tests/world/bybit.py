"""Bybit v5, linear perpetuals, as its REST interface answers: lists newest first."""

from __future__ import annotations

from typing import Any

from tests.world.binance import Answer, Query, _number
from tests.world.market import Market


def _reply(market: Market, rows: list[Any], **more: Any) -> Any:
    result = {"category": "linear", "list": rows, **more}
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": market.now_ms}


def _page(rows: list[Any], query: Query, usual: int, most: int) -> list[Any]:
    return rows[::-1][: min(int(query.get("limit", usual)), most)]


def instruments(market: Market, query: Query) -> Any:
    rows = [
        {
            "symbol": symbol,
            "contractType": "LinearPerpetual",
            "status": "Trading",
            "baseCoin": symbol.removesuffix("USDT"),
            "quoteCoin": "USDT",
            "settleCoin": "USDT",
            "fundingInterval": int(market.funding_hours(symbol) * 60),
        }
        for symbol in market.symbols
    ]
    return _reply(market, rows, nextPageCursor="")


def tickers(market: Market, query: Query) -> Any:
    rows = []
    for symbol in market.symbols:
        price, held = market.price(symbol), market.newest("open_interest", symbol)
        if price is not None:
            row = {"symbol": symbol, "lastPrice": repr(price), "markPrice": repr(price)}
            if held is not None:
                row["openInterestValue"] = repr(float(held["open_interest_usd"]))
            in_base = float(held.get("open_interest", "nan")) if held else float("nan")
            row["openInterest"] = repr(in_base)
            rows.append({"openInterestValue": "", **row})
    return _reply(market, rows)


def kline(market: Market, query: Query) -> Any:
    start, end = _number(query, "start"), _number(query, "end")
    rows = [
        [
            str(row["open_ms"]),
            *(repr(float(row[name])) for name in ("open", "high", "low", "close", "volume")),
            repr(float(row["quote_volume"])),
        ]
        for row in market.candles(query["symbol"], first=start, last=end)
    ]
    return _reply(market, _page(rows, query, 200, 1000), symbol=query["symbol"])


def funding_history(market: Market, query: Query) -> Any:
    start, end = _number(query, "startTime"), _number(query, "endTime")
    rows = [
        {
            "symbol": query["symbol"],
            "fundingRate": repr(float(row["funding_rate"])),
            "fundingRateTimestamp": str(row["known_ms"]),
        }
        for row in market.rows("funding", query["symbol"], first=start, last=end)
    ]
    return _reply(market, _page(rows, query, 200, 200))


def open_interest(market: Market, query: Query) -> Any:
    rows = [
        {"openInterest": repr(float(row["open_interest"])), "timestamp": str(row["known_ms"])}
        for row in market.rows("open_interest", query["symbol"])
        if "open_interest" in row
    ]
    return _reply(market, _page(rows, query, 50, 200), symbol=query["symbol"], nextPageCursor="")


def account_ratio(market: Market, query: Query) -> Any:
    rows = [
        {
            "symbol": query["symbol"],
            "buyRatio": repr(float(row["long_account_share"])),
            "sellRatio": repr(1 - float(row["long_account_share"])),
            "timestamp": str(row["known_ms"]),
        }
        for row in market.rows("long_short", query["symbol"])
    ]
    return _reply(market, _page(rows, query, 50, 500), nextPageCursor="")


ANSWERS: dict[str, Answer] = {
    "/v5/market/instruments-info": instruments,
    "/v5/market/tickers": tickers,
    "/v5/market/time": lambda market, _: {**_reply(market, []), "result": {}},
    "/v5/market/kline": kline,
    "/v5/market/funding/history": funding_history,
    "/v5/market/open-interest": open_interest,
    "/v5/market/account-ratio": account_ratio,
}
BUDGETS = {"requests": (600, 5.0)}


def cost(path: str, query: Query) -> tuple[str, int]:
    return "requests", 1
