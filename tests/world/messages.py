"""Liquidations and candles in the words of each venue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from tests.world.market import HOUR_MS
from tests.world.okx import CONTRACT_SIZE


def binance_orders(orders: pd.DataFrame) -> Iterator[str]:
    """Messages of !forceOrder@arr from a table of liquidation orders as recordings keep them."""
    for row in orders.itertuples(index=False):
        yield json.dumps(
            {
                "e": "forceOrder",
                "E": row.ts_ms + 5,
                "o": {
                    "s": row.symbol,
                    "S": row.side,
                    "o": row.type,
                    "f": row.tif,
                    "q": repr(row.orig_qty),
                    "p": repr(row.price),
                    "ap": repr(row.avg_price),
                    "X": row.status,
                    "l": repr(row.last_filled),
                    "z": repr(row.cum_filled),
                    "T": row.ts_ms,
                },
            }
        )


def binance_order(
    at_ms: int,
    *,
    symbol: str = "BTCUSDT",
    side: str = "SELL",
    price: float = 50_000.0,
    quantity: float = 0.1,
) -> str:
    order = {"s": symbol, "S": side, "o": "LIMIT", "f": "IOC", "q": str(quantity), "p": str(price)}
    order |= {"ap": str(price), "X": "FILLED", "l": str(quantity), "z": str(quantity), "T": at_ms}
    return json.dumps({"e": "forceOrder", "E": at_ms + 5, "o": order})


def bybit_liquidation(
    at_ms: int,
    *,
    symbol: str = "BTCUSDT",
    side: str = "Buy",
    price: float = 50_000.0,
    size: float = 0.1,
) -> str:
    entry = {"T": at_ms, "s": symbol, "S": side, "v": str(size), "p": str(price)}
    topic = f"allLiquidation.{symbol}"
    return json.dumps({"topic": topic, "type": "snapshot", "ts": at_ms + 400, "data": [entry]})


def okx_liquidation(
    at_ms: int,
    *,
    contract: str = "BTC-USDT-SWAP",
    side: str = "long",
    price: float = 50_000.0,
    size: float = 10,
) -> str:
    order = "sell" if side == "long" else "buy"
    detail = {"bkLoss": "0", "bkPx": str(price), "ccy": "", "posSide": side, "side": order}
    detail |= {"sz": str(size), "ts": str(at_ms)}
    block = {"details": [detail], "instId": contract, "instType": "SWAP", "uly": contract[:-5]}
    arg = {"channel": "liquidation-orders", "instType": "SWAP"}
    return json.dumps({"arg": arg, "data": [block]})


def coinglass_orders(at_ms: int, *orders: tuple[str, str, float]) -> str:
    """Longs liquidated for 1,000 USD, each with its exchange, symbol and price."""
    told = [
        {"exName": exchange, "symbol": symbol, "price": price, "volUsd": 1_000.0}
        | {"baseAsset": symbol[:-4], "side": 2, "time": at_ms}
        for exchange, symbol, price in orders
    ]
    return json.dumps({"channel": "liquidationOrders", "data": told})


def binance_kline(name: str, row: Mapping[str, Any], *, closed: bool = True) -> str:
    opened = row["open_ms"]
    candle = {"t": opened, "T": opened + HOUR_MS - 1, "s": name, "i": "1h", "f": 100, "L": 200}
    candle |= {short: repr(float(row[long])) for short, long in _KLINE.items()}
    candle |= {"n": 100, "x": closed, "V": "1.0", "Q": "1.0", "B": "0"}
    return json.dumps({"e": "kline", "E": opened + HOUR_MS, "s": name, "k": candle})


def bybit_kline(name: str, row: Mapping[str, Any], *, closed: bool = True) -> str:
    opened = row["open_ms"]
    candle = {"start": opened, "end": opened + HOUR_MS - 1, "interval": "60"}
    candle |= {each: repr(float(row[each])) for each in ("open", "close", "high", "low", "volume")}
    candle |= {"turnover": repr(float(row["quote_volume"])), "confirm": closed, "timestamp": opened}
    told = {"topic": f"kline.60.{name}", "ts": opened + HOUR_MS, "type": "snapshot"}
    return json.dumps({**told, "data": [candle]})


def okx_candle(name: str, row: Mapping[str, Any], *, closed: bool = True) -> str:
    candle = [
        str(row["open_ms"]),
        *(repr(float(row[each])) for each in ("open", "high", "low", "close")),
        repr(float(row["volume"]) / CONTRACT_SIZE),
        repr(float(row["volume"])),
        repr(float(row["quote_volume"])),
        "1" if closed else "0",
    ]
    return json.dumps({"arg": {"channel": "candle1H", "instId": name}, "data": [candle]})


_KLINE = {"o": "open", "c": "close", "h": "high", "l": "low", "v": "volume", "q": "quote_volume"}
