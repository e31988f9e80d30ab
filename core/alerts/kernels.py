"""What the operators and functions of rules do to arrays of shape (symbols, times).

Numbers are float64 with NaN for unknown. Truth is int8: 0 false, 1 unknown, 2 true, so that "and"
is the minimum, "or" the maximum and "not" is 2 - x. Every kernel that looks back takes the values
of the columns it needs and returns those from ``first`` on; a result depends on its own bars only,
so that the newest rows have the same bits whether or not the history before them is computed too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from core.market.grid import Floats, window_count, window_mean, window_sum

Truth = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]
Number = Floats | float

FALSE, UNKNOWN, TRUE = np.int8(0), np.int8(1), np.int8(2)
LEAST_KNOWN = 0.75
_CACHED_CELLS = 65_536
_FEW_COLUMNS = 4


def least(bars: int) -> int:
    """How many bars of a window must be known: three quarters, rounded up.

    >>> [least(bars) for bars in (1, 2, 3, 4, 24)]
    [1, 2, 3, 3, 18]
    """
    return math.ceil(LEAST_KNOWN * bars)


# Comparisons: true minus false plus one. NaN is neither, which leaves 1.


def _truth(true: Flags, false: Flags) -> Truth:
    found = np.subtract(true.view(np.int8), false.view(np.int8))
    found += UNKNOWN
    return found


def greater(a: Number, b: Number) -> Truth:
    return _truth(np.greater(a, b), np.less_equal(a, b))


def greater_equal(a: Number, b: Number) -> Truth:
    return _truth(np.greater_equal(a, b), np.less(a, b))


def less(a: Number, b: Number) -> Truth:
    return greater(b, a)


def less_equal(a: Number, b: Number) -> Truth:
    return greater_equal(b, a)


def equal(a: Number, b: Number) -> Truth:
    """
    >>> equal(np.array([1.0, 2.0, np.nan]), 1.0).tolist()
    [2, 0, 1]
    """
    return _truth(np.equal(a, b), np.less(a, b) | np.greater(a, b))


def unequal(a: Number, b: Number) -> Truth:
    return negated(equal(a, b))


def negated(truth: Truth) -> Truth:
    found: Truth = np.subtract(TRUE, truth)
    return found


def chosen(
    condition: Truth, body: Number | Truth, other: Number | Truth, unknown: float | np.int8
) -> Floats | Truth:
    """``body`` where the condition is true, ``other`` where it is false, else ``unknown``."""
    found: Floats | Truth = np.where(condition == TRUE, body, other)
    open_question = condition == UNKNOWN
    if open_question.any():
        found[open_question] = unknown
    return found


# Arithmetic. Called where overflow and division by zero raise FloatingPointError.


def finite(work: Callable[..., Floats], *args: object) -> Floats:
    """The result of ``work`` with NaN for what is not finite, where that raises otherwise.

    >>> with np.errstate(divide="raise"):
    ...     finite(np.divide, np.array([1.0, 1.0]), np.array([0.0, 2.0])).tolist()
    [nan, 0.5]
    """
    try:
        return work(*args)
    except FloatingPointError:
        with np.errstate(all="ignore"):
            found = work(*args)
        return np.where(np.isfinite(found), found, np.nan)


def smallest(*values: Number) -> Floats:
    found = np.minimum(values[0], values[1])
    for value in values[2:]:
        found = np.minimum(found, value)
    return np.asarray(found)


def largest(*values: Number) -> Floats:
    found = np.maximum(values[0], values[1])
    for value in values[2:]:
        found = np.maximum(found, value)
    return np.asarray(found)


def known(values: Floats) -> Truth:
    return np.where(np.isnan(values), FALSE, TRUE)


# Windows.


def change(values: Floats, bars: int, first: int) -> Floats:
    """Difference from ``bars`` bars ago."""
    return values[:, first:] - _ago(values, bars, first)


def change_percent(values: Floats, bars: int, first: int) -> Floats:
    """Difference from ``bars`` bars ago in percent of the size of the value then."""
    old = _ago(values, bars, first)
    return (values[:, first:] - old) / np.abs(old) * 100.0


def _ago(values: Floats, bars: int, first: int) -> Floats:
    if first >= bars:
        return values[:, first - bars : values.shape[1] - bars]
    width = values.shape[1] - first
    old = np.full((len(values), width), np.nan)
    start = min(bars - first, width)
    old[:, start:] = values[:, : width - start]
    return old


def average(values: Floats, bars: int, first: int) -> Floats:
    if _is_whole(values, bars, first):
        return window_sum(values, bars, first) / bars
    mean = window_mean(values, bars, least(bars), first)
    return _where_newest_known(mean, values, first)


def _is_whole(values: Floats, bars: int, first: int) -> bool:
    """Whether every window is full and known, so that nothing has to be counted."""
    return first >= bars - 1 and values.size > 0 and not np.isnan(values.min())


def highest(values: Floats, bars: int, first: int) -> Floats:
    return _extreme(np.fmax, values, bars, first)


def lowest(values: Floats, bars: int, first: int) -> Floats:
    return _extreme(np.fmin, values, bars, first)


def _extreme(pick: np.ufunc, values: Floats, bars: int, first: int) -> Floats:
    """Largest or smallest of the known values; fmax and fmin pass over NaN."""
    width = values.shape[1] - first
    if width <= _FEW_COLUMNS:
        ends = range(first + 1, values.shape[1] + 1)
        parts = [pick.reduce(values[:, max(0, end - bars) : end], axis=1) for end in ends]
        found = np.column_stack(parts) if parts else values[:, first:].copy()
    else:
        found = _extremes(pick, values, bars)[:, first:]
    if _is_whole(values, bars, first):
        return found
    found[window_count(values, bars, first) < least(bars)] = np.nan
    return _where_newest_known(found, values, first)


def _extremes(pick: np.ufunc, values: Floats, bars: int) -> Floats:
    """The extreme of every window, by windows of 1, 2, 4 ... bars that may overlap."""
    found, covered = values.copy(), 1
    while covered < min(bars, values.shape[1]):
        step = min(covered, bars - covered)
        # The right side is read whole before it is written: numpy buffers overlapping operands.
        found[:, step:] = pick(found[:, step:], found[:, :-step])
        covered += step
    return found


def _where_newest_known(found: Floats, values: Floats, first: int) -> Floats:
    """A window says nothing about a bar that is itself unknown."""
    found[np.isnan(values[:, first:])] = np.nan
    return found


def count(condition: Truth, bars: int, first: int) -> Floats:
    """How many of the last ``bars`` bars the condition held, among those where it is known."""
    found = _window_whole(condition == TRUE, bars, first).astype(np.float64)
    unknown = condition == UNKNOWN
    if first < bars - 1 or unknown.any():
        there = _window_whole(~unknown, bars, first)
        found[(there < least(bars)) | unknown[:, first:]] = np.nan
    return found


def _window_whole(flags: Flags, bars: int, first: int) -> npt.NDArray[np.integer[Any]]:
    width = flags.shape[1] - first
    if width <= _FEW_COLUMNS:
        ends = range(first + 1, flags.shape[1] + 1)
        parts = [np.count_nonzero(flags[:, max(0, end - bars) : end], axis=1) for end in ends]
        return np.column_stack(parts) if parts else np.zeros((len(flags), 0), np.int64)
    sums = np.zeros((len(flags), flags.shape[1] + 1), dtype=np.int32)
    np.cumsum(flags, axis=1, out=sums[:, 1:])
    until = np.arange(first, flags.shape[1]) + 1
    return sums[:, until] - sums[:, np.maximum(until - bars, 0)]


def crosses_above(a: Number, b: Number, first: int) -> Truth:
    """Above now, and not above one bar before."""
    above = greater(a, b)
    found = np.minimum(above, UNKNOWN)
    found[:, 1:] = np.minimum(above[:, 1:], TRUE - above[:, :-1])
    return found[:, first:]


def crosses_below(a: Number, b: Number, first: int) -> Truth:
    return crosses_above(b, a, first)


# Mean and deviation. Windows are merged by Chan, Golub and LeVeque's formula (1979), 1, 2, 4 ...
# bars at a time: exact for a value that does not change, and no window knows its neighbours.

# Count, mean and sum of squared deviations of a stretch of bars. The count is one number where
# every bar is known, which gives the same bits in less time.
Moments = tuple[Number, Floats, Number]


def moments(values: Floats, bars: int, first: int) -> tuple[Floats, Floats]:
    """Mean and sample standard deviation of the known values among the last ``bars``.

    NaN where under three quarters, or fewer than two, are known. A constant has deviation 0.
    """
    width = values.shape[1] - first
    mean, spread = np.empty((len(values), width)), np.empty((len(values), width))
    # A few symbols at a time, so that all passes over them stay in the processor's cache.
    rows = max(1, _CACHED_CELLS // max(1, values.shape[1]))
    for at in range(0, len(values), rows):
        n, centre, squares = _moments(values[at : at + rows], bars, first)
        few = np.asarray(n) < max(least(bars), 2)
        mean[at : at + rows] = np.where(few, np.nan, centre)
        spread[at : at + rows] = np.where(few, np.nan, np.sqrt(squares / np.maximum(n - 1.0, 1.0)))
    return mean, spread


def _moments(values: Floats, bars: int, first: int) -> Moments:
    single: Moments = 1.0, values, 0.0
    if not _is_whole(values, bars, first):
        unknown = np.isnan(values)
        there = (~unknown).astype(np.float64)
        single = there, np.where(unknown, 0.0, values), np.zeros_like(there)
    width = values.shape[1] - first
    if not 0 < width <= _FEW_COLUMNS:
        n, mean, squares = _by_doubling(single, bars)
        return _columns(n, first), mean[:, first:], _columns(squares, first)
    ends = range(first + 1, values.shape[1] + 1)
    parts = zip(*(_by_halving(single, bars, end) for end in ends), strict=True)
    n, mean, squares = (np.column_stack(np.broadcast_arrays(*part)) for part in parts)
    return n, mean, squares


def _merged(old: Moments, new: Moments) -> Moments:
    """The moments of two stretches together."""
    (n_old, mean_old, squares_old), (n_new, mean_new, squares_new) = old, new
    n = n_old + n_new
    share = n_new / (max(n, 1.0) if isinstance(n, float) else np.maximum(n, 1.0))
    delta = mean_new - mean_old
    between = delta * (n_old * share)
    between *= delta
    between += squares_old + squares_new
    delta *= share
    delta += mean_old
    return n, delta, between


def _by_doubling(power: Moments, bars: int) -> Moments:
    width, covered = 1, 0
    total: Moments | None = None
    while True:
        if bars & width:
            total = power if total is None else _merged(_moved(power, covered), total)
            covered += width
        if covered == bars:
            assert total is not None
            return total
        power = _merged(_moved(power, width), power)
        width *= 2


def _moved(part: Moments, bars: int) -> Moments:
    """The moments of so many bars ago; before the first bar nothing is known."""
    n, mean, squares = (_shifted(one, bars) for one in part)
    return n, np.asarray(mean), squares


def _shifted(values: Number, bars: int) -> Number:
    if isinstance(values, float):
        return values
    moved = np.zeros_like(values)
    if bars < values.shape[1]:
        moved[:, bars:] = values[:, : values.shape[1] - bars]
    return moved


def _columns(values: Number, first: int) -> Number:
    return values if isinstance(values, float) else values[:, first:]


def _by_halving(single: Moments, bars: int, end: int) -> Moments:
    """The window that ends before column ``end``, merged in the very order of `_by_doubling`."""
    total: Moments | None = None
    width = 1
    while width <= bars:
        if bars & width:
            part = _stretch(single, end - width, end)
            while part[1].shape[1] > 1:
                part = _merged(_every_second(part, 0), _every_second(part, 1))
            total = part if total is None else _merged(part, total)
            end -= width
        width *= 2
    assert total is not None
    return total


def _every_second(part: Moments, odd: int) -> Moments:
    n, mean, squares = (one if isinstance(one, float) else one[:, odd::2] for one in part)
    return n, np.asarray(mean), squares


def _stretch(single: Moments, start: int, end: int) -> Moments:
    """Columns from ``start`` to ``end``, where those before the first are unknown."""
    missing = min(max(0, -start), end - start)

    def cut(one: Number) -> Number:
        if isinstance(one, float):
            return one
        there = one[:, max(0, start) : max(0, end)]
        return np.pad(there, ((0, 0), (missing, 0))) if missing else there

    n, mean, squares = (cut(one) for one in single)
    return n, np.asarray(mean), squares


def deviation(values: Floats, bars: int, first: int) -> Floats:
    return _where_newest_known(moments(values, bars, first)[1], values, first)


def zscore(values: Floats, bars: int, first: int) -> Floats:
    """Distance from the mean of the ``bars`` bars before, in their standard deviations."""
    if not first:
        mean, spread = moments(values[:, :-1], bars, 0)
        blank = np.full((len(values), 1), np.nan)
        mean, spread = np.hstack([blank, mean]), np.hstack([blank, spread])
    else:
        mean, spread = moments(values[:, :-1], bars, first - 1)
    return (values[:, first:] - mean) / spread


def rank(values: Floats) -> Floats:
    """Place among all symbols of the moment: 1 is the highest, equals share the better place.

    >>> rank(np.array([[5.0], [9.0], [np.nan], [5.0], [1.0]])).ravel().tolist()
    [2.0, 1.0, nan, 2.0, 4.0]
    """
    falling = -values.T
    order = np.argsort(falling, axis=1)
    sorted_values = np.take_along_axis(falling, order, axis=1)
    places = np.arange(1.0, values.shape[0] + 1)
    first_of_its_value = np.ones(falling.shape, dtype=bool)
    first_of_its_value[:, 1:] = sorted_values[:, 1:] != sorted_values[:, :-1]
    shared = np.maximum.accumulate(np.where(first_of_its_value, places, 0.0), axis=1)
    found = np.empty_like(falling)
    np.put_along_axis(found, order, shared, axis=1)
    found[np.isnan(falling)] = np.nan
    return np.ascontiguousarray(found.T)
