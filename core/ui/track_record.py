"""The rows of the Accuracy page: outcomes that pass the filters, their summary, what is unfinished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from core.accuracy import cumulative_r, summarise
from core.outcomes import HORIZONS
from core.verdicts.rules import VERDICTS

SIDES: Mapping[str, float | None] = {"Both directions": None, "Long": 1.0, "Short": -1.0}
_LONG_SPAN = pd.Timedelta("20D")


def chosen(
    outcomes: pd.DataFrame,
    *,
    horizons: Sequence[str] = HORIZONS,
    symbols: Sequence[str] = (),
    side: float | None = None,
) -> pd.DataFrame:
    """The outcomes of these horizons, symbols (all where none is named) and direction."""
    index = outcomes.index
    kept = index.get_level_values("horizon").isin(list(horizons))
    if symbols:
        kept &= index.get_level_values("symbol").isin(list(symbols))
    if side is not None:
        kept &= (outcomes["direction"] == side).to_numpy()
    return outcomes[kept]


def cells(outcomes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The summary of trades, and that of what was not traded; both with index (verdict, horizon).

    The raw signal, their baseline, is the same for both: every outcome of the horizon.
    """
    if outcomes.empty:
        empty = summarise(outcomes, by=["verdict", "horizon"])
        return empty, empty
    summary = summarise(outcomes, by=["traded", "verdict", "horizon"])
    traded, shadow = (_of(summary, wanted) for wanted in (True, False))
    return traded, shadow


def unfinished(
    directions: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    through: pd.Timestamp,
    horizons: Sequence[str] = HORIZONS,
    symbols: Sequence[str] = (),
    side: float | None = None,
) -> dict[str, int]:
    """Per horizon, signals with a direction whose outcome lies beyond the last bar, ``through``.

    ``directions`` has index (symbol, time) and a column direction.
    """
    kept = directions
    if symbols:
        kept = kept[kept.index.get_level_values("symbol").isin(list(symbols))]
    if side is not None:
        kept = kept[kept["direction"] == side]
    waiting = {}
    for horizon in horizons:
        due = pd.DatetimeIndex(kept.index.get_level_values("time")) + pd.Timedelta(horizon)
        late = kept.index[due > through]
        done = outcomes[outcomes.index.get_level_values("horizon") == horizon]
        waiting[horizon] = int((~late.isin(done.reset_index("horizon").index)).sum())
    return waiting


def curves(outcomes: pd.DataFrame, *, traded: bool) -> dict[tuple[str, str], pd.Series]:
    """Cumulative R per (verdict, horizon), as `core.accuracy.cumulative_r`; empty ones left out.

    Over more than three weeks the sum at the end of each UTC day is enough.
    """
    found = {}
    part = outcomes[outcomes["traded"] == traded]
    judged = part["verdict"].astype(object).to_numpy()
    at = part.index.get_level_values("horizon")
    for verdict in VERDICTS:
        for horizon in HORIZONS:
            curve = cumulative_r(part[(judged == verdict) & (at == horizon)])
            if len(curve):
                found[verdict, horizon] = _daily(curve)
    return found


def _daily(curve: pd.Series) -> pd.Series:
    if curve.index[-1] - curve.index[0] <= _LONG_SPAN:
        return curve
    days = curve.resample("1D", closed="right", label="right").last().ffill()
    days.index = pd.DatetimeIndex([*days.index[:-1], curve.index[-1]], name=curve.index.name)
    return days


def _of(summary: pd.DataFrame, traded: bool) -> pd.DataFrame:
    part = summary[summary.index.get_level_values("traded") == traded].droplevel("traded")
    verdicts = {name: rank for rank, name in enumerate(VERDICTS)}
    horizons = {name: rank for rank, name in enumerate(HORIZONS)}
    order = pd.DataFrame(
        {
            "horizon": [
                horizons.get(name, len(horizons)) for name in part.index.get_level_values(1)
            ],
            "verdict": [
                verdicts.get(name, len(verdicts)) for name in part.index.get_level_values(0)
            ],
        }
    ).sort_values(["horizon", "verdict"])
    return part.iloc[order.index]
