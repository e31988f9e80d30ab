"""What of a history is shown, and what is held back until somebody asks to look.

The profile of a run is fixed before it and nothing is fitted to the history, so the parts of it tell
one thing only: whether a result holds over time. What does get fitted is the person who tries one
profile after another, and for that the last third of the history's days is held back. It is of the
history, not of the run: no choice of another period can show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from core.accuracy.tallies import DAY, tally
from core.outcomes import HORIZONS

FOLDS = 4
# What the tallies of a run tell apart.
CELL: tuple[str, ...] = ("verdict", "horizon", "direction", "traded")
_DAY = pd.Timedelta("1D")
_LONGEST = max(pd.Timedelta(horizon) for horizon in HORIZONS)


@dataclass(frozen=True)
class Split:
    """Days of a run, at midnight UTC: shown from ``start`` until ``held_back_from``, held back
    from then until ``end`` (not included). One of the two may be empty."""

    start: pd.Timestamp
    held_back_from: pd.Timestamp
    end: pd.Timestamp

    @property
    def shown_days(self) -> int:
        return max((min(self.held_back_from, self.end) - self.start) // _DAY, 0)

    @property
    def held_back_days(self) -> int:
        return max((self.end - max(self.held_back_from, self.start)) // _DAY, 0)

    @property
    def refusal(self) -> str | None:
        """Why a run of these days would show nothing; None where it shows some."""
        if self.shown_days:
            return None
        if self.end <= self.start:
            return (
                "The period ends before it begins, or has no day of this history: choose another."
            )
        return f"Days from {self.held_back_from:%-d %b %Y} on are held back: begin earlier."


def split(
    first: pd.Timestamp,
    last: pd.Timestamp,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> Split:
    """The days of a run from ``start`` to ``end`` (days, both included) of a history whose bars
    close from ``first`` to ``last``; by default all of it.

    >>> found = split(pd.Timestamp("2025-08-01T01:00Z"), pd.Timestamp("2025-08-30T00:00Z"))
    >>> found.held_back_from.isoformat(), found.shown_days, found.held_back_days
    ('2025-08-21T00:00:00+00:00', 20, 10)
    """
    from_day, to_day = first.floor("D"), last.floor("D") + _DAY
    days = (to_day - from_day) // _DAY
    held_back_from = from_day + (2 * days) // 3 * _DAY
    begins = from_day if start is None else max(start.floor("D"), from_day)
    ends = to_day if end is None else min(end.floor("D") + _DAY, to_day)
    return Split(begins, held_back_from, ends)


def folds(of: Split, count: int = FOLDS) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The shown days as contiguous parts of about equal length: first day, and the day after the last.

    >>> found = split(pd.Timestamp("2025-08-01T01:00Z"), pd.Timestamp("2025-08-30T00:00Z"))
    >>> [(a.day, b.day) for a, b in folds(found)]
    [(1, 6), (6, 11), (11, 16), (16, 21)]
    """
    days = of.shown_days
    edges = [of.start + (days * number // count) * _DAY for number in range(count + 1)]
    return [(a, b) for a, b in pairwise(edges) if a < b]


@dataclass(frozen=True)
class Parted:
    """Tallies by `CELL` and day of what is shown and of what is held back, and how many outcomes
    belong to neither, because they reach from the one into the other."""

    shown: pd.DataFrame
    held_back: pd.DataFrame
    purged: int


def part(outcomes: pd.DataFrame, of: Split) -> Parted:
    """Divide outcomes (`core.outcomes.resolve`) of the days of a run.

    Shown is what had ended before the held-back days began, held back what was decided in them.
    """
    times = pd.DatetimeIndex(outcomes.index.get_level_values("time"))
    inside = (times >= of.start) & (times < of.end)
    before = inside & np.asarray(outcomes["exit_at"] < of.held_back_from)
    after = inside & (times >= of.held_back_from)
    return Parted(
        tally(outcomes[before], CELL),
        tally(outcomes[after], CELL),
        int((inside & ~before & ~after).sum()),
    )


def together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The sums of tallies of different symbols."""
    whole = pd.concat([one for one in parts if len(one)] or list(parts[:1]))
    return whole.groupby(level=list(range(whole.index.nlevels)), observed=True, sort=True).sum()


def in_fold(tallies: pd.DataFrame, fold: tuple[pd.Timestamp, pd.Timestamp]) -> pd.DataFrame:
    """The tallies whose outcomes ended in a fold."""
    days = tallies.index.get_level_values(DAY)
    return tallies[(days >= fold[0]) & (days < fold[1])]
