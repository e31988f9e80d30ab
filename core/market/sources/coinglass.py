"""Coinglass v4, with a key: a venue's liquidations, open interest and account shares, as history.

Its rows are stamped with the beginning of a bar and known at the end of it. Its funding rates are
predictions in percent, another thing than settled rates, and are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from core.errors import SourceRefused, SourceReplyWrong
from core.market import files
from core.market.budgets import Budget
from core.market.http import Http
from core.market.replies import Reply
from core.market.sources.exchange import join
from core.market.sources.reading import (
    HOUR_MS,
    Wanted,
    get,
    milliseconds,
    number,
    records,
    rows,
    share_rows,
)
from core.market.symbols import Contract

SOURCE = "coinglass"
# The smallest plan; larger ones say so in API-KEY-MAX-LIMIT.
BUDGETS = (Budget("requests", 30, 60, used_header="api-key-use-limit"),)
URL = "https://open-api-v4.coinglass.com/api/futures"
_EXCHANGES = {"binance": "Binance", "bybit": "Bybit", "okx": "OKX"}
_LONG_SHORT = {
    "long_account_share": ("global-long-short-account-ratio", "global_account_long_percent"),
    "top_account_long_share": ("top-long-short-account-ratio", "top_account_long_percent"),
    "top_position_long_share": ("top-long-short-position-ratio", "top_position_long_percent"),
}


async def fetch_liquidations(http: Http, contract: Contract, *, key: str, count: int) -> Reply:
    return await _history(http, "liquidation", contract, key, count)


def parse_liquidations(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of liquidations: totals of an hour on the contract's venue."""
    found = []
    for one in records(raw, SOURCE, "data", empty=True):
        amounts = {
            "long_liquidations_usd": get(one, "long_liquidation_usd", SOURCE),
            "short_liquidations_usd": get(one, "short_liquidation_usd", SOURCE),
        }
        found.append({"symbol": contract.symbol, **_bar(one), **amounts})
    return rows(Wanted(files.LIQUIDATIONS, contract.venue, seen_at), found)


async def fetch_open_interest(http: Http, contract: Contract, *, key: str, count: int) -> Reply:
    return await _history(http, "open-interest", contract, key, count)


def parse_open_interest(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of open_interest in USD, as it was at the end of each hour."""
    found = [
        {
            "symbol": contract.symbol,
            "known_ms": _bar(one)["known_ms"],
            "open_interest_usd": get(one, "close", SOURCE),
        }
        for one in records(raw, SOURCE, "data", empty=True)
    ]
    return rows(Wanted(files.OPEN_INTEREST, contract.venue, seen_at), found)


async def fetch_long_short(http: Http, contract: Contract, *, key: str, count: int) -> Reply:
    replies = {}
    for name, (path, _) in _LONG_SHORT.items():
        replies[name] = await _history(http, path, contract, key, count)
    return join(**replies)


def parse_long_short(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of long_short, from percent."""
    shares = {
        name: [
            (_bar(one)["known_ms"], number(get(one, field, SOURCE)) / 100)
            for one in records(raw, SOURCE, name, "data", empty=True)
        ]
        for name, (_, field) in _LONG_SHORT.items()
    }
    return share_rows(Wanted(files.LONG_SHORT, contract.venue, seen_at), contract, shares)


async def _history(http: Http, path: str, contract: Contract, key: str, count: int) -> Reply:
    asked: Mapping[str, str | int] = {
        "exchange": _EXCHANGES[contract.venue],
        "symbol": contract.name,
        "interval": "1h",
        "limit": min(count, 1000),
    }
    url, headers = f"{URL}/{path}/history", {"CG-API-KEY": key}
    return await http.get(SOURCE, url, params=asked, headers=headers, check=_check, background=True)


def _check(reply: Any) -> None:
    """The provider says what went wrong inside a reply that looks like a success."""
    code = str(get(reply, "code", SOURCE))
    if code == "0":
        return
    words = f"{SOURCE} answered {code}: {str(reply.get('msg', ''))[:120]}."
    if code in ("401", "403", "429", "40001", "50001"):
        raise SourceRefused(words)
    raise SourceReplyWrong(words)


def _bar(one: Any) -> dict[str, int | None]:
    began = milliseconds(get(one, "time", SOURCE))
    return {"open_ms": began, "known_ms": None if began is None else began + HOUR_MS}
