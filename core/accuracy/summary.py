"""Rates, returns and lift per cell, with what they are measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.accuracy.cells import (
    DECISIONS,
    Cells,
    belonging,
    day_numbers,
    gather,
    horizon_days,
    need,
    rows_of,
)
from core.accuracy.eras import Eras, Interval, benjamini_hochberg
from core.accuracy.tallies import DAILY, DAY, R_COUNTS, R_EDGES, regroup, tally
from core.market.grid import Floats, Ints

_COLUMNS = [
    "n",
    "n_eff",
    "win_rate",
    "low",
    "high",
    "p_value",
    "q_value",
    "flagged",
    "baseline",
    "baseline_long",
    "baseline_coin",
    "lift",
    "lift_low",
    "lift_high",
    "expectancy_r",
    "expectancy_low",
    "expectancy_high",
    "mean_net_return",
    "profit_factor",
    "drawdown_r",
    "mae_r",
    "mfe_r",
    "stop_share",
    "target_share",
    "beyond_1pct",
    "counterfactual",
    "note",
]
_NEVER_POOLED = ("judge", "profile_name", "profile_version")
_USED = list(DAILY)


def summarise(
    outcomes: pd.DataFrame, by: Sequence[str] | str = ("verdict", "horizon")
) -> pd.DataFrame:
    """One row per cell of ``by`` (columns or index levels of `core.outcomes.resolve`).

    The columns are those of `summarise_tallies`, from the tallies of these outcomes. Judges, profiles
    and their versions are never pooled: where outcomes are of several, ``by`` must name them.
    """
    keys = _keys(by)
    _refuse_pooling(outcomes, keys)
    needed = [name for name in ("traded", "horizon") if name not in keys]
    return summarise_tallies(tally(outcomes, [*keys, *needed]), keys)


def summarise_tallies(
    tallies: pd.DataFrame,
    by: Sequence[str] | str = ("verdict", "horizon"),
    universe: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per cell of ``by``, from sums per day (`core.accuracy.tally`).

    The tallies must tell "traded" and "horizon" apart. Where they are only a part of what was
    judged (one verdict, say), ``universe`` is the whole that the raw signal is taken from.

    ``n`` outcomes; ``n_eff``, how many independent ones would leave the same interval;
    ``win_rate``, the share with a net return above 0, with ``low`` and ``high``; ``baseline``, the
    win rate of the raw signal: every outcome of the same horizon and keys whatever was decided
    about it; ``baseline_long``, of always being long at the cell's own moments; ``baseline_coin``,
    of a fair coin choosing the direction there, at the same costs; ``lift`` = win_rate - baseline,
    with ``lift_low`` and ``lift_high``. ``p_value`` is of the lift being zero, whichever way it
    differs: that what was decided says nothing about winning, for trades and for what was not
    traded alike. ``q_value`` allows for every cell of this table that has a p_value (Benjamini and
    Hochberg; their number is in ``attrs["cells"]``), ``flagged`` is q_value <= 0.05.

    ``expectancy_r`` with ``expectancy_low`` and ``expectancy_high``; ``mean_net_return``;
    ``profit_factor``, gains over losses; ``drawdown_r``, the largest fall of the cumulative R by
    exit day; ``mae_r`` and ``mfe_r``, mean worst and best excursion; ``stop_share`` and
    ``target_share``, how often that barrier came first; ``beyond_1pct``, the share that moved more
    than 1 % the right way before costs; ``counterfactual``, True where nothing was traded; ``note``,
    why there is no interval, else None. Intervals are 95 % t intervals over eras, see
    `core.accuracy.eras`. Cells without outcomes do not appear.

    Trades and counterfactuals are never counted together: cells of WAIT and SKIP hold what would
    have been, all others hold trades only. Name "traded" in ``by`` to see both of every verdict.
    """
    keys = _keys(by)
    need(tallies, [*keys, "traded", "horizon"])
    counted = belonging(tallies, keys)
    cells = gather(counted, keys, _USED, _days(tallies, universe))
    if not len(cells.keys):
        return _empty(cells)
    shared = [key for key in keys if key not in DECISIONS]
    raw = gather(tallies if universe is None else universe, shared, ["n", "wins"], cells.days)
    table = pd.DataFrame(_sums(cells), index=cells.index)
    table["counterfactual"] = _untraded(counted, keys, cells)
    _add_intervals(table, cells, raw, rows_of(cells, raw, shared), horizon_days(counted, cells))
    return _with_flags(table)


def _keys(by: Sequence[str] | str) -> list[str]:
    keys = [by] if isinstance(by, str) else list(by)
    twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
    if twice is not None or DAY in keys:
        raise ValueError(f"by cannot name {twice or DAY!r}; name columns, each once")
    return keys


def _refuse_pooling(outcomes: pd.DataFrame, keys: list[str]) -> None:
    for name in _NEVER_POOLED:
        if name in outcomes and name not in keys and outcomes[name].nunique(dropna=False) > 1:
            raise ValueError(
                f"these outcomes are of several {name}s, which are never pooled: "
                f"name {name!r} in by, or choose one"
            )


def _days(tallies: pd.DataFrame, universe: pd.DataFrame | None) -> Ints:
    whole = tallies.index.get_level_values(DAY)
    if universe is not None:
        whole = whole.append(universe.index.get_level_values(DAY))
    return np.unique(day_numbers(whole.unique()))


def _sums(cells: Cells) -> dict[str, Floats]:
    def share(part: str, of: str) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(cells.total(part) / cells.total(of))

    running = np.cumsum(cells["sum_r"], axis=1)
    peak = np.maximum.accumulate(np.maximum(running, 0), axis=1)
    losses = cells.total("loss_net")
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(losses > 0, cells.total("gain_net") / losses, np.nan)
    return {
        "n": cells.total("n").astype(np.int64),
        "win_rate": share("wins", "n"),
        "baseline_long": share("long_wins", "n"),
        "baseline_coin": (share("wins", "n") + share("opposite_wins", "n")) / 2,
        "expectancy_r": share("sum_r", "n_r"),
        "mean_net_return": share("sum_net", "n"),
        "profit_factor": factor,
        "drawdown_r": np.where(cells.total("n_r") > 0, (peak - running).max(axis=1), np.nan),
        "mae_r": share("sum_mae_r", "n_path"),
        "mfe_r": share("sum_mfe_r", "n_path"),
        "stop_share": share("stops", "n_barrier"),
        "target_share": share("targets", "n_barrier"),
        "beyond_1pct": share("beyond", "n"),
    }


def _untraded(tallies: pd.DataFrame, keys: list[str], cells: Cells) -> Any:
    traded = tallies.index.get_level_values("traded").to_numpy(dtype=bool)
    part = tallies[["n"]].assign(n=tallies["n"].to_numpy() * traded)
    return gather(part, keys, ["n"], cells.days).total("n") == 0


def _add_intervals(
    table: pd.DataFrame, cells: Cells, raw: Cells, rows: Ints, horizon: Floats
) -> None:
    eras = Eras.of(cells["n"], cells.days, horizon)
    n, raw_n, raw_wins = cells.total("n"), raw["n"][rows], raw["wins"][rows]
    smooth = (cells.total("wins") + 2) / (n + 4)
    spread = smooth * (1 - smooth)
    won = eras.mean(cells["wins"], cells["n"], np.sqrt(spread / n))
    table["baseline"] = raw_wins.sum(axis=1) / raw_n.sum(axis=1)
    table["lift"] = table["win_rate"] - table["baseline"]
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = eras.left_out(cells["wins"]) / eras.left_out(cells["n"])
        raw_rates = eras.left_out(raw_wins) / eras.left_out(raw_n)
    apart = np.sqrt(spread * np.maximum(1 / n - 1 / raw_n.sum(axis=1), 0))
    lift = eras.interval(table["lift"].to_numpy(), rates - raw_rates, apart)
    table["n_eff"] = np.minimum(n, spread / won.error**2)
    table["low"], table["high"] = np.maximum(won.low, 0), np.minimum(won.high, 1)
    _set(table, "lift", lift)
    _set(table, "expectancy", eras.mean(cells["sum_r"], cells["n_r"]))
    table["p_value"] = lift.p_value
    table["note"] = pd.Series(eras.note, index=table.index, dtype=object)


def _set(table: pd.DataFrame, name: str, interval: Interval) -> None:
    table[f"{name}_low"], table[f"{name}_high"] = interval.low, interval.high


def _with_flags(table: pd.DataFrame) -> pd.DataFrame:
    q, flagged = benjamini_hochberg(table["p_value"].to_numpy())
    table["q_value"], table["flagged"] = q, flagged
    table.attrs["cells"] = int(table["p_value"].notna().sum())
    return table[_COLUMNS]


def _empty(cells: Cells) -> pd.DataFrame:
    table = pd.DataFrame(columns=_COLUMNS, index=cells.index)
    table.attrs["cells"] = 0
    return table


def cumulative_r(outcomes: pd.DataFrame) -> pd.Series:
    """Running sum of ``r_multiple`` by exit time; index time. Outcomes without R are left out.

    An outcome counts from its exit, so no step of the curve was known earlier than it is drawn.
    """
    known = outcomes["r_multiple"].notna()
    total = outcomes.loc[known].groupby("exit_at")["r_multiple"].sum()
    return total.sort_index().cumsum().rename("cumulative_r")


def daily_r(tallies: pd.DataFrame, by: Sequence[str] | str = ("verdict", "horizon")) -> pd.Series:
    """Cumulative R of each cell at the end of each UTC day on which outcomes ended.

    Index (*by, day). Trades and counterfactuals are told apart as in `summarise_tallies`.
    """
    keys = _keys(by)
    need(tallies, keys)
    daily = regroup(belonging(tallies, keys), [*keys, DAY])["sum_r"]
    total = daily.groupby(level=keys, observed=True).cumsum() if keys else daily.cumsum()
    return total.rename("cumulative_r")


def distribution(tallies: pd.DataFrame) -> pd.DataFrame:
    """How many outcomes of all these cells had an R from ``low`` up to ``high``: columns low, high, n.

    The first and the last row hold everything beyond the edges.
    """
    edges = np.concatenate(([-np.inf], R_EDGES, [np.inf]))
    counts = tallies[list(R_COUNTS)].sum().to_numpy().astype(np.int64)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": counts})
