"""LunarCrush v4, with a key: the galaxy score of every coin, fetched once for all."""

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
from core.market.sources.reading import (
    HOUR_MS,
    Wanted,
    get,
    milliseconds,
    number,
    records,
    rows,
    text,
)
from core.market.symbols import Contract, coin_and_bundle, same_price

SOURCE = "lunarcrush"
BUDGETS = (Budget("requests", 10, 60), Budget("day", 2000, 86_400))
URL = "https://lunarcrush.com/api4/public"


async def fetch_social(http: Http, *, key: str) -> Reply:
    return await http.get(SOURCE, f"{URL}/coins/list/v2", headers=_key(key))


def match_coins(
    raw: Any, contracts: Sequence[Contract], prices: Mapping[str, float]
) -> dict[str, Any]:
    """The provider's record of each market's coin, by symbol, where the price is the market's.

    ``prices`` are by symbol. Where several coins of one ticker fit, none is taken.
    """
    by_ticker: dict[str, list[Any]] = {}
    for one in records(raw, SOURCE, "data"):
        by_ticker.setdefault(text(one, "symbol", SOURCE).upper(), []).append(one)
    found = {}
    for contract in {one.symbol: one for one in contracts}.values():
        coin, bundle = coin_and_bundle(contract.base)
        fitting = [
            one
            for one in by_ticker.get(coin.upper(), [])
            if same_price(prices.get(contract.symbol), number(get(one, "price", SOURCE)), bundle)
        ]
        if len(fitting) == 1:
            found[contract.symbol] = fitting[0]
    return found


def parse_social(
    raw: Any, contracts: Sequence[Contract], prices: Mapping[str, float], seen_at: datetime
) -> pd.DataFrame:
    """Rows of social as of when the list was made, for the coins that `match_coins` finds."""
    made = milliseconds(get(get(raw, "config", SOURCE), "generated", SOURCE), unit_ms=1000)
    known = made and min(made, to_ms(seen_at))
    found = [
        {"symbol": symbol, "known_ms": known, "social_score": get(one, "galaxy_score", SOURCE)}
        for symbol, one in match_coins(raw, contracts, prices).items()
    ]
    return rows(Wanted(files.SOCIAL, SOURCE, seen_at), found)


def parse_coin_ids(
    raw: Any, contracts: Sequence[Contract], prices: Mapping[str, float]
) -> dict[str, int]:
    """The provider's own id of each market's coin, by symbol."""
    ids = {
        symbol: number(get(one, "id", SOURCE))
        for symbol, one in match_coins(raw, contracts, prices).items()
    }
    return {symbol: int(found) for symbol, found in ids.items() if found > 0}


async def fetch_social_history(http: Http, *, key: str, coin_id: int) -> Reply:
    """A month of hours of one coin, by the provider's own id."""
    url = f"{URL}/coins/{coin_id}/time-series/v2"
    params = {"bucket": "hour", "interval": "1m"}
    return await http.get(SOURCE, url, params=params, headers=_key(key), background=True)


def parse_social_history(raw: Any, contract: Contract, seen_at: datetime) -> pd.DataFrame:
    """Rows of social; an hour's score is known at the end of the hour."""
    found = []
    for one in records(raw, SOURCE, "data", empty=True):
        began = milliseconds(get(one, "time", SOURCE), unit_ms=1000)
        known = None if began is None else began + HOUR_MS
        score = get(one, "galaxy_score", SOURCE)
        found.append({"symbol": contract.symbol, "known_ms": known, "social_score": score})
    return rows(Wanted(files.SOCIAL, SOURCE, seen_at), found)


def _key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
