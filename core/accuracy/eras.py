"""Intervals that overlapping outcomes and symbols that move together leave.

Outcomes of neighbouring hours share most of their future, and symbols move together, so a plain
interval is far too narrow. Here the days of a cell are cut into ten contiguous eras of about equal
count, each holding every symbol of its time, and the interval is a t interval over the eras
(Ibragimov and Mueller 2010, "t-Statistic Based Correlation and Heterogeneity Robust Inference",
Journal of Business & Economic Statistics 28(4)): it asks only that eras are about independent of
each other, not what happens within them. Everything is made from sums per day.

Three things keep it honest where eras are short or uneven; tests/test_null_coverage.py measures it.
The error is the jackknife's, from the estimate with each era left out in turn (Quenouille 1956,
Tukey 1958): for eras of equal count it is that of the eras' own means, and it holds for a difference
of two rates as well. Eras of uneven count are worth fewer, so the degrees of freedom are those of
their effective number, (sum n)^2 / sum n^2, less one (Carter, Schnepel and Steigerwald 2017,
"Asymptotic Behavior of a t-Test Robust to Cluster Heterogeneity", Review of Economics and Statistics
99(4)). And the last outcomes of an era share their future with the first of the next, see `overlap`.
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
LEAST = 2 * ERAS

TOO_FEW = "too few: {} of the {} outcomes that an interval needs"
TOO_FEW_DAYS = "not enough time yet: outcomes on {} of the {} days that an interval needs"
TOO_SHORT = "not enough time yet: an era is shorter than two horizons"

Notes = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Interval:
    """95 % interval of an estimate per cell, arrays of one shape; NaN where there is none."""

    estimate: Floats
    error: Floats
    freedom: Floats

    @property
    def low(self) -> Floats:
        return np.asarray(self.estimate - self._half)

    @property
    def high(self) -> Floats:
        return np.asarray(self.estimate + self._half)

    @property
    def p_value(self) -> Floats:
        """Two-sided, of the truth being zero; NaN where nothing could differ."""
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.where(self.error > 0, np.abs(self.estimate) / self.error, np.nan)
        return np.asarray(2 * stdtr(self.freedom, -t))

    @property
    def _half(self) -> Floats:
        return np.asarray(stdtrit(self.freedom, 0.5 + CONFIDENCE / 2) * self.error)


@dataclass(frozen=True)
class Eras:
    """The eras of cells over days: ``number`` (cells, days) is each day's, 0 to 9.

    ``freedom``, ``widening`` (of the error, for overlap) and ``note`` (why a cell has no interval,
    else None) are per cell.
    """

    number: Ints
    freedom: Floats
    widening: Floats
    note: Notes

    @classmethod
    def of(cls, counts: Floats, days: npt.ArrayLike, horizon_days: Floats) -> Eras:
        """From outcomes per cell and day; ``days`` are day numbers, horizons in days per cell."""
        number = split_eras(counts)
        lengths = _median_length(counts, number, np.asarray(days))
        of_eras = era_sums(counts, number)
        with np.errstate(invalid="ignore", divide="ignore"):
            effective = of_eras.sum(axis=-1) ** 2 / (of_eras**2).sum(axis=-1)
            share = np.minimum(horizon_days / lengths, 0.5)
        note = _notes(counts, lengths, horizon_days)
        return cls(number, effective - 1, overlap(share), note)

    def left_out(self, values: Floats) -> Floats:
        """Sums over all days but those of each era in turn (cells, eras)."""
        of_eras = era_sums(values, self.number)
        return np.asarray(of_eras.sum(axis=-1, keepdims=True) - of_eras)

    def interval(
        self, estimate: Floats, left_out: Floats, steady: Floats | float = 0.0
    ) -> Interval:
        """Around an estimate per cell, from those with each era left out (cells, eras).

        ``steady`` is the error that independent outcomes would leave. Where leaving an era out changes
        nothing, as after nothing but wins, it is taken; elsewhere the error is at least half of it,
        which ten eras fall short of by chance once in eighty times.
        """
        moved = left_out - estimate[..., None]
        error = np.sqrt((ERAS - 1) / ERAS * (moved**2).sum(axis=-1)) * self.widening
        same = np.abs(moved).max(axis=-1, initial=0) < 1e-12
        error = np.where(same, steady, np.maximum(error, np.multiply(steady, 0.5)))
        return Interval(estimate, np.where(pd.isna(self.note), error, np.nan), self.freedom)

    def mean(self, sums: Floats, counts: Floats, steady: Floats | float = 0.0) -> Interval:
        """Of the mean per outcome, from sums and counts per cell and day."""
        with np.errstate(invalid="ignore", divide="ignore"):
            estimate = sums.sum(axis=-1) / counts.sum(axis=-1)
            return self.interval(estimate, self.left_out(sums) / self.left_out(counts), steady)


def overlap(share: Floats) -> Floats:
    """How much larger the error is than eras that share no future show; ``share`` is horizon / era.

    Outcomes u apart have 1 - u / h of a horizon h in common. Summed over an era of length L that is
    a variance of L h - h^2 / 3, and a covariance of h^2 / 6 with the next era: a correlation of
    r = (q / 6) / (1 - q / 3), q = h / L. The variance of the mean of k eras is then 1 + 2 r (k - 1) / k
    times what independence says, while the spread between eras shows 1 - 2 r / k of it.

    >>> overlap(np.array([0.0, 1 / 3])).round(3).tolist()
    [1.0, 1.061]
    """
    r = (share / 6) / (1 - share / 3)
    return np.asarray(np.sqrt((1 + 2 * r * (ERAS - 1) / ERAS) / (1 - 2 * r / ERAS)))


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


def _median_length(counts: Floats, number: Ints, days: Ints) -> Floats:
    """Days from the first outcome of an era to that of the next; NaN where eras are empty."""
    cell, day = np.nonzero(counts > 0)
    starts, ends = np.full((len(counts), ERAS + 1), np.nan), np.full(len(counts), np.nan)
    ends[cell] = days[day] + 1
    # Backwards, so that the first day of an era is written last.
    starts[cell[::-1], number[cell, day][::-1]] = days[day[::-1]]
    starts[:, ERAS] = ends
    return np.asarray(np.median(np.diff(starts, axis=1), axis=1))


def _notes(counts: Floats, lengths: Floats, horizon_days: Floats) -> Notes:
    n, busy = counts.sum(axis=-1), (counts > 0).sum(axis=-1)
    found = np.full(len(n), None, dtype=object)
    # A day without outcomes adds no time: eras of lone days of day-long outcomes are one swing each.
    found[~(np.minimum(lengths, busy / ERAS) >= 2 * horizon_days)] = TOO_SHORT
    for cell in np.flatnonzero(busy < ERAS):
        found[cell] = TOO_FEW_DAYS.format(int(busy[cell]), ERAS)
    for cell in np.flatnonzero(n < LEAST):
        found[cell] = TOO_FEW.format(int(n[cell]), LEAST)
    return found


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
    test has nine degrees of freedom (eras of equal count), so its statistic is noncentral t with mean shift edge / error
    (Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", chapter 2), the shift that
    has this power is found, and n_eff = p (1 - p) / error^2 at the rate p that is true.

    >>> round(power_n_eff(0.5, 0.04))
    1540
    """
    rate = baseline + edge
    if not 0 < rate < 1 or not edge:
        raise ValueError("give a baseline and an edge that leave a rate between 0 and 1")

    limit = stdtrit(ERAS - 1, 0.5 + CONFIDENCE / 2)
    shift = float(nctdtrinc(ERAS - 1, 1 - power, limit))
    return rate * (1 - rate) * (shift / edge) ** 2
