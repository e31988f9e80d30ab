"""What ccxt's unified methods ask of the exchanges beside what the worker does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.world import binance, bybit, okx
from tests.world.binance import Answer, Query
from tests.world.market import Market

_SIZE, _FEW = "1.5", 3


def _levels(price: float) -> tuple[list[list[str]], list[list[str]]]:
    """Bids and asks around a price, the nearest first."""
    steps = range(1, _FEW + 1)
    bids = [[repr(price * (1 - step / 10_000)), _SIZE] for step in steps]
    return bids, [[repr(price * (1 + step / 10_000)), _SIZE] for step in steps]


def _each(one: Callable[[Market, str], Any]) -> Answer:
    """A row for the symbol that is asked for, or the rows of all."""

    def answer(market: Market, query: Query) -> Any:
        if "symbol" in query:
            return one(market, query["symbol"])
        return [one(market, symbol) for symbol in market.symbols]

    return answer


def _binance_day(market: Market, symbol: str) -> Any:
    price = repr(market.price(symbol))
    prices = dict.fromkeys(("lastPrice", "openPrice", "highPrice", "lowPrice"), price)
    return {
        "symbol": symbol, "priceChange": "0", "priceChangePercent": "0", **prices,
        "volume": "10", "quoteVolume": "1000", "openTime": market.now_ms, "closeTime": market.now_ms,
    }  # fmt: skip


def _binance_best(market: Market, symbol: str) -> Any:
    bids, asks = _levels(market.price(symbol) or 1.0)
    return {
        "symbol": symbol, "bidPrice": bids[0][0], "bidQty": _SIZE, "askPrice": asks[0][0],
        "askQty": _SIZE, "time": market.now_ms,
    }  # fmt: skip


def _binance_depth(market: Market, query: Query) -> Any:
    bids, asks = _levels(market.price(query["symbol"]) or 1.0)
    return {"lastUpdateId": 1, "E": market.now_ms, "T": market.now_ms, "bids": bids, "asks": asks}


def _binance_trades(market: Market, query: Query) -> Any:
    price = repr(market.price(query["symbol"]))
    return [
        {"a": n, "p": price, "q": _SIZE, "f": n, "l": n, "T": market.now_ms - n, "m": bool(n % 2)}
        for n in range(_FEW)
    ]


def _binance_of_pair(market: Market, query: Query) -> Any:
    return binance.klines(market, {**query, "symbol": query["pair"]})


BINANCE: dict[str, Answer] = {
    "/fapi/v1/ticker/24hr": _each(_binance_day),
    "/fapi/v1/ticker/bookTicker": _each(_binance_best),
    "/fapi/v2/ticker/price": _each(
        lambda market, symbol: {"symbol": symbol, "price": repr(market.price(symbol))}
    ),
    "/fapi/v1/depth": _binance_depth,
    "/fapi/v1/aggTrades": _binance_trades,
    "/fapi/v1/markPriceKlines": binance.klines,
    "/fapi/v1/premiumIndexKlines": binance.klines,
    "/fapi/v1/indexPriceKlines": _binance_of_pair,
    "/fapi/v1/openInterest": lambda market, query: {
        "symbol": query["symbol"], "openInterest": "10", "time": market.now_ms,
    },
}  # fmt: skip


def _bybit(market: Market, result: Any) -> Any:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": market.now_ms}


def _bybit_book(market: Market, query: Query) -> Any:
    bids, asks = _levels(market.price(query["symbol"]) or 1.0)
    return _bybit(market, {"s": query["symbol"], "b": bids, "a": asks, "ts": market.now_ms, "u": 1})


def _bybit_trades(market: Market, query: Query) -> Any:
    price = repr(market.price(query["symbol"]))
    rows = [
        {
            "execId": str(n), "symbol": query["symbol"], "price": price, "size": _SIZE,
            "side": "Buy", "time": str(market.now_ms - n), "isBlockTrade": False,
        }
        for n in range(_FEW)
    ]  # fmt: skip
    return _bybit(market, {"category": "linear", "list": rows})


def _bybit_tiers(market: Market, query: Query) -> Any:
    row = {
        "id": 1, "symbol": query["symbol"], "riskLimitValue": "2000000",
        "maintenanceMargin": "0.005", "initialMargin": "0.01", "isLowestRisk": 1, "maxLeverage": "100",
    }  # fmt: skip
    return _bybit(market, {"category": "linear", "list": [row], "nextPageCursor": ""})


BYBIT: dict[str, Answer] = {
    "/v5/market/orderbook": _bybit_book,
    "/v5/market/recent-trade": _bybit_trades,
    "/v5/market/risk-limit": _bybit_tiers,
    "/v5/market/mark-price-kline": bybit.kline,
    "/v5/market/index-price-kline": bybit.kline,
    "/v5/market/premium-index-price-kline": bybit.kline,
}


def _okx_ticker(market: Market, symbol: str) -> Any:
    price = repr(market.price(symbol))
    prices = dict.fromkeys(("last", "open24h", "high24h", "low24h", "askPx", "bidPx"), price)
    return {
        "instType": "SWAP", "instId": f"{symbol.removesuffix('USDT')}-USDT-SWAP", **prices,
        "lastSz": "1", "askSz": "1", "bidSz": "1", "vol24h": "10", "volCcy24h": "10",
        "ts": str(market.now_ms),
    }  # fmt: skip


def _okx_symbol(query: Query) -> str:
    return query["instId"].removesuffix("-SWAP").replace("-", "")


def _okx(rows: list[Any]) -> Any:
    return {"code": "0", "msg": "", "data": rows}


def _okx_book(market: Market, query: Query) -> Any:
    bids, asks = _levels(market.price(_okx_symbol(query)) or 1.0)
    book = {"bids": [[*one, "0", "1"] for one in bids], "asks": [[*one, "0", "1"] for one in asks]}
    return _okx([{**book, "ts": str(market.now_ms), "seqId": 1}])


def _okx_trades(market: Market, query: Query) -> Any:
    price = repr(market.price(_okx_symbol(query)))
    return _okx(
        [
            {
                "instId": query["instId"], "side": "buy", "sz": "1", "px": price,
                "tradeId": str(n), "ts": str(market.now_ms - n),
            }
            for n in range(_FEW)
        ]
    )  # fmt: skip


def _okx_prices(market: Market, query: Query) -> Any:
    """Candles of the mark price or of the index: without volume, and by the pair for the index."""
    name = query["instId"] if query["instId"].endswith("-SWAP") else f"{query['instId']}-SWAP"
    rows = okx.candles(market, {**query, "instId": name})["data"]
    return _okx([[*row[:5], row[-1]] for row in rows])


def _okx_funding(market: Market, query: Query) -> Any:
    asked = query["instId"]
    return _okx(
        [
            {
                "instId": f"{symbol.removesuffix('USDT')}-USDT-SWAP", "instType": "SWAP",
                "fundingRate": "0.0001", "fundingTime": str(market.now_ms),
                "nextFundingTime": str(market.now_ms + 28_800_000), "nextFundingRate": "",
                "method": "current_period", "ts": str(market.now_ms),
            }
            for symbol in market.symbols
            if asked == "ANY" or _okx_symbol(query) == symbol
        ]
    )  # fmt: skip


def _okx_tiers(market: Market, query: Query) -> Any:
    return _okx(
        [
            {
                "uly": query["instFamily"], "instFamily": query["instFamily"], "tier": "1", "minSz": "0",
                "maxSz": "100", "mmr": "0.005", "imr": "0.01", "maxLever": "100", "baseMaxLoan": "",
            }
        ]
    )  # fmt: skip


OKX: dict[str, Answer] = {
    "/api/v5/market/ticker": lambda market, query: _okx([_okx_ticker(market, _okx_symbol(query))]),
    "/api/v5/market/tickers": lambda market, _: _okx(
        [_okx_ticker(market, symbol) for symbol in market.symbols]
    ),
    "/api/v5/market/books": _okx_book,
    "/api/v5/market/trades": _okx_trades,
    "/api/v5/market/mark-price-candles": _okx_prices,
    "/api/v5/market/history-mark-price-candles": _okx_prices,
    "/api/v5/market/index-candles": _okx_prices,
    "/api/v5/market/history-index-candles": _okx_prices,
    "/api/v5/public/funding-rate": _okx_funding,
    "/api/v5/public/position-tiers": _okx_tiers,
}
