"""The providers beside the exchanges, as their interfaces answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.world.binance import Answer, Query
from tests.world.market import HOUR_MS, Market

_DAY_MS = 24 * HOUR_MS


def fear_greed(market: Market, query: Query) -> Any:
    rows = [
        {
            "value": f"{row['fear_greed']:g}",
            "value_classification": "Neutral",
            "timestamp": str(row["known_ms"] // _DAY_MS * _DAY_MS // 1000),
        }
        for row in market.rows("fear_greed")
    ]
    limit = int(query.get("limit", 1))
    newest_first = rows[::-1][: limit or None]
    return {"name": "Fear and Greed Index", "data": newest_first, "metadata": {"error": None}}


def coins(market: Market, query: Query) -> Any:
    page, size = int(query.get("page", 1)), int(query.get("per_page", 100))
    listed = market.symbols[(page - 1) * size : page * size]
    return [
        {
            "id": symbol.removesuffix("USDT").lower(),
            "symbol": symbol.removesuffix("USDT").lower(),
            "name": symbol.removesuffix("USDT").title(),
            "current_price": market.price(symbol),
            "market_cap": 1e9 / rank,
            "market_cap_rank": rank,
        }
        for rank, symbol in enumerate(listed, (page - 1) * size + 1)
    ]


def trending(market: Market, query: Query) -> Any:
    names = [symbol.removesuffix("USDT").lower() for symbol in market.symbols[:7]]
    return {"coins": [{"item": {"id": name, "symbol": name.upper()}} for name in names]}


def social(market: Market, query: Query) -> Any:
    """The list as it was last made: coins whose score came then."""
    newest = {symbol: market.newest("social", symbol) for symbol in market.symbols}
    made = max((row["known_ms"] for row in newest.values() if row), default=0)
    rows = [
        {
            "id": number,
            "symbol": symbol.removesuffix("USDT"),
            "name": symbol.removesuffix("USDT").title(),
            "price": market.price(symbol),
            "galaxy_score": row["social_score"],
            "alt_rank": number,
            "sentiment": 80,
        }
        for number, (symbol, row) in enumerate(newest.items(), 1)
        if row is not None and row["known_ms"] == made
    ]
    return {"config": {"generated": made // 1000, "total_rows": len(rows)}, "data": rows}


def social_history(market: Market, query: Query) -> Any:
    symbol = market.symbols[int(query["coin"]) - 1]
    rows = [
        {"time": (row["known_ms"] - HOUR_MS) // 1000, "galaxy_score": row["social_score"]}
        for row in market.rows("social", symbol)
    ]
    config = {"id": f"coins:{query['coin']}", "symbol": symbol.removesuffix("USDT")}
    return {"config": {**config, "generated": market.now_ms // 1000}, "data": rows}


def _coinglass(rows: list[Any], query: Query) -> Any:
    return {"code": "0", "msg": "success", "data": rows[-int(query.get("limit", 1000)) :]}


def liquidations(market: Market, query: Query) -> Any:
    rows = [
        {
            "time": row["open_ms"],
            "long_liquidation_usd": repr(float(row["long_liquidations_usd"])),
            "short_liquidation_usd": repr(float(row["short_liquidations_usd"])),
        }
        for row in market.hourly_liquidations(query["symbol"])
    ]
    return _coinglass(rows, query)


def open_interest(market: Market, query: Query) -> Any:
    rows = [
        {
            "time": row["known_ms"] - HOUR_MS,
            **dict.fromkeys(("open", "high", "low"), repr(float(row["open_interest_usd"]))),
            "close": repr(float(row["open_interest_usd"])),
        }
        for row in market.rows("open_interest", query["symbol"])
    ]
    return _coinglass(rows, query)


def _ratio(column: str, prefix: str) -> Answer:
    def answer(market: Market, query: Query) -> Any:
        rows = [
            {
                "time": row["known_ms"] - HOUR_MS,
                f"{prefix}_long_percent": float(row[column]) * 100,
                f"{prefix}_short_percent": 100 - float(row[column]) * 100,
            }
            for row in market.rows("long_short", query["symbol"])
        ]
        return _coinglass(rows, query)

    return answer


def coinapi_symbols(market: Market, query: Query) -> Any:
    exchange = query["filter_exchange_id"]
    return [
        {
            "symbol_id": f"{exchange}_PERP_{symbol.removesuffix('USDT')}_USDT",
            "exchange_id": exchange,
            "symbol_type": "PERPETUAL",
            "symbol_id_exchange": symbol,
        }
        for symbol in market.symbols
    ]


def coinapi_candles(market: Market, query: Query) -> Any:
    symbol = query["symbol_id"].split("_PERP_")[1].replace("_", "")
    rows = [
        {
            "time_period_start": _iso(row["open_ms"]),
            "time_period_end": _iso(row["open_ms"] + HOUR_MS),
            **{f"price_{name}": row[name] for name in ("open", "high", "low", "close")},
            "volume_traded": row["volume"],
        }
        for row in market.candles(symbol)
    ]
    return rows[::-1][: int(query.get("limit", 100))]


def _iso(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.0000000Z"


_FUTURES = "/api/futures"
ANSWERS: dict[str, dict[str, Answer]] = {
    "alternative_me": {"/fng/": fear_greed},
    "coingecko": {"/api/v3/coins/markets": coins, "/api/v3/search/trending": trending},
    "lunarcrush": {
        "/api4/public/coins/list/v2": social,
        "/api4/public/coins/{coin}/time-series/v2": social_history,
    },
    "coinglass": {
        f"{_FUTURES}/liquidation/history": liquidations,
        f"{_FUTURES}/open-interest/history": open_interest,
        f"{_FUTURES}/global-long-short-account-ratio/history": _ratio(
            "long_account_share", "global_account"
        ),
        f"{_FUTURES}/top-long-short-account-ratio/history": _ratio(
            "top_account_long_share", "top_account"
        ),
        f"{_FUTURES}/top-long-short-position-ratio/history": _ratio(
            "top_position_long_share", "top_position"
        ),
    },
    "coinapi": {
        "/v1/symbols": coinapi_symbols,
        "/v1/ohlcv/{symbol_id}/latest": coinapi_candles,
    },
}
# The header in which each wants its key, and what the key must begin with.
KEYS = {
    "coinglass": ("CG-API-KEY", ""),
    "lunarcrush": ("Authorization", "Bearer "),
    "coinapi": ("X-CoinAPI-Key", ""),
}
BUDGETS = {
    "alternative_me": {"requests": (60, 60.0)},
    "coingecko": {"requests": (30, 60.0)},
    "lunarcrush": {"requests": (10, 60.0)},
    "coinglass": {"requests": (30, 60.0)},
    "coinapi": {"requests": (100, 86_400.0)},
}
