"""The dense (symbol x time) view of a frame, and trailing windows over it.

Windows are sums of at most two block sums (van Herk), never differences of long cumulative sums:
a window's value depends on its own bars only, so a calm month after a crash is as exact as before
it, and the first rows of a frame give the same bits whether or not later rows follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import FrameError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR_NS = 3_600_000_000_000
_MOST_CELLS = 200_000_000


@dataclass(frozen=True)
class Grid:
    """Where each row of a frame stands in a dense array of ``shape`` (symbols, times).

    Rows of one symbol must be together and sorted by time. Times stand on a regular step, the
    largest that fits them all; a time without a row is a gap, NaN in the dense view.
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
        step = int(np.gcd.reduce(offsets)) or HOUR_NS
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


def window_sum(values: Floats, bars: int) -> Floats:
    """Sum over the last ``bars`` bars, this one included; shorter at the start. No NaN allowed.

    >>> window_sum(np.array([[1.0, 2.0, 3.0, 4.0]]), 2)
    array([[1., 3., 5., 7.]])
    """
    symbols, times = values.shape
    if bars <= 1 or times == 0:
        return values.copy()
    blocks = -(-times // bars)
    padded = np.zeros((symbols, blocks * bars))
    padded[:, :times] = values
    cube = padded.reshape(symbols, blocks, bars)
    heads = np.cumsum(cube, axis=2).reshape(symbols, -1)[:, :times]
    tails = np.cumsum(cube[:, :, ::-1], axis=2)[:, :, ::-1]
    tails[:, :, 0] = 0.0  # a window that is one whole block is already in its head
    sums = heads.copy()
    sums[:, bars - 1 :] += tails.reshape(symbols, -1)[:, : max(0, times - bars + 1)]
    return sums


def window_count(values: Floats, bars: int) -> Floats:
    """How many of the last ``bars`` values are known."""
    known = ~np.isnan(values)
    if known.all():
        counts = np.minimum(np.arange(1, values.shape[1] + 1), bars).astype(np.float64)
        return np.broadcast_to(counts, values.shape)
    return window_sum(known.astype(np.float64), bars)


def window_total(values: Floats, bars: int, fill: float) -> Floats:
    """Sum over the last ``bars`` bars, scaled up for unknown ones; NaN under a ``fill`` of known.

    >>> window_total(np.array([[2.0, np.nan, 2.0, 2.0]]), 4, fill=0.75)
    array([[nan, nan, nan,  8.]])
    """
    return window_mean(values, bars, fill * bars) * bars


def window_mean(values: Floats, bars: int, least: float) -> Floats:
    """Mean of the known values among the last ``bars``; NaN where fewer than ``least`` are known."""
    counts = window_count(values, bars)
    sums = window_sum(np.nan_to_num(values, nan=0.0), bars)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts >= max(least, 1), sums / counts, np.nan)


def window_moments(values: Floats, bars: int, least: float) -> tuple[Floats, Floats]:
    """Mean and sample standard deviation of the known values among the last ``bars``.

    Both NaN where fewer than ``least`` are known. The deviation is NaN for a constant window too:
    a value that never changes says nothing about how unusual the next one is.
    """
    base = _first_known(values)
    centred = np.nan_to_num(values - base, nan=0.0)
    counts = window_count(values, bars)
    first, second = window_sum(centred, bars), window_sum(centred * centred, bars)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = first / counts
        squares = second - first * mean
        known = counts >= max(least, 2)
        varied = squares > 1e-12 * second
        deviation = np.sqrt(np.where(known & varied, squares / (counts - 1), np.nan))
        return np.where(known, mean + base, np.nan), deviation


def _first_known(values: Floats) -> Floats:
    known = ~np.isnan(values)
    at = known.argmax(axis=1)
    first = values[np.arange(len(values)), at] if values.shape[1] else np.zeros(len(values))
    return np.nan_to_num(first, nan=0.0)[:, None]
