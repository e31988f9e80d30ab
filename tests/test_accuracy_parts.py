"""The parts of the record: baselines, what caution was worth, the score as a probability, agreement."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from core.accuracy import (
    benjamini_hochberg,
    brier,
    confusion,
    cumulative_r,
    daily_r,
    distribution,
    power_n_eff,
    reliability,
    summarise,
    summarise_tallies,
    value_of_caution,
)
from core.accuracy.tallies import R_EDGES, tally
from core.outcomes import Costs
from tests.test_tallies import make_outcomes

KEYS = ["verdict", "horizon", "traded", "score_bin", "symbol"]


@pytest.fixture(scope="module")
def outcomes() -> pd.DataFrame:
    chance = np.random.default_rng(3)
    made = make_outcomes(4000)
    verdict = chance.choice(["CONFIRM", "DOWNSIZE", "WAIT", "SKIP"], len(made))
    size = {"CONFIRM": 1.5, "DOWNSIZE": 0.5, "WAIT": 0.0, "SKIP": 0.0}
    traded = pd.Series(verdict, made.index).isin(["CONFIRM", "DOWNSIZE"])
    traded &= chance.random(len(made)) < 0.95
    return made.assign(
        verdict=verdict, multiplier=[size[name] for name in verdict], traded=traded
    ).dropna(subset="net_return")


@pytest.fixture(scope="module")
def tallies(outcomes: pd.DataFrame) -> pd.DataFrame:
    return tally(outcomes, KEYS)


# The summary


def test_tallies_give_what_their_outcomes_give(
    outcomes: pd.DataFrame, tallies: pd.DataFrame
) -> None:
    for by in (["verdict", "horizon"], ["symbol"], "verdict", ["traded", "verdict"], []):
        pd.testing.assert_frame_equal(summarise_tallies(tallies, by), summarise(outcomes, by))


def test_the_means_are_what_a_plain_count_gives(
    outcomes: pd.DataFrame, tallies: pd.DataFrame
) -> None:
    row = summarise_tallies(tallies).loc[("CONFIRM", "4h")]
    cell = outcomes[(outcomes["verdict"] == "CONFIRM") & outcomes["traded"]]
    paid = cell["gross_return"] - cell["net_return"]
    opposite = -cell["gross_return"] - (2 * Costs().round_trip - paid) > 0
    assert row["n"] == len(cell)
    assert row["mae_r"] == pytest.approx(cell["mae_r"].mean())
    assert row["mfe_r"] == pytest.approx(cell["mfe_r"].mean())
    known = cell.dropna(subset="barrier_r")
    assert row["target_share"] == pytest.approx((cell["barrier"] == "target").sum() / len(known))
    wins = (cell["net_return"] > 0).mean()
    assert row["baseline_coin"] == pytest.approx((wins + opposite.mean()) / 2)
    assert row["baseline_long"] == pytest.approx((cell["long_net_return"] > 0).mean())


def test_the_drawdown_is_the_largest_fall_from_a_peak_or_from_the_start() -> None:
    days = pd.date_range("2025-10-01", periods=5, tz="UTC")
    made = make_outcomes(400).iloc[4:9].assign(exit_at=days, traded=True, verdict="CONFIRM")
    net = np.array([0.01, 0.01, -0.01, 0.01, -0.01])
    for r, fall in (([3.0, -1, -2, 2, -1], 3.0), ([-1.0, -1, 4, -1, 0], 2.0)):
        row = summarise(made.assign(r_multiple=r, net_return=net), "horizon").iloc[0]
        assert row["drawdown_r"] == pytest.approx(fall)


def test_a_part_is_measured_against_the_whole_it_was_chosen_from(tallies: pd.DataFrame) -> None:
    part = tallies[tallies.index.get_level_values("verdict") == "CONFIRM"]
    whole = summarise_tallies(tallies).loc[[("CONFIRM", "4h")]]
    found = summarise_tallies(part, universe=tallies)
    same = ["n", "win_rate", "low", "high", "baseline", "lift", "lift_low", "p_value"]
    pd.testing.assert_frame_equal(found[same], whole[same])
    alone = summarise_tallies(part[part.index.get_level_values("traded")])
    assert alone["lift"].iloc[0] == 0
    assert np.isnan(alone["p_value"].iloc[0])
    assert alone.attrs["cells"] == 0


def test_tallies_that_mix_trades_with_counterfactuals_are_refused(outcomes: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'traded'"):
        summarise_tallies(tally(outcomes, ["verdict", "horizon"]))


def test_the_interval_of_the_lift_lies_around_it(tallies: pd.DataFrame) -> None:
    table = summarise_tallies(tallies, ["verdict", "symbol", "horizon"])
    middle = (table["lift_low"] + table["lift_high"]) / 2
    np.testing.assert_allclose(middle, table["lift"])
    excluded = (table["lift_low"] > 0) | (table["lift_high"] < 0)
    assert ((table["p_value"] < 0.05) == excluded).all()


def test_daily_r_ends_where_the_curve_of_every_exit_ends(
    outcomes: pd.DataFrame, tallies: pd.DataFrame
) -> None:
    days = daily_r(tallies)
    for verdict in ("CONFIRM", "SKIP"):
        cell = outcomes[(outcomes["verdict"] == verdict)]
        cell = cell[cell["traded"] == (verdict == "CONFIRM")]
        assert days.loc[verdict, "4h"].iloc[-1] == pytest.approx(cumulative_r(cell).iloc[-1])


def test_the_distribution_counts_every_r_once(
    outcomes: pd.DataFrame, tallies: pd.DataFrame
) -> None:
    table = distribution(tallies)
    edges = np.concatenate(([-np.inf], R_EDGES, [np.inf]))
    known = outcomes["r_multiple"].dropna()
    assert table["n"].tolist() == [
        ((known >= low) & (known < high)).sum() for low, high in pairwise(edges)
    ]


# Many cells


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_adjusted_p_values_are_those_of_scipy(p: list[float]) -> None:
    q, flagged = benjamini_hochberg(p)
    np.testing.assert_allclose(q, false_discovery_control(p), atol=1e-12)
    np.testing.assert_array_equal(flagged, q <= 0.05)


def test_a_cell_without_a_test_counts_for_nothing() -> None:
    q, flagged = benjamini_hochberg([np.nan, 0.04, np.nan])
    assert np.isnan(q[[0, 2]]).all()
    assert flagged.tolist() == [False, True, False]


def test_half_the_edge_needs_four_times_the_outcomes() -> None:
    assert power_n_eff(0.5, 0.02) / power_n_eff(0.5, 0.04) == pytest.approx(4, rel=0.01)
    assert power_n_eff(0.5, 0.04, power=0.9) > power_n_eff(0.5, 0.04)
    with pytest.raises(ValueError, match="between 0 and 1"):
        power_n_eff(0.5, 0.6)


# Caution


def test_caution_is_worth_the_losses_avoided_less_the_gains_missed(
    outcomes: pd.DataFrame, tallies: pd.DataFrame
) -> None:
    table = value_of_caution(tallies)
    assert table.index.get_level_values("verdict").tolist() == ["DOWNSIZE", "SKIP", "WAIT"]
    for (verdict, _), row in table.iterrows():
        cell = outcomes[outcomes["verdict"] == verdict]
        cell = cell[cell["traded"]] if verdict == "DOWNSIZE" else cell
        left = cell["r_multiple"].dropna() * (0.5 if verdict == "DOWNSIZE" else 1.0)
        assert row["n"] == len(left)
        assert row["loss_avoided_r"] == pytest.approx(-left[left < 0].sum())
        assert row["gain_missed_r"] == pytest.approx(left[left > 0].sum())
        assert row["value_r"] == pytest.approx(-left.sum())
        assert row["low"] < row["value_r"] < row["high"]


def test_skipping_what_loses_is_proven_to_be_worth_it(outcomes: pd.DataFrame) -> None:
    losing = outcomes.assign(r_multiple=outcomes["r_multiple"] - 0.5)
    found = value_of_caution(tally(losing, KEYS)).loc[("SKIP", "4h")]
    assert found["low"] > 0


# The score as a probability


def test_bins_are_the_scores_own_and_empty_ones_are_empty(
    outcomes: pd.DataFrame, tallies: pd.DataFrame
) -> None:
    table = reliability(tallies)
    assert table.index.tolist() == list(range(50, 100, 5))
    assert table["n"].sum() == len(outcomes)
    empty = table.loc[80:]
    assert (empty["n"] == 0).all()
    assert empty[["claimed", "win_rate", "low", "high"]].isna().all(axis=None)
    claimed = np.where(outcomes["direction"] > 0, outcomes["score"], 100 - outcomes["score"]) / 100
    in_bin = (claimed >= 0.6) & (claimed < 0.65)
    assert table.loc[60, "claimed"] == pytest.approx(claimed[in_bin].mean())
    assert table.loc[60, "win_rate"] == pytest.approx((outcomes["net_return"] > 0)[in_bin].mean())


def test_the_parts_of_the_brier_score_add_up_exactly(
    outcomes: pd.DataFrame, tallies: pd.DataFrame
) -> None:
    found = brier(tallies)
    parts = found.reliability - found.resolution + found.uncertainty + found.within
    assert found.score == pytest.approx(parts, abs=1e-12)
    claimed = np.where(outcomes["direction"] > 0, outcomes["score"], 100 - outcomes["score"]) / 100
    won = (outcomes["net_return"] > 0).to_numpy()
    assert found.score == pytest.approx(((claimed - won) ** 2).mean())
    assert found.n == len(outcomes)


def test_always_saying_the_base_rate_has_no_skill_and_knowing_has_all(
    outcomes: pd.DataFrame,
) -> None:
    won = (outcomes["net_return"] > 0).to_numpy()
    upwards = outcomes.assign(direction=1.0)
    assert brier(tally(upwards.assign(score=100 * won.mean()), KEYS)).skill == pytest.approx(0)
    assert brier(tally(upwards.assign(score=100.0 * won), KEYS)).skill == pytest.approx(1)
    assert np.isnan(brier(tally(outcomes.iloc[:0], KEYS)).skill)


# Rules and model


def make_pairs(table: list[list[int]]) -> pd.DataFrame:
    names = ["CONFIRM", "DOWNSIZE", "WAIT", "SKIP"]
    rows = [
        {"rules": names[i], "model": names[j], "n": n}
        for i, row in enumerate(table)
        for j, n in enumerate(row)
        if n
    ]
    return pd.DataFrame(rows, columns=["rules", "model", "n"])


def kappa_of(part: np.ndarray) -> float:
    expected = part.sum(axis=1) @ part.sum(axis=0)
    return float((np.trace(part) - expected) / (1 - expected))


def test_kappa_is_that_of_a_worked_example_and_its_interval_of_the_delta_method() -> None:
    """Fifty proposals read twice: 20 and 15 agreed on, 5 and 10 not, kappa 0.4."""
    found = confusion(make_pairs([[20, 5], [10, 15]]))
    assert (found.share, found.n) == (0.7, 50)
    assert found.kappa == pytest.approx(0.4)
    assert found.table.loc["CONFIRM", "DOWNSIZE"] == 5
    counts = np.array([[20, 5, 3], [10, 15, 2], [1, 7, 30]])
    found, n = confusion(make_pairs(counts.tolist())), counts.sum()
    part, step = counts / n, 1e-6
    slope = np.empty_like(part)
    for place in np.ndindex(part.shape):
        more = part.copy()
        more[place] += step
        slope[place] = (kappa_of(more) - kappa_of(part)) / step
    error = np.sqrt(((slope**2 * part).sum() - (slope * part).sum() ** 2) / n)
    assert found.high - found.kappa == pytest.approx(1.959964 * error, rel=1e-3)


def test_kappa_is_one_in_full_agreement_and_undefined_where_nothing_varies() -> None:
    assert confusion(make_pairs([[5, 0], [0, 7]])).kappa == 1
    assert np.isnan(confusion(make_pairs([[5]])).kappa)
    assert confusion(make_pairs([[5]])).share == 1
    assert confusion(make_pairs([])).n == 0


def test_days_that_agree_or_not_as_a_whole_widen_kappa() -> None:
    days = pd.date_range("2025-10-01", periods=40, tz="UTC")
    agree, apart = make_pairs([[12, 0], [0, 12]]), make_pairs([[0, 12], [12, 0]])
    pairs = pd.concat([(agree if k % 3 else apart).assign(day=day) for k, day in enumerate(days)])
    by_days, plain = confusion(pairs), confusion(pairs.drop(columns="day"))
    assert by_days.kappa == pytest.approx(plain.kappa)
    few = confusion(pairs[pairs["day"] < days[9]])
    assert np.isnan(few.low)
    steady = pd.concat([make_pairs([[9, 3], [3, 9]]).assign(day=day) for day in days])
    halves = pd.concat([(agree if k < 20 else apart).assign(day=day) for k, day in enumerate(days)])
    wide, narrow = confusion(halves), confusion(steady)
    assert wide.high - wide.low > 1
    assert narrow.high - narrow.low < 0.01
