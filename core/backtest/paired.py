"""Two profiles on the same hours: what the one made more than the other, day by day.

Both met the same market, so most of what a day did to one it did to the other too; the difference
within each day is known far better than either result by itself.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from core.accuracy import CONFIDENCE, ERAS
from core.accuracy.tallies import DAY, regroup
from core.market.grid import Floats
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
    ``mean_r`` is net R per trade, which tells a profile that trades better from one that trades less;
    ``difference`` is net R per day of the first minus the other's, with a 95 % t interval over ten
    contiguous eras of those days; without one (too few days, or eras shorter than two horizons)
    its ends are NaN and ``note`` says why. A day on which neither traded counts as no difference.
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
    low, high, note = _interval(difference, pd.Timedelta(horizon))
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
        "mean_r": _share(one, "sum_r", "n_r"),
        "mean_r_other": _share(two, "sum_r", "n_r"),
        "note": note,
    }


def _daily(tallies: pd.DataFrame, days: pd.DatetimeIndex, horizon: str) -> pd.DataFrame:
    """Sums of the trades at a horizon on every day, 0 where there were none."""
    traded = tallies.index.get_level_values("traded").to_numpy(dtype=bool)
    at_horizon = tallies.index.get_level_values("horizon").to_numpy() == horizon
    sums = regroup(tallies[traded & at_horizon], [DAY])[["n", "wins", "n_r", "sum_r"]]
    return sums.reindex(days, fill_value=0.0)


def _interval(difference: Floats, horizon: pd.Timedelta) -> tuple[float, float, str | None]:
    if len(difference) < ERAS:
        return np.nan, np.nan, f"under {ERAS} days that both cover"
    if len(difference) / ERAS * pd.Timedelta("1D") < 2 * horizon:
        return np.nan, np.nan, "not enough time yet: an era is shorter than two horizons"
    if not difference.any():
        return np.nan, np.nan, "no difference on any day"
    means = np.array([part.mean() for part in np.array_split(difference, ERAS)])
    error = float(means.std(ddof=1)) / np.sqrt(ERAS)
    half = float(stdtrit(ERAS - 1, 0.5 + CONFIDENCE / 2)) * error
    middle = float(difference.mean())
    return middle - half, middle + half, None


def _share(sums: pd.DataFrame, part: str, whole: str) -> float:
    n = float(sums[whole].sum())
    return float(sums[part].sum()) / n if n else np.nan
