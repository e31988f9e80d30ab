"""What every further look at the same history costs: wider intervals, and fewer cells that stand out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from core.accuracy import CONFIDENCE, ERAS

_AROUND = {
    "win_rate": ("low", "high"),
    "lift": ("lift_low", "lift_high"),
    "expectancy_r": ("expectancy_low", "expectancy_high"),
}


def widening(looks: int) -> float:
    """How much wider an interval must be for its level to hold over so many looks (Bonferroni).

    >>> widening(1), round(widening(6), 2)
    (1.0, 1.49)
    """
    beyond = (1 - CONFIDENCE) / 2
    return float(stdtrit(ERAS - 1, 1 - beyond / max(looks, 1)) / stdtrit(ERAS - 1, 1 - beyond))


def widened(summary: pd.DataFrame, looks: int) -> pd.DataFrame:
    """A summary of `core.accuracy.summarise_tallies` as one of so many looks at its history.

    Intervals are `widening` times as wide about their rate, p and q values so many times as large.
    """
    factor, found = widening(looks), summary.copy()
    for name, (low, high) in _AROUND.items():
        found[low] = summary[name] - factor * (summary[name] - summary[low])
        found[high] = summary[name] + factor * (summary[high] - summary[name])
    found[["low", "high"]] = found[["low", "high"]].clip(0, 1)
    for name in ("p_value", "q_value"):
        found[name] = np.minimum(summary[name].astype(np.float64) * max(looks, 1), 1.0)
    found["flagged"] = (found["q_value"] <= 1 - CONFIDENCE).to_numpy(dtype=bool)
    found.attrs = dict(summary.attrs)
    return found
