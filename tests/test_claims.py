"""What the Accuracy page claims: nothing that the intervals do not carry, and an edge as plainly as none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ui.claims import claim, headline, is_proven, luck, widening

NO_INTERVAL = {"low": np.nan, "high": np.nan, "n_eff": np.nan, "note": "too few: 5 of the 20"}


def make_row(**changes: object) -> dict[str, object]:
    """A cell that is no better than its baseline and loses a little."""
    row: dict[str, object] = {
        "n": 1203,
        "n_eff": 400.0,
        "win_rate": 0.48,
        "low": 0.44,
        "high": 0.52,
        "baseline": 0.49,
        "expectancy_r": -0.05,
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


EDGE = make_row(win_rate=0.60, low=0.57, high=0.63, expectancy_r=0.12)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "no better than the raw signal (49 %)"),
        ({"low": 0.5, "high": 0.6, "win_rate": 0.55}, "better than the raw signal (49 %)"),
        ({"low": 0.4, "high": 0.48, "win_rate": 0.44}, "worse than the raw signal (49 %)"),
        ({"low": 0.49, "high": 0.57, "win_rate": 0.53}, "no better than the raw signal"),
    ],
)
def test_a_rate_is_better_only_where_its_whole_interval_is(changes, said):
    assert said in plain(claim(make_row(**changes), "CONFIRM", "4h"))


def test_a_claim_without_an_interval_says_why_and_compares_nothing():
    said = plain(claim(make_row(**NO_INTERVAL), "WAIT", "24h"))
    assert said.endswith("No interval: too few: 5 of the 20.")
    assert "better" not in said


def test_no_edge_is_said_first_and_with_what_it_cost():
    said = plain(headline(make_summary(make_row(), make_row(expectancy_r=-0.1))))
    assert said == (
        "No proven edge: none of 2 rows of trades beats the raw signal beyond chance, 2 looks "
        "allowed for. After costs the mean trade lost in every row (−0.10 R to −0.05 R)."
    )


def test_an_edge_is_said_as_plainly():
    said = plain(headline(make_summary(make_row(), EDGE)))
    assert said == (
        "An edge in 1 of 2 rows of trades: DOWNSIZE at 1 h beats the raw signal beyond chance, "
        "2 looks allowed for, and made money after costs (+0.12 R a trade)."
    )


def test_a_single_row_needs_no_allowance():
    said = plain(headline(make_summary(make_row())))
    assert said == (
        "No proven edge: CONFIRM at 1 h does not beat the raw signal beyond chance. "
        "After costs the mean trade lost −0.05 R."
    )


def test_winning_often_and_losing_money_is_no_edge():
    assert headline(make_summary(EDGE | {"expectancy_r": -0.01})).startswith("No proven edge")


def test_one_lucky_row_among_six_is_no_edge():
    lucky = make_row(win_rate=0.52, low=0.495, high=0.545, expectancy_r=0.02)
    assert is_proven(lucky, looks=1)
    assert not is_proven(lucky, looks=6)


def test_without_any_interval_nothing_is_claimed():
    said = headline(make_summary(make_row(**NO_INTERVAL)))
    assert said.startswith("Nothing is proven yet")
    assert headline(make_summary(make_row()).iloc[:0]).startswith("Nothing is proven yet")


def test_rows_without_an_interval_are_no_looks():
    said = headline(make_summary(make_row(**NO_INTERVAL), EDGE))
    assert "An edge in 1 of 1 row of trades" in said


@given(st.integers(1, 200), st.integers(1, 200))
def test_more_looks_never_prove_more(fewer, more):
    fewer, more = sorted((fewer, more))
    assert widening(fewer) <= widening(more)
    assert luck(fewer) <= luck(more)


@given(
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.floats(0, 1),
    st.floats(-1, 1),
    st.integers(1, 50),
)
def test_what_is_proven_is_above_the_baseline_and_made_money(rate, half, baseline, mean_r, looks):
    row = make_row(
        win_rate=rate, low=rate - half, high=rate + half, baseline=baseline, expectancy_r=mean_r
    )
    if is_proven(row, looks):
        assert row["low"] > baseline
        assert mean_r > 0
