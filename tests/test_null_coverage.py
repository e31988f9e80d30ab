"""Where nothing is there, intervals cover and little is flagged; where something is, it is found.

The long version prints the table of the record: pytest -m long tests/test_null_coverage.py
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.accuracy import summarise_tallies
from tests.null_market import HORIZONS, Null, null_tallies

SIZES = [(1, 30), (1, 75), (1, 180), (20, 30), (20, 75), (20, 180)]
TRUTH = {"win rate": 0.5, "lift": 0.0, "expectancy": 0.0}
LOWEST, HIGHEST = 0.92, 0.97
# In CI there are fewer runs, and only their binomial error is added: 3.3 deviations of a share of
# runs (one in a thousand on either side), for 54 shares are looked at.
DEVIATIONS = 3.3
ENDS = {
    "win rate": ("low", "high"),
    "lift": ("lift_low", "lift_high"),
    "expectancy": ("expectancy_low", "expectancy_high"),
}


def allowed(share: float, runs: pd.Series) -> pd.Series:
    return DEVIATIONS * np.sqrt(share * (1 - share) / runs)


def summaries(null: Null, runs: int, seed: int = 1) -> pd.DataFrame:
    """What the page would print of CONFIRM in every run; index (run, horizon)."""
    parts = null_tallies(null, seed, runs)
    found = [summarise_tallies(part, ["run", "horizon", "verdict"]) for part in parts]
    return pd.concat(found).xs("CONFIRM", level="verdict")


def coverage(symbols: int, days: int, runs: int) -> pd.DataFrame:
    """Share of ``runs`` printed intervals that hold the truth, by horizon.

    Beside them that of the naive interval, and the share of runs that had enough days to print one:
    where those are few, more runs are made.
    """
    made = runs if days > 30 else int(2.3 * runs)
    cells = summaries(Null(symbols, days), made, days + symbols)
    printed = cells["note"].isna().groupby("horizon").mean()
    shown = cells[cells["note"].isna()].groupby("horizon").head(runs)
    covered = {
        name: (shown[low] <= TRUTH[name]) & (TRUTH[name] <= shown[high])
        for name, (low, high) in ENDS.items()
    }
    plain = 1.96 * np.sqrt(shown["win_rate"] * (1 - shown["win_rate"]) / shown["n"])
    covered["naive"] = (shown["win_rate"] - 0.5).abs() <= plain
    table = pd.DataFrame(covered).groupby("horizon").mean().loc[list(HORIZONS)]
    of_horizon = shown.groupby("horizon")
    table.insert(0, "printed", printed)
    table.insert(1, "runs", of_horizon.size())
    table.insert(2, "mean n", of_horizon["n"].mean().round())
    table.insert(3, "n eff", of_horizon["n_eff"].mean().round())
    return table


@pytest.mark.parametrize(("symbols", "days"), SIZES)
def test_printed_intervals_cover_the_truth_of_null_data(symbols: int, days: int) -> None:
    runs = 600 if symbols == 1 else 80
    table = coverage(symbols, days, runs)
    shares = table[list(TRUTH)]
    assert shares.ge(LOWEST - allowed(LOWEST, table["runs"]), axis=0).all(axis=None), table
    assert shares.le(HIGHEST + allowed(HIGHEST, table["runs"]), axis=0).all(axis=None), table
    assert table.loc["24h", "naive"] < 0.75


@pytest.mark.long
def test_a_thousand_runs_of_null_data_cover_in_92_to_97_percent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Four thousand for one symbol, which is quick: a share of a thousand is off by up to 0.02."""
    found = {size: coverage(*size, 4000 if size[0] == 1 else 1000) for size in SIZES}
    table = pd.concat(found, names=["symbols", "days", "horizon"])
    with capsys.disabled():
        print(f"\n{table.round(3).to_string()}")  # noqa: T201
    shares = table[list(TRUTH)]
    assert shares.min(axis=None) >= LOWEST
    assert shares.max(axis=None) <= HIGHEST
