"""The dense (symbol x time) view of a frame, and trailing windows over it.

A window is summed by doubling (1, 2, 4 ... bars), never as a difference of long running sums: its
value depends on its own bars only, so a calm month after a crash is as exact as before it, and the
first rows of a frame give the same bits whether or not later rows follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import FrameError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR_NS = 3_600_000_000_000
_MOST_CELLS = 200_000_000
_CACHED_CELLS = 16_384
_FEW_COLUMNS = 4


@dataclass(frozen=True)
class Grid:
    """Where each row of a frame stands in a dense array of ``shape`` (symbols, times).

    Rows of one symbol must be together and sorted by time. Times stand on a regular step, the
    largest that fits them all and at most an hour; a time without a row is a gap, NaN in the
    dense view.
    """

    shape: tuple[int, int]
    step_ns: int
    start_ns: int
    cells: Ints
    first_rows: Ints

    @classmethod
    def of(cls, index: pd.Index) -> Grid:
        """The grid of a (symbol, time) index. Raises `FrameError` where rows are not sorted."""
        codes, times = index_arrays(index)
        if not len(codes):
            return cls((0, 0), HOUR_NS, 0, np.empty(0, np.int64), np.empty(0, np.int64))
        change = np.flatnonzero(codes[1:] != codes[:-1]) + 1
        first_rows = np.concatenate(([0], change))
        if len(np.unique(codes[first_rows])) != len(first_rows):
            raise FrameError("rows must be sorted by symbol, then time")
        forward = np.diff(times) > 0
        forward[change - 1] = True
        if not forward.all():
            row = index[int(np.argmin(forward)) + 1]
            raise FrameError("times of a symbol must rise", row=row)
        start = int(times.min())
        offsets = times - start
        step = _step(index, times, offsets, change)
        columns = int(offsets.max()) // step + 1
        if columns * len(first_rows) > _MOST_CELLS:
            raise FrameError("times do not stand on a regular step; resample the bars first")
        group = np.repeat(np.arange(len(first_rows)), np.diff(np.append(first_rows, len(codes))))
        cells = group * columns + offsets // step
        return cls((len(first_rows), columns), step, start, cells, first_rows)

    @property
    def is_full(self) -> bool:
        """Whether every symbol has a row at every time, so that no copy is needed."""
        return len(self.cells) == self.shape[0] * self.shape[1]

    def bars(self, hours: float) -> int:
        """Bars in so many hours, at least one."""
        return max(1, round(hours * HOUR_NS / self.step_ns))

    def spread(self, values: npt.ArrayLike) -> Floats:
        """Row values as an array of `shape`, NaN where there is no row."""
        array = np.asarray(values, dtype=np.float64)
        if self.is_full:
            return array.reshape(self.shape)
        dense = np.full(self.shape[0] * self.shape[1], np.nan)
        dense[self.cells] = array
        return dense.reshape(self.shape)

    def collect(self, dense: Floats) -> Floats:
        """The values of the rows, in the order of the frame: the inverse of `spread`."""
        flat = np.ascontiguousarray(dense).reshape(-1)
        return flat if self.is_full else flat[self.cells]

    def since(self, time: pd.Timestamp | None) -> Newest:
        """The rows from ``time`` on; all of them for None."""
        if time is None:
            return Newest(self, 0, np.arange(len(self.cells)))
        first = max(0, -(-(time.value - self.start_ns) // self.step_ns))
        first = min(first, self.shape[1])
        rows = np.flatnonzero(self.cells % max(self.shape[1], 1) >= first)
        return Newest(self, first, rows)


@dataclass(frozen=True)
class Newest:
    """The rows of a grid that stand in its columns from ``first`` on."""

    grid: Grid
    first: int
    rows: Ints

    def collect(self, dense: Floats) -> Floats:
        """The values of the rows from an array that holds the columns from ``first`` on."""
        if not self.first:
            return self.grid.collect(dense)
        symbol, column = np.divmod(self.grid.cells[self.rows], self.grid.shape[1])
        return np.asarray(dense[symbol, column - self.first])


def _step(index: pd.Index, times: Ints, offsets: Ints, change: Ints) -> int:
    """The step in ns: an hour, or what finer bars have. All symbols must share it.

    A step that one symbol sets and another does not keep would turn the other's bars into gaps,
    in the past too, when a single row off the hour arrives.
    """
    step = int(np.gcd(np.gcd.reduce(offsets), HOUR_NS))
    if step == HOUR_NS:
        return step
    wide = np.diff(times) > step
    wide[change - 1] = False
    symbol = np.concatenate(([0], np.cumsum(np.isin(np.arange(1, len(times)), change))))
    gaps = np.bincount(symbol[1:], weights=wide, minlength=symbol[-1] + 1)
    sizes = np.bincount(symbol)
    sparse = (gaps > 0.5 * (sizes - 1)) & (sizes > 1)
    if sparse.any():
        name = index[int(np.searchsorted(symbol, np.argmax(sparse)))][0]
        minutes = step / HOUR_NS * 60
        raise FrameError(
            f"most bars of {name} are further apart than the {minutes:g} min between others; "
            "give bars of one step, on the same minutes of the hour"
        )
    return step


def index_arrays(index: pd.Index) -> tuple[Ints, Ints]:
    """Symbol codes and times (ns since 1970) of a (symbol, time) index, without building objects."""
    if not isinstance(index, pd.MultiIndex) or index.nlevels != 2:
        raise FrameError(f"the index must be (symbol, time), not {list(index.names)}")
    times = pd.DatetimeIndex(index.levels[1]).as_unit("ns").asi8
    return np.asarray(index.codes[0], np.int64), times[np.asarray(index.codes[1])]


def shift(values: Floats, bars: int) -> Floats:
    """Values of ``bars`` bars ago, NaN where there are none."""
    moved = np.full_like(values, np.nan)
    if bars < values.shape[1]:
        moved[:, bars:] = values[:, : values.shape[1] - bars]
    return moved


def window_sum(values: Floats, bars: int, first: int = 0) -> Floats:
    """Sum over the last ``bars`` bars, this one included; shorter at the start. No NaN allowed.

    Only columns from ``first`` on are computed and returned, with the same bits as all would have.

    >>> window_sum(np.array([[1.0, 2.0, 3.0, 4.0]]), 2)
    array([[1., 3., 5., 7.]])
    >>> window_sum(np.array([[1.0, 2.0, 3.0, 4.0]]), 2, first=3)
    array([[7.]])
    """
    if first >= values.shape[1]:
        return values[:, first:].copy()
    if values.shape[1] - first <= _FEW_COLUMNS and first:
        ends = range(first + 1, values.shape[1] + 1)
        return np.column_stack([_sum_by_halving(values[:, :end], bars) for end in ends])
    reach = max(0, first - bars + 1)
    total = np.zeros((values.shape[0], values.shape[1] - reach))
    # A few symbols at a time, so that all passes over them stay in the processor's cache.
    rows = max(1, _CACHED_CELLS // max(1, total.shape[1]))
    for at in range(0, len(total), rows):
        _sum_by_doubling(values[at : at + rows, reach:], bars, total[at : at + rows])
    return total[:, first - reach :]


def _sum_by_doubling(values: Floats, bars: int, total: Floats) -> None:
    """Add to ``total`` the window sums of ``values``: windows of 1, 2, 4 ... bars, then their sum."""
    power, width, covered = values, 1, 0
    buffers = np.empty_like(total), np.empty_like(total)
    while True:
        if bars & width:
            if covered < total.shape[1]:
                total[:, covered:] += power[:, : power.shape[1] - covered]
            covered += width
        if covered == bars:
            return
        doubled = buffers[0] if power is not buffers[0] else buffers[1]
        doubled[:, :width] = power[:, :width]
        np.add(power[:, width:], power[:, :-width], out=doubled[:, width:])
        power, width = doubled, 2 * width


def _sum_by_halving(values: Floats, bars: int) -> Floats:
    """Sum of the last ``bars`` columns, added in the very order in which doubling adds them."""
    total, end, width = np.zeros(len(values)), values.shape[1], 1
    while width <= bars and end > 0:
        if bars & width:
            part = values[:, max(0, end - width) : end]
            if part.shape[1] < width:
                part = np.pad(part, ((0, 0), (width - part.shape[1], 0)))
            while part.shape[1] > 1:
                part = part[:, ::2] + part[:, 1::2]
            total += part[:, 0]
            end -= width
        width *= 2
    return total


def window_count(values: Floats, bars: int, first: int = 0) -> npt.NDArray[np.integer[Any]]:
    """How many of the last ``bars`` values are known."""
    known = ~np.isnan(values)
    if known.all():
        counts = np.minimum(np.arange(first + 1, values.shape[1] + 1), bars)
        return np.broadcast_to(counts, (len(values), len(counts)))
    # Whole numbers: here differences of long sums are exact.
    sums = np.zeros((len(values), values.shape[1] + 1), dtype=np.int32)
    np.cumsum(known, axis=1, out=sums[:, 1:])
    ends = np.arange(first, values.shape[1]) + 1
    return sums[:, ends] - sums[:, np.maximum(ends - bars, 0)]


def window_total(values: Floats, bars: int, fill: float) -> Floats:
    """Sum over the last ``bars`` bars, scaled up for unknown ones; NaN under a ``fill`` of known.

    >>> window_total(np.array([[2.0, np.nan, 2.0, 2.0]]), 4, fill=0.75)
    array([[nan, nan, nan,  8.]])
    """
    return window_mean(values, bars, fill * bars) * bars


def window_mean(values: Floats, bars: int, least: float, first: int = 0) -> Floats:
    """Mean of the known values among the last ``bars``; NaN where fewer than ``least`` are known."""
    counts = window_count(values, bars, first)
    sums = window_sum(_zero_unknown(values), bars, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums /= counts
    sums[counts < max(least, 1)] = np.nan
    return sums


def window_moments(
    values: Floats, bars: int, least: float, first: int = 0
) -> tuple[Floats, Floats]:
    """Mean and sample standard deviation of the known values among the last ``bars``.

    Both NaN where fewer than ``least`` are known. The deviation is NaN for a constant window too:
    a value that never changes says nothing about how unusual the next one is.
    """
    base = _first_known(values)
    centred = _zero_unknown(values - base)
    counts = window_count(values, bars, first)
    mean = window_sum(centred, bars, first)
    second = window_sum(np.square(centred, out=centred), bars, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = mean.copy()
        mean /= counts
        squares = second - total * mean
        unknown = counts < max(least, 2)
        squares[unknown | (squares <= 1e-12 * second)] = np.nan
        squares /= counts - 1
        mean += base
    mean[unknown] = np.nan
    return mean, np.sqrt(squares, out=squares)


def _zero_unknown(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, values)


def _first_known(values: Floats) -> Floats:
    if not values.shape[1]:
        return np.zeros((len(values), 1))
    known = ~np.isnan(values)
    at = known.argmax(axis=1)
    first: Floats = np.nan_to_num(values[np.arange(len(values)), at], nan=0.0)
    return first[:, None]
