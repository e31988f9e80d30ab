"""Whether what is stored is what the world's tables say, wherever a value is present.

A value that came late may have been shown a little longer than it should, and one that never came
is missing; but no stored number may be one that nobody published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Engine, select

from core.backtest import decide
from core.market.files import FILES
from core.market.frame import NAMES
from core.market.recording import assemble
from core.signals import load_profile
from core.store.due import load_frame
from core.store.tables import signals

CANDLES = ("open", "high", "low", "close", "volume_usd")
# The columns that hold a published value until the next, their table, and what they are made of.
HELD = {
    "open_interest_usd": ("open_interest", ("open_interest_usd",)),
    "open_interest": ("open_interest", ("open_interest",)),
    "long_account_share": ("long_short", ("long_account_share",)),
    "top_long_share": ("long_short", ("top_position_long_share", "top_account_long_share")),
    "funding_rate_8h": ("funding", ("funding_rate_8h",)),
    "social_score": ("social", ("social_score",)),
    "fear_greed": ("fear_greed", ("fear_greed",)),
}
# A value is held for twice the spacing at which values came, and faults stretch that.
LONGEST_HELD = timedelta(hours=24)
LIQUIDATIONS = ("long_liquidations_usd", "short_liquidations_usd")


def stored_frame(engine: Engine, symbols: list[str]) -> pd.DataFrame:
    first, last = pd.Timestamp("2000-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")
    with engine.connect() as conn:
        return load_frame(conn, symbols, first, last)


def wrong_numbers(stored: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """A sentence for each stored value that no table could have given, liquidations aside."""
    found = _wrong_candles(stored, assemble(tables).frame)
    for column, (name, parts) in HELD.items():
        if name in tables:
            found += _never_published(stored[column].dropna(), tables[name], name, parts)
    return found


def _wrong_candles(stored: pd.DataFrame, true: pd.DataFrame) -> list[str]:
    unknown = stored.index.difference(true.index)
    found = [f"there is no bar of {key}" for key in unknown]
    for name in CANDLES:
        one, other = stored[name].drop(unknown), true[name].reindex(stored.index.drop(unknown))
        off = one.notna() & ~np.isclose(one, other, rtol=1e-9, atol=0)
        found += [f"{name} of {key} is {one[key]}, not {other[key]}" for key in one.index[off]]
    return found


def _never_published(
    values: pd.Series, table: pd.DataFrame, name: str, parts: Iterable[str]
) -> list[str]:
    source = FILES[name]
    if name == "funding":
        rate = table["funding_rate"] * 8 / table["interval_hours"]
        table = table.assign(funding_rate_8h=rate)
    longest = max(LONGEST_HELD, timedelta(hours=4 * source.step_hours))
    given = {
        str(symbol): rows.sort_values(source.known_at)
        for symbol, rows in (table.groupby("symbol") if source.per_symbol else [("", table)])
    }
    found = []
    for (symbol, time), value in values.items():
        rows = given[symbol if source.per_symbol else ""]
        known = rows[source.known_at]
        recent = rows[(known <= time) & (known > time - longest)]
        published = np.concatenate([recent[part].to_numpy(dtype=float) for part in parts])
        if not np.isclose(published, value, rtol=1e-9, atol=1e-12).any():
            found.append(f"{values.name} of {symbol} at {time} is {value}, not {published}")
    return found


def wrong_liquidations(stored: pd.DataFrame, sent: pd.DataFrame, since: pd.Timestamp) -> list[str]:
    """A sentence for each hour whose total is not what one venue sent (columns as `Published`)."""
    sums = sent.assign(
        time=sent["at"].dt.floor("h") + pd.Timedelta(hours=1),
        side=np.where(sent["long"], LIQUIDATIONS[0], LIQUIDATIONS[1]),
    )
    totals = sums.groupby(["symbol", "time", "side", "venue"])["usd"].sum().to_dict()
    venues = sent["venue"].unique()
    found = []
    for side in LIQUIDATIONS:
        known = stored[side].dropna()
        for (symbol, time), value in known[known.index.get_level_values("time") > since].items():
            said = [totals.get((symbol, time, side, venue), 0.0) for venue in venues]
            if not np.isclose(said, value, rtol=1e-9, atol=1e-6).any():
                found.append(f"{side} of {symbol} at {time} is {value}, not one of {said}")
    return found


def wrong_signals(
    engine: Engine, stored: pd.DataFrame, profile_name: str = "balanced"
) -> list[str]:
    """A sentence for each signal that is not what its bars say.

    A signal made before an earlier bar had come was made of what was known then, and is left out.
    """
    query = select(signals).where(signals.c.profile_name == profile_name)
    with engine.connect() as conn:
        made = pd.DataFrame(conn.execute(query).mappings().all()).set_index(["symbol", "time"])
    made = made.sort_index()
    latest_before = made["recorded_at"].groupby("symbol").cummax()
    in_order = made[made["recorded_at"] >= latest_before - pd.Timedelta(minutes=30)]
    expected = decide(stored[list(NAMES)], load_profile(profile_name)).reindex(in_order.index)
    found = []
    for name in ("score", "coverage", "agreement"):
        one, other = in_order[name].astype(float), expected[name].astype(float)
        off = ~np.isclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)
        found += [f"{name} of {key} is {one[key]}, not {other[key]}" for key in one.index[off]]
    return found
