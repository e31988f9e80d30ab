"""Sums of outcomes per cell and day: all that rates, intervals and baselines need of them.

Sums add up, so what was tallied once is kept, later outcomes are added to it, and ten million of
them are as quick to look at as ten thousand. The day is the UTC day of the exit: no sum was known
earlier than its day says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.outcomes import Costs

DAY = "day"
RULES = "rules"

# What tells stored tallies apart. `judge` is RULES or a model with the version asked; `recorded` is
# LIVE where the signal was stored when its bar was new, LATER where it was filled in afterwards.
CELL: tuple[str, ...] = (
    "profile_name",
    "profile_version",
    "judge",
    "recorded",
    "verdict",
    "risk_mode",
    "direction",
    "horizon",
    "coverage_bin",
    "score_bin",
    "traded",
)
LIVE, LATER = "live", "later"

# Edges of the counts of R; what lies beyond is in the first and the last.
R_EDGES: npt.NDArray[np.float64] = np.linspace(-2.5, 2.5, 21)
R_COUNTS: tuple[str, ...] = tuple(f"r_{number:02d}" for number in range(len(R_EDGES) + 1))
BEYOND = 0.01

COUNTS: tuple[str, ...] = (
    "n",
    "wins",  # net_return above 0
    "long_wins",  # long_net_return above 0
    "opposite_wins",  # the other direction would have had a net return above 0
    "beyond",  # moved more than 1 % the right way, before costs
    "n_r",  # outcomes with an r_multiple
    "n_barrier",  # outcomes with a barrier_r
    "stops",
    "targets",
    "n_path",  # outcomes with mae_r and mfe_r
    "funding_assumed",
    *R_COUNTS,
)
SUMS: tuple[str, ...] = (
    "sum_net",
    "sum_net_squared",
    "gain_net",
    "loss_net",  # positive: what was lost
    "sum_long_net",
    "sum_opposite_net",
    "sum_r",
    "sum_r_squared",
    "gain_r",
    "loss_r",
    "sum_barrier_r",
    "sum_mae_r",
    "sum_mfe_r",
    "forgone_gain_r",  # gain and loss of the part of the allowed size that was not taken
    "forgone_loss_r",
    "sum_claimed",  # the score read as a probability that the direction wins
    "sum_claimed_squared",
    "sum_claimed_wins",
)
COLUMNS: tuple[str, ...] = (*COUNTS, *SUMS)
# Those that are asked for day by day; of the counts of R their sums over all days are enough.
DAILY: tuple[str, ...] = tuple(name for name in COLUMNS if name not in R_COUNTS)


def tally(outcomes: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Sums of finished outcomes (`core.outcomes.resolve`) per cell of ``by`` and day.

    ``by`` names columns or index levels, or coverage_bin (tenths, 5 is 0.5 to 0.6) and score_bin
    (the lower edge of five points of the score in the signal's direction, 50 to 100). Index (*by,
    day), sorted, day at midnight UTC; columns `COLUMNS`, all float64. Trades and what was not
    traded are both in it: name "traded" in ``by`` to tell them apart.
    Of a model's outcomes ``allowed_multiplier`` says what the rules allowed; without it that is the
    full size, 1.0.
    """
    flat = outcomes.reset_index()
    flat = flat[flat["net_return"].notna()]
    flat = flat.assign(**_bins(flat), day=_days(flat))
    unknown = [name for name in by if name not in flat.columns]
    if unknown:
        raise ValueError(
            f"outcomes have no {unknown[0]!r}; choose from {', '.join(map(str, flat.columns))}"
        )
    keys = [flat[name].to_numpy() for name in (*by, DAY)]
    content = pd.DataFrame(_content(flat), index=flat.index)[list(COLUMNS)]
    if flat.empty:
        empty = pd.MultiIndex.from_arrays([[] for _ in keys], names=[*by, DAY])
        return pd.DataFrame(columns=list(COLUMNS), index=empty, dtype=np.float64)
    found = content.groupby(keys, observed=True, sort=True).sum()
    found.index = found.index.set_names([*by, DAY]) if by else found.index.rename(DAY)
    return found


def regroup(tallies: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The same sums by fewer keys; those without a day in ``by`` are over all days."""
    return tallies.groupby(level=list(by), observed=True, sort=True).sum()


def _bins(flat: pd.DataFrame) -> dict[str, npt.NDArray[np.int64]]:
    bins = {}
    if "coverage" in flat:
        tenths = np.floor(np.nan_to_num(_floats(flat, "coverage")) * 10 + 1e-9)
        bins["coverage_bin"] = tenths.astype(np.int64)
    if "score" in flat:
        claimed = np.clip(np.nan_to_num(_claimed(flat), nan=0.5) * 100, 50, 100)
        bins["score_bin"] = (np.floor(claimed / 5 + 1e-9) * 5).astype(np.int64)
    return bins


def _days(flat: pd.DataFrame) -> pd.Series:
    exits = (
        flat["exit_at"] if "exit_at" in flat else flat["time"] + pd.to_timedelta(flat["horizon"])
    )
    days: pd.Series = exits.dt.floor("D")
    return days


def _claimed(flat: pd.DataFrame) -> npt.NDArray[np.float64]:
    score = _floats(flat, "score") / 100
    return np.where(_floats(flat, "direction") > 0, score, 1 - score)


def _content(flat: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    net, long_net = _floats(flat, "net_return"), _floats(flat, "long_net_return")
    r, barrier_r = _floats(flat, "r_multiple"), _floats(flat, "barrier_r")
    mae, mfe = _floats(flat, "mae_r"), _floats(flat, "mfe_r")
    win, barrier = (net > 0).astype(float), _words(flat, "barrier")
    gain_r, loss_r = (np.where(np.isnan(r), 0.0, np.maximum(side, 0)) for side in (r, -r))
    allowed = _floats(flat, "allowed_multiplier") if "allowed_multiplier" in flat else 1.0
    forgone = np.maximum(np.nan_to_num(allowed - _floats(flat, "multiplier")), 0)
    claimed = np.nan_to_num(_claimed(flat), nan=0.5)
    path = ~np.isnan(mae) & ~np.isnan(mfe)
    opposite = _opposite(flat)
    return {
        "n": np.ones(len(flat)),
        "wins": win,
        "long_wins": (long_net > 0).astype(float),
        "opposite_wins": (opposite > 0).astype(float),
        "beyond": (_floats(flat, "gross_return") > BEYOND).astype(float),
        "n_r": (~np.isnan(r)).astype(float),
        "n_barrier": (~np.isnan(barrier_r)).astype(float),
        "stops": (barrier == "stop").astype(float),
        "targets": (barrier == "target").astype(float),
        "n_path": path.astype(float),
        "funding_assumed": np.nan_to_num(_floats(flat, "funding_assumed")),
        **_counted(r),
        "sum_net": net,
        "sum_net_squared": net**2,
        "gain_net": np.maximum(net, 0),
        "loss_net": np.maximum(-net, 0),
        "sum_long_net": np.nan_to_num(long_net),
        "sum_opposite_net": np.nan_to_num(opposite),
        "sum_r": np.nan_to_num(r),
        "sum_r_squared": np.nan_to_num(r) ** 2,
        "gain_r": gain_r,
        "loss_r": loss_r,
        "sum_barrier_r": np.nan_to_num(barrier_r),
        "sum_mae_r": np.where(path, mae, 0.0),
        "sum_mfe_r": np.where(path, mfe, 0.0),
        "forgone_gain_r": forgone * gain_r,
        "forgone_loss_r": forgone * loss_r,
        "sum_claimed": claimed,
        "sum_claimed_squared": claimed**2,
        "sum_claimed_wins": claimed * win,
    }


def _opposite(flat: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Net return of the other direction: it pays the same fees, and receives the funding paid here.

    Where outcomes do not say it, as stored ones, which are at the default costs, it follows from
    what this side paid: exact where funding was known all along, or assumed all along.
    """
    if "opposite_net_return" in flat:
        return _floats(flat, "opposite_net_return")
    gross, net = _floats(flat, "gross_return"), _floats(flat, "net_return")
    paid = gross - net
    assumed = np.nan_to_num(_floats(flat, "funding_assumed")) > 0
    return -gross - np.where(assumed, paid, 2 * Costs().round_trip - paid)


def _counted(r: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    place = np.where(np.isnan(r), -1, np.searchsorted(R_EDGES, r, side="right"))
    return {name: (place == number).astype(float) for number, name in enumerate(R_COUNTS)}


def _floats(flat: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    if name not in flat:
        return np.full(len(flat), np.nan)
    return flat[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _words(flat: pd.DataFrame, name: str) -> npt.NDArray[np.object_]:
    if name not in flat:
        return np.full(len(flat), None, dtype=object)
    return flat[name].astype(object).to_numpy()
