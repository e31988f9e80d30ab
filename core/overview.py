"""Every market at a glance: its newest signal in a row, filtered and sorted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

import numpy as np
import pandas as pd

from core.verdicts import settle
from core.verdicts.rules import VERDICTS

ALL = "All markets"
SHOWN: Mapping[str, Callable[[pd.DataFrame], pd.Series]] = {
    ALL: lambda rows: pd.Series(True, index=rows.index),
    "With a signal": lambda rows: rows["direction"].notna(),
    "Long": lambda rows: rows["direction"] == 1,
    "Short": lambda rows: rows["direction"] == -1,
    "Neutral": lambda rows: rows["direction"] == 0,
    "No signal": lambda rows: rows["direction"].isna(),
}

# What to sort by, and whether the largest comes first. The first is the default.
BY_CONVICTION = "Highest conviction"
ORDERS: Mapping[str, tuple[str, bool]] = {
    BY_CONVICTION: ("conviction", True),
    "Highest score": ("score", True),
    "Lowest score": ("score", False),
    "Best verdict": ("verdict_rank", False),
    "Most agreement": ("agreement", True),
    "Most coverage": ("coverage", True),
    "Most risen": ("change_24h", True),
    "Most fallen": ("change_24h", False),
    "Oldest data": ("time", False),
    "Most valuable coin": ("rank", False),
    "Symbol A to Z": ("symbol", False),
}


def market_rows(
    newest: pd.DataFrame,
    closes: pd.DataFrame,
    coins: pd.DataFrame | None = None,
    model: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per symbol: the stored row, and what the last 24 h of closes and the coin add.

    ``newest`` has index (symbol, time), ``closes`` is time by symbol, ``coins`` as
    `core.store.coins.load_coins` gives them, ``model`` what a language model said of some rows. The
    verdict is the one that stands, see `core.verdicts.settle`. Adds ``coin`` ("" unknown), ``rank``, ``last_price``,
    ``change_24h`` (fraction, NaN unless both ends are known), ``closes`` (an array, NaN in gaps)
    and ``verdict_rank``.
    """
    said = pd.DataFrame(columns=["verdict", "multiplier"]) if model is None else model
    rows = settle(newest, said).reset_index("time")
    closes = closes.reindex(columns=rows.index)
    ends = closes.reindex(_ends(closes))
    ranks = {verdict: rank for rank, verdict in enumerate(VERDICTS)}
    rows["last_price"] = rows["close"]
    rows["change_24h"] = (ends.iloc[1] / ends.iloc[0] - 1) if len(ends) else np.nan
    rows["closes"] = pd.Series(list(closes.to_numpy().T), index=rows.index, dtype=object)
    known = pd.DataFrame(columns=["name", "rank"]) if coins is None else coins
    rows["coin"] = known["name"].reindex(rows.index).fillna("").astype(str)
    rows["rank"] = known["rank"].reindex(rows.index).astype(float)
    rows["verdict_rank"] = rows["verdict"].astype(object).map(ranks).astype(float)
    return rows


def _ends(closes: pd.DataFrame) -> list[pd.Timestamp]:
    if closes.empty:
        return []
    last = closes.index[-1]
    return [last - timedelta(hours=24), last]


def chosen(
    rows: pd.DataFrame,
    *,
    show: str = ALL,
    verdicts: Collection[str] = (),
    search: str = "",
    order: str = BY_CONVICTION,
) -> pd.DataFrame:
    """The rows that pass every filter, in that order; unknown values last, equal ones by symbol."""
    kept = SHOWN[show](rows)
    if verdicts:
        kept &= rows["verdict"].isin(list(verdicts))
    if wanted := search.strip().upper():
        named = rows.index.str.upper().str.contains(wanted, regex=False)
        kept &= named | rows["coin"].str.upper().str.contains(wanted, regex=False)
    found = rows[kept]
    column, falling = ORDERS[order]
    by_symbol = found.sort_index()
    if column == "symbol":
        return by_symbol
    return by_symbol.sort_values(column, ascending=not falling, kind="stable", na_position="last")
