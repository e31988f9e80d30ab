"""Where nothing is there, intervals cover and little is flagged; where something is, it is found.

The long version prints the table of the record: pytest -m long tests/test_null_coverage.py
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.accuracy import benjamini_hochberg, power_n_eff, summarise_tallies
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


# 24 symbols, three horizons and four verdicts: 288 cells.
JUDGED = {"CONFIRM": 0.42, "DOWNSIZE": 0.43, "WAIT": 0.08, "SKIP": 0.07}


def flags(days: int, runs: int) -> pd.DataFrame:
    """Per run: ``cells`` that were tested, ``flagged`` of them, their median ``n``."""
    null = Null(24, days, JUDGED, apart=True)
    found = []
    for part in null_tallies(null, days, runs):
        cells = summarise_tallies(part, ["run", "symbol", "verdict", "horizon"])
        for _, run in cells.groupby(level="run"):
            _, flagged = benjamini_hochberg(run["p_value"].to_numpy())
            tested = run["p_value"].notna().sum()
            found.append({"cells": tested, "flagged": flagged.sum(), "n": run["n"].median()})
    return pd.DataFrame(found)


def test_of_288_cells_of_nothing_at_most_five_percent_are_flagged() -> None:
    runs = flags(75, 80)
    assert runs["cells"].mean() > 200
    assert runs["flagged"].sum() / runs["cells"].sum() <= 0.05
    share = (runs["flagged"] > 0).mean()
    assert share <= 0.05 + DEVIATIONS * np.sqrt(0.05 * 0.95 / len(runs))


@pytest.mark.long
def test_a_thousand_runs_of_288_cells_flag_something_in_at_most_five_percent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {days: flags(days, 1000) for days in (30, 75, 180)}
    table = pd.DataFrame(
        {
            days: {
                "median n": runs["n"].median(),
                "cells tested": runs["cells"].mean(),
                "share of cells flagged": runs["flagged"].sum() / runs["cells"].sum(),
                "share of runs with a flag": (runs["flagged"] > 0).mean(),
            }
            for days, runs in found.items()
        }
    )
    with capsys.disabled():
        print(f"\n{table.round(5).to_string()}")  # noqa: T201
    assert (table.loc["share of cells flagged"] <= 0.05).all()
    assert (table.loc["share of runs with a flag"] <= 0.05).all()


def test_the_table_allows_for_exactly_the_cells_it_shows() -> None:
    (part,) = null_tallies(Null(24, 40, JUDGED, apart=True), 3, 1)
    table = summarise_tallies(part, ["symbol", "verdict", "horizon"])
    assert len(table) == 288
    q, flagged = benjamini_hochberg(table["p_value"].to_numpy())
    np.testing.assert_array_equal(table["q_value"], q)
    np.testing.assert_array_equal(table["flagged"], flagged)
    assert table.attrs["cells"] == table["p_value"].notna().sum() < 288


# What is confirmed has an edge of four points over the raw signal at 4 h, for so many days that n_eff
# is what `power_n_eff` asks for.
PLANTED = Null(20, 62, drift=0.183)


def planted(runs: int) -> dict[str, float]:
    cells = summaries(PLANTED, runs, seed=4).xs("4h", level="horizon")
    edge = cells["lift"].mean()
    return {
        "edge": edge,
        "n_eff": cells["n_eff"].mean(),
        "n_eff needed": power_n_eff(cells["baseline"].mean(), edge),
        "rate above baseline": (cells["low"] > cells["baseline"]).mean(),
        "lift above zero": (cells["lift_low"] > 0).mean(),
        "size inside": ((cells["lift_low"] <= edge) & (edge <= cells["lift_high"])).mean(),
    }


def test_a_planted_edge_is_found_with_the_n_eff_that_power_asks_for() -> None:
    runs = 100
    found = planted(runs)
    assert found["edge"] == pytest.approx(0.04, abs=0.003)
    assert found["n_eff"] == pytest.approx(found["n_eff needed"], rel=0.1)
    assert found["rate above baseline"] >= 0.8 - DEVIATIONS * np.sqrt(0.8 * 0.2 / runs)
    # The lift is measured against the raw signal of the same days, which spares it their luck.
    assert found["lift above zero"] >= found["rate above baseline"]
    assert found["size inside"] >= LOWEST - DEVIATIONS * np.sqrt(LOWEST * (1 - LOWEST) / runs)


@pytest.mark.long
def test_a_thousand_planted_edges_are_found_and_lie_in_their_intervals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = planted(1000)
    with capsys.disabled():
        print(f"\n{pd.Series(found).round(4).to_string()}")  # noqa: T201
    assert found["rate above baseline"] >= 0.8
    assert LOWEST <= found["size inside"] <= HIGHEST
