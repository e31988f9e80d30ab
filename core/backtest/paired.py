"""Two profiles on the same hours: what the one made more than the other, day by day.

Both met the same market, so most of what a day did to one it did to the other too; the difference
within each day is known far better than either result by itself.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.accuracy import Eras
from core.accuracy.tallies import DAY, regroup
from core.outcomes import HORIZONS

COLUMNS = (
    "days",
    "n",
    "n_other",
    "r_per_day",
    "r_per_day_other",
    "difference",
    "low",
    "high",
    "win_rate",
    "win_rate_other",
    "mean_r",
    "mean_r_other",
    "per_trade",
    "per_trade_low",
    "per_trade_high",
    "note",
)


def paired(
    tallies: pd.DataFrame,
    other: pd.DataFrame,
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> pd.DataFrame:
    """Trades of two runs on the days that both cover; index horizon, columns `COLUMNS`.

    ``tallies`` are by `core.backtest.walk.CELL` and day, the days from ``start`` to before ``end``.
    ``difference`` is net R per day of the first minus the other's, ``per_trade`` net R per trade of the
    first (``mean_r``) minus the other's, which tells a profile that trades better from one that trades
    less. Both have 95 % intervals as all of `core.accuracy` has them, over ten eras of the trades of
    both together; without one its ends are NaN and ``note`` says why. A day on which neither traded
    counts as no difference.
    """
    days = pd.date_range(start, end, inclusive="left", freq="D", name=DAY)
    rows = [_row(tallies, other, days, horizon) for horizon in HORIZONS]
    return pd.DataFrame(rows, index=pd.Index(HORIZONS, name="horizon"), columns=list(COLUMNS))


def daily_difference(
    tallies: pd.DataFrame,
    other: pd.DataFrame,
    start: pd.Timestamp,
    end: pd.Timestamp,
    horizon: str,
) -> pd.Series:
    """Net R of the first minus that of the other on every day, of the trades at ``horizon``."""
    days = pd.date_range(start, end, inclusive="left", freq="D", name=DAY)
    return _daily(tallies, days, horizon)["sum_r"] - _daily(other, days, horizon)["sum_r"]


def _row(
    tallies: pd.DataFrame, other: pd.DataFrame, days: pd.DatetimeIndex, horizon: str
) -> dict[str, object]:
    one, two = _daily(tallies, days, horizon), _daily(other, days, horizon)
    difference = (one["sum_r"] - two["sum_r"]).to_numpy(dtype=np.float64)
    (low, high), (trade_low, trade_high), note = _intervals(one, two, pd.Timedelta(horizon))
    mean, mean_other = _share(one, "sum_r", "n_r"), _share(two, "sum_r", "n_r")
    many = max(len(days), 1)
    return {
        "days": len(days),
        "n": one["n"].sum(),
        "n_other": two["n"].sum(),
        "r_per_day": one["sum_r"].sum() / many,
        "r_per_day_other": two["sum_r"].sum() / many,
        "difference": difference.mean() if len(days) else np.nan,
        "low": low,
        "high": high,
        "win_rate": _share(one, "wins", "n"),
        "win_rate_other": _share(two, "wins", "n"),
        "mean_r": mean,
        "mean_r_other": mean_other,
        "per_trade": mean - mean_other,
        "per_trade_low": trade_low,
        "per_trade_high": trade_high,
        "note": note,
    }


def _daily(tallies: pd.DataFrame, days: pd.DatetimeIndex, horizon: str) -> pd.DataFrame:
    """Sums of the trades at a horizon on every day, 0 where there were none."""
    traded = tallies.index.get_level_values("traded").to_numpy(dtype=bool)
    at_horizon = tallies.index.get_level_values("horizon").to_numpy() == horizon
    sums = regroup(tallies[traded & at_horizon], [DAY])[["n", "wins", "n_r", "sum_r"]]
    return sums.reindex(days, fill_value=0.0)


def _intervals(
    one: pd.DataFrame, two: pd.DataFrame, horizon: pd.Timedelta
) -> tuple[tuple[float, float], tuple[float, float], str | None]:
    """Of the difference a day and of the one a trade, and why there are none."""
    none = (np.nan, np.nan)
    if not (one["sum_r"] - two["sum_r"]).any():
        return none, none, "no difference on any day"
    n, days = (one["n"] + two["n"]).to_numpy(dtype=np.float64)[None], np.arange(len(one))
    eras = Eras.of(n, days, np.array([horizon / pd.Timedelta("1D")]))
    if eras.note[0] is not None:
        return none, none, str(eras.note[0])
    sums = [frame["sum_r"].to_numpy(dtype=np.float64)[None] for frame in (one, two)]
    trades = [frame["n_r"].to_numpy(dtype=np.float64)[None] for frame in (one, two)]
    a_day = eras.mean(sums[0] - sums[1], np.ones_like(n))
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = [r.sum(axis=-1) / k.sum(axis=-1) for r, k in zip(sums, trades, strict=True)]
        without = [eras.left_out(r) / eras.left_out(k) for r, k in zip(sums, trades, strict=True)]
    a_trade = eras.interval(whole[0] - whole[1], without[0] - without[1])
    return (
        (float(a_day.low[0]), float(a_day.high[0])),
        (float(a_trade.low[0]), float(a_trade.high[0])),
        None,
    )


def _share(sums: pd.DataFrame, part: str, whole: str) -> float:
    n = float(sums[whole].sum())
    return float(sums[part].sum()) / n if n else np.nan
