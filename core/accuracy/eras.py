"""Intervals that overlapping outcomes and symbols that move together leave.

Outcomes of neighbouring hours share most of their future, and symbols move together, so a plain
interval is far too narrow. Here the days of a cell are cut into ten contiguous eras of about equal
count, each holding every symbol of its time, and the interval is a t interval over the eras' own
estimates (Ibragimov and Mueller 2010, "t-Statistic Based Correlation and Heterogeneity Robust
Inference", Journal of Business & Economic Statistics 28(4)): it asks only that eras are about
independent of each other, not what happens within them. Everything is made from sums per day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import nctdtrinc, stdtr, stdtrit

from core.market.grid import Floats, Ints

ERAS = 10
CONFIDENCE = 0.95
FREEDOM = ERAS - 1
HALF_WIDTHS = float(stdtrit(FREEDOM, 0.5 + CONFIDENCE / 2))
LEAST = 2 * ERAS

TOO_FEW = "too few: {} of the {} outcomes that an interval needs"
TOO_FEW_DAYS = "not enough time yet: outcomes on {} of the {} days that an interval needs"
TOO_SHORT = "not enough time yet: an era is shorter than two horizons"


@dataclass(frozen=True)
class Interval:
    """95 % interval of a mean per cell, arrays of one shape; NaN where ``note`` says why not."""

    estimate: Floats
    error: Floats
    low: Floats
    high: Floats
    note: npt.NDArray[np.object_]

    @property
    def p_value(self) -> Floats:
        """Two-sided, of the mean being zero: t with nine degrees of freedom.

        NaN where there is no interval or nothing that could differ.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.where(self.error > 0, np.abs(self.estimate) / self.error, np.nan)
        return np.asarray(2 * stdtr(FREEDOM, -t))


def split_eras(counts: npt.ArrayLike, eras: int = ERAS) -> Ints:
    """Number of the era (0 to ``eras`` - 1) of each day, from outcomes per day (..., days).

    Eras are contiguous and of about equal count. Each has at least one day with outcomes where
    there are as many such days as eras; with fewer, the last numbers are left out. A day without
    outcomes goes with the day before it.

    >>> split_eras([2, 2, 0, 4, 4], 3).tolist()
    [0, 0, 0, 1, 2]
    >>> split_eras([1, 1, 90], 3).tolist()
    [0, 1, 2]
    """
    n = np.asarray(counts, dtype=np.float64)
    total = np.maximum(n.sum(axis=-1, keepdims=True), 1)
    busy = n > 0
    place = np.maximum(np.cumsum(busy, axis=-1) - 1, 0)
    days = busy.sum(axis=-1, keepdims=True)
    # A day belongs to the era in which its middle outcome falls,
    wanted = np.minimum((np.cumsum(n, axis=-1) - n / 2) / total * eras, eras - 1).astype(np.int64)
    # but enough days are left for the eras after it, and no era is skipped.
    wanted = np.clip(wanted, np.maximum(eras - days + place, 0), place)
    wanted = np.where(busy, wanted, np.iinfo(np.int64).max)
    found = place + np.minimum.accumulate(wanted - place, axis=-1)
    return np.asarray(np.where(place + busy.cumsum(axis=-1) == 0, 0, found), dtype=np.int64)


def era_sums(values: npt.ArrayLike, eras: Ints, count: int = ERAS) -> Floats:
    """Sums per era (..., count) of values per day (..., days).

    >>> era_sums([[1.0, 2.0, 4.0]], np.array([[0, 0, 1]]), 2).tolist()
    [[3.0, 4.0]]
    """
    array = np.asarray(values, dtype=np.float64)
    days = array.shape[-1]
    cells = array.size // max(days, 1)
    place = (np.arange(cells)[:, None] * count + eras.reshape(cells, days)).reshape(-1)
    sums = np.bincount(place, weights=array.reshape(-1), minlength=cells * count)
    return np.asarray(sums.reshape(*array.shape[:-1], count))


def era_lengths(counts: npt.ArrayLike, eras: Ints, days: npt.ArrayLike) -> Floats:
    """Days from the first outcome of each era to that of the next, median per cell.

    ``days`` are day numbers, as the last axis of ``counts`` and ``eras``.
    """
    n, number = np.asarray(counts), np.asarray(days, dtype=np.float64)
    cells = n.reshape(-1, n.shape[-1])
    lengths = np.full(len(cells), np.nan)
    for cell, (of_cell, era) in enumerate(zip(cells, eras.reshape(cells.shape), strict=True)):
        busy = np.flatnonzero(of_cell > 0)
        if len(busy):
            starts = busy[np.flatnonzero(np.diff(era[busy], prepend=-1))]
            lengths[cell] = np.median(np.diff(np.append(number[starts], number[busy[-1]] + 1)))
    return lengths.reshape(n.shape[:-1])


def notes(
    counts: Floats, eras: Ints, days: npt.ArrayLike, horizon_days: Floats
) -> npt.NDArray[np.object_]:
    """Why a cell (..., days) has no interval, else None; ``horizon_days`` is per cell."""
    n, busy = counts.sum(axis=-1), (counts > 0).sum(axis=-1)
    short = ~(era_lengths(counts, eras, days) >= 2 * horizon_days)
    found = np.full(n.shape, None, dtype=object)
    found[short] = TOO_SHORT
    for place in np.argwhere(busy < ERAS):
        found[tuple(place)] = TOO_FEW_DAYS.format(int(busy[tuple(place)]), ERAS)
    for place in np.argwhere(n < LEAST):
        found[tuple(place)] = TOO_FEW.format(int(n[tuple(place)]), LEAST)
    return found


def t_interval(
    estimate: Floats,
    of_eras: Floats,
    note: npt.NDArray[np.object_],
    least_error: Floats | float = 0.0,
) -> Interval:
    """t interval around ``estimate`` (...) from the eras' own estimates (..., eras).

    Its error is that of the mean of the eras, and at least ``least_error``.
    """
    with np.errstate(invalid="ignore"):
        error = of_eras.std(axis=-1, ddof=1) / np.sqrt(of_eras.shape[-1])
    error = np.maximum(error, least_error)
    known = pd.isna(note) & ~np.isnan(error)
    error = np.where(known, error, np.nan)
    half = HALF_WIDTHS * error
    return Interval(estimate, error, estimate - half, estimate + half, note)


def era_interval(
    sums: Floats, counts: Floats, days: npt.ArrayLike, horizon_days: Floats
) -> Interval:
    """95 % interval of the mean per outcome, from sums and counts per cell and day (..., days).

    ``days`` are day numbers and ``horizon_days`` the horizon of each cell (...). Without an interval
    (too few outcomes or days, or eras shorter than twice the horizon) its note says why.

    >>> once = np.ones((1, 5))
    >>> era_interval(once, once, np.arange(5), np.array([1.0])).note[0]
    'too few: 5 of the 20 outcomes that an interval needs'
    """
    eras = split_eras(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_eras = era_sums(sums, eras) / era_sums(counts, eras)
        mean = sums.sum(axis=-1) / counts.sum(axis=-1)
    return t_interval(mean, of_eras, notes(counts, eras, days, horizon_days))


def benjamini_hochberg(
    p: npt.ArrayLike, level: float = 0.05
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Adjusted p-values (q) of all the tests that were looked at, and which are flagged.

    Of what is flagged at most the share ``level`` is expected to be false (Benjamini and Hochberg
    1995, "Controlling the False Discovery Rate", JRSS B 57(1)), also for tests that move together
    (Benjamini and Yekutieli 2001). Where nothing is there at all, anything is flagged with a chance
    of at most ``level``. NaN is no test.

    >>> q, flagged = benjamini_hochberg([0.01, 0.04, 0.03, np.nan])
    >>> q.round(3).tolist(), flagged.tolist()
    ([0.03, 0.04, 0.04, nan], [True, True, True, False])
    """
    values = np.asarray(p, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    scaled = values[order] * len(order) / np.arange(1, len(order) + 1)
    q = np.full(values.shape, np.nan)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    with np.errstate(invalid="ignore"):
        return q, q <= level


def power_n_eff(baseline: float, edge: float, power: float = 0.8) -> float:
    """How many independent outcomes (n_eff) find a win rate ``edge`` above ``baseline``.

    Found: the 95 % t interval over ten eras leaves the baseline out, with chance ``power``. The
    test has nine degrees of freedom, so its statistic is noncentral t with mean shift edge / error
    (Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2), the shift that
    has this power is found, and n_eff = p (1 - p) / error^2 at the rate p that is true.

    >>> round(power_n_eff(0.5, 0.04))
    1540
    """
    rate = baseline + edge
    if not 0 < rate < 1 or not edge:
        raise ValueError("give a baseline and an edge that leave a rate between 0 and 1")

    shift = float(nctdtrinc(FREEDOM, 1 - power, HALF_WIDTHS))
    return rate * (1 - rate) * (shift / edge) ** 2
