"""How good the verdicts are: rates with the intervals that overlapping outcomes leave them.

Outcomes of neighbouring hours share most of their future and symbols move together, so a plain
interval is far too narrow. Here a cell is cut into ten contiguous eras of about equal count, each
holding every symbol of its time, and the interval is a t interval over the eras' rates
(Ibragimov and Mueller, 2010, "t-statistic based correlation and heterogeneity robust inference").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from core.market.grid import Floats, Ints

ERAS = 10
CONFIDENCE = 0.95
_WIN_LINE = 0.01

_NOT_TRADED = ("WAIT", "SKIP")
_COLUMNS = [
    "n",
    "n_eff",
    "win_rate",
    "low",
    "high",
    "baseline",
    "baseline_long",
    "lift",
    "expectancy_r",
    "mean_net_return",
    "profit_factor",
    "beyond_1pct",
    "counterfactual",
    "note",
]

# Keys that tell signals apart by what was decided; the raw signal is followed whatever they say.
_DECISIONS = frozenset({"verdict", "risk_mode", "multiplier", "traded"})


def summarise(
    outcomes: pd.DataFrame, by: Sequence[str] | str = ("verdict", "horizon")
) -> pd.DataFrame:
    """One row per cell of ``by`` (columns or index levels of `core.outcomes.resolve`).

    ``n`` outcomes; ``n_eff``, how many independent ones would leave the same interval;
    ``win_rate``, the share with a net return above 0, with ``low`` and ``high`` (95 %);
    ``baseline``, the win rate of every raw signal of the same horizon and keys, whatever its
    verdict; ``baseline_long``, of always being long instead; ``lift`` = win_rate - baseline;
    ``expectancy_r`` and ``mean_net_return``; ``profit_factor``; ``beyond_1pct``, the share that
    moved more than 1 % the right way before costs; ``counterfactual``, True where nothing was
    traded; ``note``, why there is no interval, else None. Cells without outcomes do not appear.

    Trades and counterfactuals are never counted together: cells of WAIT and SKIP hold what would
    have been, all others hold trades only. Name "traded" in ``by`` to see both of every verdict.
    """
    keys = [by] if isinstance(by, str) else list(by)
    flat = outcomes.reset_index()
    unknown = [key for key in keys if key not in flat.columns]
    if unknown:
        raise ValueError(f"outcomes have no {unknown[0]!r}; choose from {', '.join(flat.columns)}")
    flat = flat[flat["net_return"].notna()]
    flat = flat.assign(
        all="all",
        win=(flat["net_return"] > 0).astype(float),
        long_win=(flat["long_net_return"] > 0).astype(float),
        beyond=(flat["gross_return"] > _WIN_LINE).astype(float),
    )
    keys = keys or ["all"]
    counted = flat if "traded" in keys else flat[_belongs(flat, keys)]
    if counted.empty:
        return _empty(keys)
    rows = {cell: _cell(part) for cell, part in counted.groupby(keys, observed=True, sort=True)}
    table = pd.DataFrame(list(rows.values()))
    table.index = _cells([tuple(cell) for cell in rows], keys)
    table["note"] = table["note"].astype(object).where(table["note"].notna(), None)
    table["baseline"] = _baseline(flat, table.index, keys)
    table["lift"] = table["win_rate"] - table["baseline"]
    return table[_COLUMNS]


def _belongs(flat: pd.DataFrame, keys: list[str]) -> npt.NDArray[np.bool_]:
    """Trades; and where cells tell verdicts apart, of WAIT and SKIP what was not traded."""
    traded = flat["traded"].to_numpy(dtype=bool)
    if "verdict" not in keys:
        return traded
    skipped = flat["verdict"].astype(object).isin(_NOT_TRADED).to_numpy()
    return traded | skipped


def cumulative_r(outcomes: pd.DataFrame) -> pd.Series:
    """Running sum of ``r_multiple`` by exit time; index time. Outcomes without R are left out.

    An outcome counts from its exit, so no step of the curve was known earlier than it is drawn.
    """
    known = outcomes["r_multiple"].notna()
    total = outcomes.loc[known].groupby("exit_at")["r_multiple"].sum()
    return total.sort_index().cumsum().rename("cumulative_r")


def _cell(part: pd.DataFrame) -> dict[str, Any]:
    win, times = part["win"].to_numpy(), part["time"].to_numpy(dtype="datetime64[ns]")
    horizon = _longest_horizon(part)
    low, high, n_eff, note = era_interval(win, times, horizon)
    net = part["net_return"].to_numpy()
    losses = -net[net < 0].sum()
    return {
        "n": len(part),
        "n_eff": n_eff,
        "win_rate": win.mean(),
        "low": low,
        "high": high,
        "baseline_long": part["long_win"].mean(),
        "expectancy_r": part["r_multiple"].mean(),
        "mean_net_return": net.mean(),
        "profit_factor": net[net > 0].sum() / losses if losses > 0 else np.nan,
        "beyond_1pct": part["beyond"].mean(),
        "counterfactual": not part["traded"].any(),
        "note": note,
    }


def _longest_horizon(part: pd.DataFrame) -> pd.Timedelta:
    return max(pd.Timedelta(text) for text in part["horizon"].unique())


def era_interval(
    values: Floats, times: npt.NDArray[Any], horizon: pd.Timedelta
) -> tuple[float, float, float, str | None]:
    """95 % interval of the mean of rates in 0..1: ``low``, ``high``, ``n_eff`` and a note.

    The interval is never narrower than independent outcomes would leave it. Without one (too few
    outcomes, or eras shorter than twice the horizon) the numbers are NaN and the note says why.

    >>> era_interval(np.ones(5), np.arange(5).astype("datetime64[h]"), pd.Timedelta("1h"))[3]
    'too few: 5 of the 20 outcomes that an interval needs'
    """
    n = len(values)
    if n < 2 * ERAS:
        return (
            np.nan,
            np.nan,
            np.nan,
            f"too few: {n} of the {2 * ERAS} outcomes that an interval needs",
        )
    eras, spans = split_eras(times)
    if eras.max() < ERAS - 1:
        return np.nan, np.nan, np.nan, "not enough time yet: under ten separate moments"
    if np.median(spans) < 2 * horizon.value:
        return np.nan, np.nan, np.nan, "not enough time yet: an era is shorter than two horizons"
    rates = np.bincount(eras, weights=values) / np.bincount(eras)
    rate = float(values.mean())
    smooth = (values.sum() + 2) / (n + 4)
    independent = np.sqrt(smooth * (1 - smooth) / n)
    error = max(float(rates.std(ddof=1)) / np.sqrt(ERAS), float(independent))
    half = float(stdtrit(ERAS - 1, 0.5 + CONFIDENCE / 2)) * error
    n_eff = min(float(n), smooth * (1 - smooth) / error**2)
    return max(0.0, rate - half), min(1.0, rate + half), n_eff, None


def split_eras(times: npt.NDArray[Any], count: int = ERAS) -> tuple[Ints, Floats]:
    """Number of the era (0..count-1) of each time, and the eras' spans in nanoseconds.

    Eras are contiguous, of about equal count, and never divide one moment.

    >>> split_eras(np.array([0, 0, 1, 1, 2, 3]).astype("datetime64[ns]"), 2)[0].tolist()
    [0, 0, 1, 1, 1, 1]
    """
    stamps = times.astype("datetime64[ns]").astype(np.int64)
    moments, inverse, sizes = np.unique(stamps, return_inverse=True, return_counts=True)
    # A moment belongs to the era in which its middle outcome falls.
    middle = (np.cumsum(sizes) - sizes / 2) / len(stamps)
    of_moment = np.minimum((middle * count).astype(np.int64), count - 1)
    of_moment = np.unique(of_moment, return_inverse=True)[1]
    starts = moments[np.flatnonzero(np.diff(of_moment, prepend=-1))]
    ends = np.append(starts[1:], moments[-1])
    return of_moment[inverse], (ends - starts).astype(np.float64)


def _baseline(flat: pd.DataFrame, cells: pd.Index, keys: list[str]) -> Floats:
    shared = [key for key in keys if key not in _DECISIONS]
    if not shared:
        return np.full(len(cells), flat["win"].mean())
    rates = flat.groupby(shared, observed=True)["win"].mean()
    wanted = pd.MultiIndex.from_frame(cells.to_frame(index=False)[shared])
    if len(shared) == 1:
        return rates.reindex(wanted.get_level_values(0)).to_numpy()
    return rates.reindex(wanted).to_numpy()


def _empty(keys: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=_COLUMNS, index=_cells([], keys))


def _cells(cells: list[tuple[Any, ...]], keys: list[str]) -> pd.Index:
    frame = pd.DataFrame(cells, columns=keys)
    return pd.Index(frame[keys[0]]) if len(keys) == 1 else pd.MultiIndex.from_frame(frame)
