"""The record as it is told: summaries of tallies by verdict and horizon, and the places of their cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pandas as pd

from core.accuracy import daily_r, distribution, summarise_tallies
from core.outcomes import HORIZONS
from core.verdicts.rules import VERDICTS

KEYS = ("traded", "verdict", "horizon")
_UNTRADED = ("WAIT", "SKIP")


@dataclass(frozen=True)
class Place:
    """A cell of the matrix; what was not traded has cells of its own."""

    verdict: str
    horizon: str
    traded: bool

    @classmethod
    def parse(cls, text: str | None) -> Place | None:
        """A cell from the address; None for nonsense.

        >>> Place.parse("CONFIRM.4h.traded"), Place.parse("CONFIRM.5h.traded")
        (Place(verdict='CONFIRM', horizon='4h', traded=True), None)
        """
        verdict, _, rest = (text or "").partition(".")
        horizon, _, kind = rest.partition(".")
        if verdict not in VERDICTS or horizon not in HORIZONS or kind not in ("traded", "followed"):
            return None
        return cls(verdict, horizon, kind == "traded")

    def __str__(self) -> str:
        return f"{self.verdict}.{self.horizon}.{'traded' if self.traded else 'followed'}"


def row_name(verdict: str, *, traded: bool) -> str:
    """A verdict's name; one for a trade that was not traded had its plan refused.

    >>> row_name("CONFIRM", traded=False), row_name("WAIT", traded=False)
    ('CONFIRM, no plan', 'WAIT')
    """
    return verdict if traded or verdict in _UNTRADED else f"{verdict}, no plan"


@dataclass(frozen=True)
class Record:
    """Summaries of trades and of what was not traded, index (verdict, horizon); ``looks`` cells of
    both together could have been flagged."""

    trades: pd.DataFrame
    shadows: pd.DataFrame
    looks: int

    @property
    def flagged(self) -> int:
        """How many cells were flagged."""
        return int(self.trades["flagged"].sum() + self.shadows["flagged"].sum())

    @property
    def n(self) -> int:
        """How many outcomes there are."""
        return int(self.trades["n"].sum() + self.shadows["n"].sum())

    @property
    def cautious(self) -> pd.DataFrame:
        """The rows that were taken smaller or left out: DOWNSIZE among trades, WAIT and SKIP."""
        half = self.trades.index.get_level_values("verdict") == "DOWNSIZE"
        left = self.shadows.index.get_level_values("verdict").isin(_UNTRADED)
        return pd.concat([self.trades[half], self.shadows[left]])

    def count_of(self, place: Place) -> int:
        """How many outcomes a cell has; 0 where there is no such cell."""
        summary = self.trades if place.traded else self.shadows
        cells = [place.verdict, place.horizon]
        return int(summary["n"][[list(cell) == cells for cell in summary.index]].sum())


def record_of(tallies: pd.DataFrame, universe: pd.DataFrame) -> Record:
    """The record of tallies with index (`KEYS`, day).

    The raw signal, the baseline, is every outcome of ``universe`` at the horizon. All cells are one
    family: what is flagged among them is flagged after allowing for every one of them.
    """
    summary = summarise_tallies(tallies, KEYS, universe)
    traded, shadow = (_of(summary, wanted) for wanted in (True, False))
    return Record(traded, shadow, int(summary.attrs["cells"]))


def of_kind(tallies: pd.DataFrame, *, traded: bool) -> pd.DataFrame:
    """The tallies of trades, or of what was not traded."""
    return tallies[tallies.index.get_level_values("traded") == traded]


def curves(tallies: pd.DataFrame, *, traded: bool) -> dict[tuple[str, str], pd.Series]:
    """Cumulative R per (verdict, horizon) at the end of each UTC day; index day.

    A cell whose R was never known adds up to nothing, which is not 0: it has no curve.
    """
    kept = of_kind(tallies, traded=traded)
    if not kept.empty:
        kept = kept[kept.groupby(level=list(KEYS), observed=True)["n_r"].transform("sum") > 0]
    found = daily_r(kept, KEYS)
    parts = found.droplevel("traded").groupby(level=["verdict", "horizon"], observed=True)
    return {
        cast("tuple[str, str]", cell): part.droplevel(["verdict", "horizon"])
        for cell, part in parts
    }


def spreads(tallies: pd.DataFrame, *, traded: bool) -> dict[str, pd.DataFrame]:
    """Counts of R per horizon, as `core.accuracy.distribution`."""
    kept = of_kind(tallies, traded=traded)
    return {
        str(horizon): distribution(part)
        for horizon, part in kept.groupby(level="horizon", observed=True)
    }


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
