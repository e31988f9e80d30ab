"""CoinAPI, with a key: candles of the venues' perpetuals, for when a venue itself gives none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from core.market import files
from core.market.budgets import Budget
from core.market.http import Http
from core.market.replies import Reply
from core.market.sources.exchange import to_ms
from core.market.sources.reading import HOUR_MS, Wanted, get, number, records, rows, text
from core.market.symbols import Contract

SOURCE = "coinapi"
BUDGETS = (Budget("requests", 100, 86_400),)
URL = "https://rest.coinapi.io/v1"
_EXCHANGES = {"binance": "BINANCEFTS", "bybit": "BYBIT", "okx": "OKEX"}
_PRICES = {name: f"price_{name}" for name in ("open", "high", "low", "close")}


async def fetch_symbols(http: Http, venue: str, *, key: str) -> Reply:
    params = {"filter_exchange_id": _EXCHANGES[venue]}
    return await http.get(
        SOURCE, f"{URL}/symbols", params=params, headers=_key(key), fresh_seconds=86_400
    )


def parse_symbols(raw: Any, contracts: Sequence[Contract]) -> Mapping[str, Contract]:
    """The contract that each of the provider's symbols stands for, by the venue's own name."""
    by_name = {one.name: one for one in contracts}
    found = {}
    for one in records(raw, SOURCE):
        if get(one, "symbol_type", SOURCE) == "PERPETUAL":
            contract = by_name.get(str(one.get("symbol_id_exchange")))
            if contract is not None:
                found[text(one, "symbol_id", SOURCE)] = contract
    return found


async def fetch_candles(http: Http, symbol_id: str, *, key: str, count: int) -> Reply:
    """The newest hours, newest first; the last of them may still run."""
    params: dict[str, str | int] = {"period_id": "1HRS", "limit": min(count, 100)}
    url = f"{URL}/ohlcv/{symbol_id}/latest"
    return await http.get(SOURCE, url, params=params, headers=_key(key))


def parse_candles(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of candles_1h of the contract's venue; a bar counts once its close has passed."""
    found = []
    for one in records(raw, SOURCE):
        began = _milliseconds(text(one, "time_period_start", SOURCE))
        times = {"open_ms": began, "known_ms": None if began is None else began + HOUR_MS}
        prices = {
            name: number(get(one, field, SOURCE)) * contract.scale
            for name, field in _PRICES.items()
        }
        volume = number(get(one, "volume_traded", SOURCE)) / contract.scale
        found.append({"symbol": contract.symbol, **times, **prices, "volume": volume})
    return rows(Wanted(files.CANDLES, contract.venue, seen_at, newest_first=True), found)


def _milliseconds(time: str) -> int | None:
    """From a time with up to seven decimals.

    >>> _milliseconds("2025-10-10T12:00:00.0000000Z"), _milliseconds("noon")
    (1760097600000, None)
    """
    try:
        return to_ms(datetime.fromisoformat(time))
    except ValueError:
        return None


def _key(key: str) -> dict[str, str]:
    return {"X-CoinAPI-Key": key}
