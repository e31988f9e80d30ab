"""The score read as a probability that the signal's direction wins: what it claimed, what came.

A score is not a promise of a probability; reading it as one shows how far it is from being one.
Every signal is counted that is in the tallies, whatever its verdict: it is the score that is checked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.accuracy.cells import gather, horizon_days, need
from core.accuracy.eras import Eras
from core.accuracy.tallies import regroup

BINS: tuple[int, ...] = tuple(range(50, 100, 5))
_SUMS = ["n", "wins", "sum_claimed", "sum_claimed_squared", "sum_claimed_wins"]


@dataclass(frozen=True)
class Brier:
    """``score`` = reliability - resolution + uncertainty + within, from ``n`` outcomes."""

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    n: int

    @property
    def skill(self) -> float:
        """Share of the uncertainty that is explained: 0 is always saying the base rate."""
        return 1 - self.score / self.uncertainty if self.uncertainty > 0 else np.nan


def reliability(tallies: pd.DataFrame) -> pd.DataFrame:
    """A row for each five points of the score from 50 to 95 (index score_bin); shares 0..1.

    ``n`` outcomes, ``claimed`` the mean claimed probability, ``win_rate`` what came, ``low`` and
    ``high`` its 95 % interval over eras (`core.accuracy.eras`), ``note`` why there is none. A bin
    without outcomes has n = 0 and NaN. The tallies must tell "score_bin" and "horizon" apart.
    """
    need(tallies, ["score_bin", "horizon"])
    merged = _in_bins(tallies)
    cells = gather(merged, ["score_bin"], _SUMS)
    eras = Eras.of(cells["n"], cells.days, horizon_days(merged, cells))
    n, wins = cells.total("n"), cells.total("wins")
    smooth = (wins + 2) / (n + 4)
    won = eras.mean(cells["wins"], cells["n"], np.sqrt(smooth * (1 - smooth) / n))
    table = pd.DataFrame(
        {
            "n": n.astype(np.int64),
            "claimed": cells.total("sum_claimed") / n,
            "win_rate": wins / n,
            "low": np.maximum(won.low, 0),
            "high": np.minimum(won.high, 1),
            "note": pd.Series(eras.note, index=cells.index, dtype=object),
        },
        index=cells.index,
    ).reindex(pd.Index(BINS, name="score_bin"))
    table["n"] = table["n"].fillna(0).astype(np.int64)
    table["note"] = table["note"].astype(object).where(table["n"] > 0, "no outcomes")
    return table


def brier(tallies: pd.DataFrame) -> Brier:
    """Mean squared distance of the claimed probability from what came (1 won, 0 not), and its parts.

    Murphy 1973, "A New Vector Partition of the Probability Score"; because scores differ within a bin,
    with the term of Stephenson, Coelho and Jolliffe 2008, "Two Extra Components in the Brier Score
    Decomposition", without which it does not add up: ``within`` is their variance within bins minus
    their covariance within bins. NaN without outcomes. The tallies must tell "score_bin" apart.
    """
    need(tallies, ["score_bin"])
    bins = regroup(tallies, ["score_bin"])[_SUMS]
    bins = bins[bins["n"] > 0]
    n, won, claimed, squared, both = (bins[name].to_numpy(dtype=np.float64) for name in _SUMS)
    total = n.sum()
    if not total:
        return Brier(np.nan, np.nan, np.nan, np.nan, np.nan, 0)
    base = won.sum() / total
    within = (squared - claimed**2 / n) - 2 * (both - claimed * won / n)
    return Brier(
        score=float((squared - 2 * both + won).sum() / total),
        reliability=float(((claimed - won) ** 2 / n).sum() / total),
        resolution=float((n * (won / n - base) ** 2).sum() / total),
        uncertainty=float(base * (1 - base)),
        within=float(within.sum() / total),
        n=int(total),
    )


def _in_bins(tallies: pd.DataFrame) -> pd.DataFrame:
    """A score of exactly 100 is in the last bin."""
    flat = tallies.reset_index()
    flat["score_bin"] = flat["score_bin"].clip(BINS[0], BINS[-1])
    return flat.set_index(list(tallies.index.names))
