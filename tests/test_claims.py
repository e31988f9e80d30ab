"""What the Accuracy page claims: nothing that the intervals do not carry, and an edge as plainly as none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ui.claims import claim, headline, is_proven, looked_at

NO_INTERVAL = {"low": np.nan, "high": np.nan, "n_eff": np.nan, "note": "too few: 5 of the 20"}


LOST = {"expectancy_r": -0.05, "expectancy_low": -0.08, "expectancy_high": -0.02}
MADE = {"expectancy_r": 0.12, "expectancy_low": 0.04, "expectancy_high": 0.2}
UNKNOWN = {"expectancy_r": 0.12, "expectancy_low": -0.02, "expectancy_high": 0.26}


def make_row(**changes: object) -> dict[str, object]:
    """A cell that is no better than its baseline and loses a little."""
    row: dict[str, object] = {
        "n": 1203,
        "n_eff": 400.0,
        "win_rate": 0.48,
        "low": 0.44,
        "high": 0.52,
        "baseline": 0.49,
        "lift": -0.01,
        "lift_low": -0.05,
        "lift_high": 0.03,
        "flagged": False,
        **LOST,
        "note": None,
    }
    return row | changes


def make_summary(*rows: dict[str, object]) -> pd.DataFrame:
    places = [
        (verdict, horizon) for horizon in ("1h", "4h", "24h") for verdict in ("CONFIRM", "DOWNSIZE")
    ]
    index = pd.MultiIndex.from_tuples(places[: len(rows)], names=["verdict", "horizon"])
    return pd.DataFrame(list(rows), index=index)


def plain(text: str) -> str:
    return text.replace("\xa0", " ")


BETTER = {
    "win_rate": 0.6,
    "low": 0.57,
    "high": 0.63,
    "lift": 0.11,
    "lift_low": 0.08,
    "lift_high": 0.14,
}
EDGE = make_row(**BETTER, **MADE, flagged=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "no better than the raw signal (49 %)"),
        (BETTER | {"flagged": True}, ": better than the raw signal (49 %)"),
        (BETTER, ": above the raw signal (49 %), but not beyond what luck does to so many cells"),
        ({"lift": -0.1, "flagged": True}, ": worse than the raw signal (49 %)"),
        ({"lift": 0.04, "lift_low": 0.0, "lift_high": 0.08}, "no better than the raw signal"),
    ],
)
def test_a_rate_is_better_only_where_its_lift_survives_the_number_of_cells(changes, said):
    assert said in plain(claim(make_row(**changes), "CONFIRM", "4h"))


def test_a_claim_without_an_interval_says_why_and_compares_nothing():
    said = plain(claim(make_row(**NO_INTERVAL), "WAIT", "24h"))
    assert said.endswith("No interval: too few: 5 of the 20.")
    assert "better" not in said
    assert "above" not in said


def test_no_edge_is_said_first_and_with_what_it_cost():
    worse = LOST | {"expectancy_r": -0.1}
    said = plain(headline(make_summary(make_row(), make_row(**worse)), 4))
    assert said == (
        "No proven edge: none of 2 rows of trades beats the raw signal beyond chance, 4 cells "
        "allowed for. After costs they lost money in every row (−0.10 R to −0.05 R a trade)."
    )


def test_an_edge_is_said_as_plainly():
    said = plain(headline(make_summary(make_row(), EDGE), 4))
    assert said == (
        "An edge in 1 of 2 rows of trades: DOWNSIZE at 1 h beats the raw signal beyond chance, "
        "4 cells allowed for, and made money after costs (+0.12 R a trade, 95 % interval +0.04 to "
        "+0.20 R)."
    )


def test_a_single_cell_needs_no_allowance():
    said = plain(headline(make_summary(make_row()), 1))
    assert said == (
        "No proven edge: CONFIRM at 1 h does not beat the raw signal beyond chance. "
        "It lost money after costs (−0.05 R a trade, 95 % interval −0.08 to −0.02 R)."
    )


def test_winning_often_and_losing_money_is_no_edge_and_said_so():
    said = plain(headline(make_summary(EDGE | LOST), 2))
    assert said == (
        "No proven edge: CONFIRM at 1 h beats the raw signal beyond chance, 2 cells allowed for. "
        "It lost money after costs (−0.05 R a trade, 95 % interval −0.08 to −0.02 R)."
    )


def test_a_mean_above_zero_whose_interval_holds_zero_has_not_made_money_yet():
    said = plain(headline(make_summary(EDGE | UNKNOWN), 2))
    assert said == (
        "No proven edge: CONFIRM at 1 h beats the raw signal beyond chance, 2 cells allowed for. "
        "Whether it made money after costs is not known yet (+0.12 R a trade, 95 % interval −0.02 to "
        "+0.26 R)."
    )


def test_a_mean_without_an_interval_is_not_known_to_have_made_money():
    bare = {"expectancy_low": np.nan, "expectancy_high": np.nan}
    said = plain(headline(make_summary(EDGE | bare), 2))
    assert said.startswith("No proven edge")
    assert said.endswith("is not known yet (+0.12 R a trade, no interval).")


def test_rows_that_fare_differently_are_counted_apart():
    rows = make_summary(make_row(), make_row(**UNKNOWN), make_row(**UNKNOWN), make_row(**MADE))
    said = plain(headline(rows, 4))
    assert said.endswith(
        "After costs they made money in 1 of 4 rows, lost money in 1, and in 2 it is not known yet "
        "which (−0.05 R to +0.12 R a trade)."
    )


def test_a_lucky_row_that_is_not_flagged_is_no_edge():
    lucky = make_row(**BETTER, **MADE)
    assert headline(make_summary(lucky), 6).startswith("No proven edge")


def test_without_any_interval_nothing_is_claimed():
    said = headline(make_summary(make_row(**NO_INTERVAL)), 0)
    assert said.startswith("Nothing is proven yet")


def test_where_only_counterfactuals_are_shown_there_are_no_trades_to_judge():
    said = headline(make_summary(make_row()).iloc[:0], 3)
    assert said == "Only what was not traded is shown: there are no trades to judge."


def test_rows_without_an_interval_are_not_counted():
    said = headline(make_summary(make_row(**NO_INTERVAL), EDGE), 1)
    assert "An edge in 1 of 1 row of trades" in said


def test_the_number_of_cells_is_said_with_what_the_marks_allow_for():
    assert looked_at(0, 0) == "No cell has enough outcomes over enough time to be compared."
    assert looked_at(1, 0).startswith("1 cell looked at, none marked")
    assert looked_at(18, 2) == (
        "18 cells looked at, 2 marked after allowing for all of them (Benjamini and Hochberg): where "
        "nothing is behind any of them, about one such table in twenty still has a mark. Every other "
        "choice of filters is another look."
    )


def test_a_run_is_another_look_where_there_are_no_filters():
    assert looked_at(18, 0, "profile tried").endswith("Every other profile tried is another look.")


@given(st.booleans(), st.floats(-0.5, 0.5), st.floats(-1, 1), st.floats(0, 1))
def test_what_is_proven_is_flagged_above_the_baseline_and_surely_made_money(
    flagged, lift, mean_r, half
):
    ends = {"expectancy_low": mean_r - half, "expectancy_high": mean_r + half}
    row = make_row(flagged=flagged, lift=lift, expectancy_r=mean_r, **ends)
    assert is_proven(row) == (flagged and lift > 0 and mean_r - half > 0)
