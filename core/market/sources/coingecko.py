"""CoinGecko: what coins there are, by market value. No column of the market frame comes from it,
but the names of coins and their ranks, which say in what order markets are asked about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.market.budgets import Budget
from core.market.http import Http
from core.market.replies import Reply
from core.market.sources.reading import get, number, records, text
from core.market.symbols import Contract, coin_and_bundle, same_price

SOURCE = "coingecko"
BUDGETS = (Budget("requests", 30, 60), Budget("without a key", 6, 60))
PAGE_SIZE = 250
URL = "https://api.coingecko.com/api/v3"


async def fetch_coins(http: Http, *, page: int = 1, key: str | None = None) -> Reply:
    """250 coins by market value, the largest first."""
    params: dict[str, str | int] = {
        "vs_currency": "usd",
        "order": "market_cap_desc",
        "per_page": PAGE_SIZE,
        "page": page,
    }
    return await _get(http, "/coins/markets", key, params)


def parse_coins(raw: Any) -> pd.DataFrame:
    """A row per coin: coin_id, ticker (capitals), name, market_cap_usd, rank, price_usd; NaN where unknown."""
    found = [
        {
            "coin_id": text(one, "id", SOURCE),
            "ticker": text(one, "symbol", SOURCE).upper(),
            "name": text(one, "name", SOURCE),
            "market_cap_usd": _above_zero(get(one, "market_cap", SOURCE)),
            "rank": _above_zero(get(one, "market_cap_rank", SOURCE)),
            "price_usd": _above_zero(get(one, "current_price", SOURCE)),
        }
        for one in records(raw, SOURCE)
    ]
    coins = pd.DataFrame(found).drop_duplicates("coin_id", keep=False)
    return coins.sort_values(["rank", "coin_id"], ignore_index=True)


async def fetch_trending(http: Http, *, key: str | None = None) -> Reply:
    return await _get(http, "/search/trending", key, {})


def match_coins(
    coins: pd.DataFrame, contracts: Sequence[Contract], prices: Mapping[str, float]
) -> pd.DataFrame:
    """The coin of each market, index symbol, where the ticker is the contract's and the price agrees.

    ``prices`` are by symbol. Of several coins that fit, none is taken. Columns of `parse_coins`.
    """
    found: dict[str, int] = {}
    by_ticker = coins.groupby("ticker").indices
    other_prices = coins["price_usd"].tolist()
    for contract in {one.symbol: one for one in contracts}.values():
        ticker, bundle = coin_and_bundle(contract.base)
        fitting = [
            at
            for at in by_ticker.get(ticker.upper(), ())
            if same_price(prices.get(contract.symbol), other_prices[at], bundle)
        ]
        if len(fitting) == 1:
            found[contract.symbol] = fitting[0]
    matched = coins.iloc[list(found.values())]
    return matched.set_axis(pd.Index(found, name="symbol", dtype="str"))


async def _get(http: Http, path: str, key: str | None, params: Mapping[str, str | int]) -> Reply:
    """Without a key the provider allows an address about 6 requests a minute, with one 30."""
    charges = {"requests": 1} if key else {"requests": 1, "without a key": 1}
    headers = {"x-cg-demo-api-key": key} if key else {}
    return await http.get(
        SOURCE, URL + path, params=params, headers=headers, charges=charges, fresh_seconds=300
    )


def _above_zero(value: object) -> float:
    found = number(value)
    return found if found > 0 else math.nan
