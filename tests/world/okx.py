"""OKX v5, linear swaps, as its REST interface answers: lists newest first, sizes in contracts."""

from __future__ import annotations

from typing import Any

from tests.world.binance import Answer, Query, _number
from tests.world.market import Market

CONTRACT_SIZE = 0.01


def _name(symbol: str) -> str:
    return f"{symbol.removesuffix('USDT')}-USDT-SWAP"


def _symbol(query: Query) -> str:
    return query["instId"].removesuffix("-USDT-SWAP") + "USDT"


def _reply(rows: list[Any]) -> Any:
    return {"code": "0", "msg": "", "data": rows}


def _page(rows: list[Any], query: Query, most: int) -> list[Any]:
    return rows[::-1][: min(int(query.get("limit", most)), most)]


def instruments(market: Market, query: Query) -> Any:
    return _reply(
        [
            {
                "instId": _name(symbol),
                "instType": "SWAP",
                "instFamily": _name(symbol).removesuffix("-SWAP"),
                "uly": _name(symbol).removesuffix("-SWAP"),
                "ctType": "linear",
                "ctVal": str(CONTRACT_SIZE),
                "ctMult": "1",
                "ctValCcy": symbol.removesuffix("USDT"),
                "settleCcy": "USDT",
                "state": "live",
            }
            for symbol in market.symbols
        ]
    )


def mark_price(market: Market, query: Query) -> Any:
    prices = {symbol: market.price(symbol) for symbol in market.symbols}
    return _reply(
        [
            {
                "instId": _name(symbol),
                "instType": "SWAP",
                "markPx": repr(price),
                "ts": str(market.now_ms),
            }
            for symbol, price in prices.items()
            if price is not None
        ]
    )


def candles(market: Market, query: Query) -> Any:
    """``after`` asks for what is older than a time, ``before`` for what is newer."""
    after, before = _number(query, "after"), _number(query, "before")
    rows = market.candles(
        _symbol(query),
        first=None if before is None else before + 1,
        last=None if after is None else after - 1,
    )
    listed = [
        [
            str(row["open_ms"]),
            *(repr(float(row[name])) for name in ("open", "high", "low", "close")),
            repr(float(row["volume"]) / CONTRACT_SIZE),
            repr(float(row["volume"])),
            repr(float(row["quote_volume"])),
            "1" if row["closed"] else "0",
        ]
        for row in rows
    ]
    return _reply(_page(listed, query, 300))


def funding_rate_history(market: Market, query: Query) -> Any:
    after, before = _number(query, "after"), _number(query, "before")
    rows = [
        {
            "instId": query["instId"],
            "fundingRate": repr(float(row["funding_rate"])),
            "realizedRate": repr(float(row["funding_rate"])),
            "fundingTime": str(row["known_ms"]),
        }
        for row in market.rows(
            "funding",
            _symbol(query),
            first=None if before is None else before + 1,
            last=None if after is None else after - 1,
        )
    ]
    return _reply(_page(rows, query, 100))


def open_interest(market: Market, query: Query) -> Any:
    held = {symbol: market.newest("open_interest", symbol) for symbol in market.symbols}
    return _reply(
        [
            {
                "instId": _name(symbol),
                "instType": "SWAP",
                "oi": repr(float(row["open_interest"]) / CONTRACT_SIZE),
                "oiCcy": repr(float(row["open_interest"])),
                "oiUsd": repr(float(row["open_interest_usd"])),
                "ts": str(row["known_ms"]),
            }
            for symbol, row in held.items()
            if row is not None and "open_interest" in row
        ]
    )


def open_interest_history(market: Market, query: Query) -> Any:
    rows = [
        [
            str(row["known_ms"]),
            repr(float(row["open_interest"]) / CONTRACT_SIZE),
            repr(float(row["open_interest"])),
            repr(float(row["open_interest_usd"])),
        ]
        for row in market.rows("open_interest", _symbol(query))
        if "open_interest" in row
    ]
    return _reply(_page(rows, query, 100))


def _ratio(column: str) -> Answer:
    def answer(market: Market, query: Query) -> Any:
        rows = [
            [str(row["known_ms"]), repr(float(row[column]) / (1 - float(row[column])))]
            for row in market.rows("long_short", _symbol(query))
        ]
        return _reply(_page(rows, query, 100))

    return answer


_STATISTICS = "/api/v5/rubik/stat/contracts"
ANSWERS: dict[str, Answer] = {
    "/api/v5/public/instruments": instruments,
    "/api/v5/public/mark-price": mark_price,
    "/api/v5/public/time": lambda market, _: _reply([{"ts": str(market.now_ms)}]),
    "/api/v5/market/candles": candles,
    "/api/v5/market/history-candles": candles,
    "/api/v5/public/funding-rate-history": funding_rate_history,
    "/api/v5/public/open-interest": open_interest,
    f"{_STATISTICS}/open-interest-history": open_interest_history,
    f"{_STATISTICS}/long-short-account-ratio-contract": _ratio("long_account_share"),
    f"{_STATISTICS}/long-short-account-ratio-contract-top-trader": _ratio("top_account_long_share"),
    f"{_STATISTICS}/long-short-position-ratio-contract-top-trader": _ratio(
        "top_position_long_share"
    ),
}
_ALLOWED = {
    "/api/v5/public/instruments": 20,
    "/api/v5/market/candles": 40,
    "/api/v5/market/history-candles": 20,
    "/api/v5/public/open-interest": 20,
    f"{_STATISTICS}/open-interest-history": 10,
    f"{_STATISTICS}/long-short-account-ratio-contract": 5,
    f"{_STATISTICS}/long-short-account-ratio-contract-top-trader": 5,
    f"{_STATISTICS}/long-short-position-ratio-contract-top-trader": 5,
}
BUDGETS = {path: (_ALLOWED.get(path, 10), 2.0) for path in ANSWERS}


def cost(path: str, query: Query) -> tuple[str, int]:
    return path, 1
