"""Which markets' liquidations stand out now against the market's own past.

The present is the sum of the last stretch of time (a quarter of an hour of a stream, an hour of
bars), the past the sums of stretches as long that lie strictly before it, each either known (0 where
nothing was reported) or NaN where it was not heard. What was not heard is not calm: it does not count.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

# A market stands out when at most one in a hundred of its past stretches was as large. An amount
# that no trader would look at does not, however quiet the market's past.
RARE = 0.01
LEAST_USD = 10_000.0
# At RARE, fewer stretches cannot tell.
LEAST_STRETCHES = 99


def compare(present: pd.DataFrame, past: pd.DataFrame) -> pd.DataFrame:
    """Every market's present beside its past; index symbol.

    ``present`` has long_usd and short_usd by symbol, ``past`` sums of both sides, time by symbol.
    Adds usd, n (stretches that are known), as_large (how many of them were at least as large),
    mean_usd over them, and rarity = (as_large + 1) / (n + 1), the chance of a present this large if
    it were like the past; NaN where n is under `LEAST_STRETCHES`.

    >>> past = pd.DataFrame({"AUSDT": [0.0] * 198 + [90.0]})
    >>> present = pd.DataFrame({"long_usd": [50.0], "short_usd": [0.0]}, index=["AUSDT"])
    >>> compare(present, past)[["n", "as_large", "rarity"]].values.tolist()
    [[199.0, 1.0, 0.01]]
    """
    found = present.assign(usd=present["long_usd"] + present["short_usd"])
    past = past.reindex(columns=present.index)
    sums = past.to_numpy(dtype=np.float64)
    n = (~np.isnan(sums)).sum(axis=0)
    as_large = (sums >= found["usd"].to_numpy()).sum(axis=0)
    enough = n >= LEAST_STRETCHES
    found["n"], found["as_large"] = n, as_large
    found["mean_usd"] = past.mean()
    found["rarity"] = np.where(enough, (as_large + 1) / (n + 1), np.nan)
    return found


def stand_out(compared: pd.DataFrame) -> pd.DataFrame:
    """The markets of `compare` that stand out, the farthest above their own mean first."""
    found = compared[(compared["rarity"] <= RARE) & (compared["usd"] >= LEAST_USD)]
    # A market whose past is all zeros has no mean to be measured by, and comes first.
    above = found["usd"] / found["mean_usd"]
    return found.assign(above=above.where(found["mean_usd"] > 0)).sort_values(
        ["above", "usd"], ascending=False, na_position="first"
    )


def by_luck(compared: pd.DataFrame) -> float:
    """How many markets would be as rare as `RARE` by luck alone, if each were like its past."""
    return RARE * float(compared["rarity"].notna().sum())
