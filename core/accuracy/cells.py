"""Tallies as dense arrays of cells and days, and which of them belong in one cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.accuracy.tallies import DAY, regroup
from core.market.grid import Floats, Ints

_DAY_NS = 86_400_000_000_000
_UNTRADED = ("WAIT", "SKIP")
EVERYTHING = "all"

# Keys that tell signals apart by what was decided; the raw signal is followed whatever they say.
DECISIONS = frozenset({"verdict", "risk_mode", "multiplier", "traded"})


@dataclass(frozen=True)
class Cells:
    """``keys`` a row per cell; sums by name (cells, days); ``days`` their numbers since 1970."""

    keys: pd.DataFrame
    sums: dict[str, Floats]
    days: Ints

    def __getitem__(self, name: str) -> Floats:
        return self.sums[name]

    def total(self, name: str) -> Floats:
        return np.asarray(self.sums[name].sum(axis=-1))

    @property
    def index(self) -> pd.Index:
        index: pd.Index = pd.MultiIndex.from_frame(self.keys)
        return index.get_level_values(0) if index.nlevels == 1 else index


def need(tallies: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise ValueError naming the first key that the tallies do not tell apart."""
    for name in names:
        if name not in tallies.index.names:
            known = ", ".join(str(key) for key in tallies.index.names)
            raise ValueError(f"tallies do not tell {name!r} apart; they have {known}")


def belonging(tallies: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Trades; and where cells tell verdicts apart, of WAIT and SKIP what was not traded.

    Trades and counterfactuals are never counted together. Everything where ``keys`` name "traded".
    """
    if "traded" in keys:
        return tallies
    need(tallies, ["traded"])
    kept = tallies.index.get_level_values("traded").to_numpy(dtype=bool)
    if "verdict" in keys:
        kept = kept | tallies.index.get_level_values("verdict").isin(list(_UNTRADED))
    return tallies[kept]


def gather(
    tallies: pd.DataFrame, keys: Sequence[str], columns: Sequence[str], days: Ints | None = None
) -> Cells:
    """The cells of ``keys`` over the days of the tallies, or over ``days`` where they are given."""
    by = list(keys) or [EVERYTHING]
    if not keys:
        tallies = tallies.assign(**{EVERYTHING: EVERYTHING}).set_index(EVERYTHING, append=True)
    table = regroup(tallies, [*by, DAY])[list(columns)]
    number = day_numbers(table.index.get_level_values(DAY))
    cells, first = _number(table.index, by)
    days = np.unique(number) if days is None else days
    column = np.searchsorted(days, number)
    sums = {}
    for name in columns:
        dense = np.zeros((len(first), len(days)))
        dense[cells, column] = table[name].to_numpy(dtype=np.float64)
        sums[name] = dense
    frame = table.index[first].to_frame(index=False)[by]
    return Cells(frame, sums, days)


def day_numbers(days: pd.Index) -> Ints:
    """Days since 1970 of timestamps at midnight UTC."""
    return np.asarray(pd.DatetimeIndex(days).as_unit("ns").asi8 // _DAY_NS, dtype=np.int64)


def _number(index: pd.Index, by: list[str]) -> tuple[Ints, Ints]:
    """Number of the cell of each row, in the order of the rows, and the first row of each cell."""
    if not len(index):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    codes = np.column_stack([pd.factorize(index.get_level_values(name))[0] for name in by])
    fresh = np.concatenate(([True], (codes[1:] != codes[:-1]).any(axis=1)))
    return np.cumsum(fresh) - 1, np.flatnonzero(fresh)


def horizon_days(tallies: pd.DataFrame, cells: Cells) -> Floats:
    """The longest horizon of each cell, in days."""
    need(tallies, ["horizon"])
    by = [name for name in cells.keys.columns if name != EVERYTHING]
    codes, names = pd.factorize(tallies.index.get_level_values("horizon"))
    lengths = np.array([pd.Timedelta(name) / pd.Timedelta("1D") for name in names])
    if not by:
        return np.full(len(cells.keys), lengths.max(initial=0))
    of_rows = pd.Series(lengths[codes], tallies.index)
    longest = of_rows.groupby(level=by, observed=True).max()
    return longest.reindex(cells.index).to_numpy(dtype=np.float64)


def rows_of(cells: Cells, wider: Cells, shared: Sequence[str]) -> Ints:
    """For each cell the row of ``wider`` with the same ``shared`` keys."""
    if not shared:
        return np.zeros(len(cells.keys), dtype=np.int64)
    places = {key: row for row, key in enumerate(_tuples(wider.keys, shared))}
    return np.array([places[key] for key in _tuples(cells.keys, shared)], dtype=np.int64)


def _tuples(frame: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.object_]:
    found = np.empty(len(frame), dtype=object)
    found[:] = list(frame[list(names)].itertuples(index=False, name=None))
    return found
