"""Sums per cell and day: what they count, and that they add up however outcomes are divided."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.accuracy import summarise
from core.accuracy.tallies import COLUMNS, R_COUNTS, regroup, tally
from core.backtest import decide
from core.outcomes import Costs, resolve
from core.signals import load_profile
from tests.builders import make_frame


def make_outcomes(n: int = 400, seed: int = 1) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    times = pd.date_range("2025-10-01", periods=n // 4, freq="h", tz="UTC").repeat(4)
    net = chance.standard_t(4, n) * 0.01
    net[:3] = np.nan
    r = np.where(chance.random(n) < 0.1, np.nan, net * 60)
    return pd.DataFrame(
        {
            "direction": chance.choice([-1.0, 1.0], n),
            "verdict": chance.choice(["CONFIRM", "DOWNSIZE", "SKIP"], n),
            "risk_mode": "NORMAL",
            "multiplier": chance.choice([0.0, 0.5, 1.0], n),
            "score": chance.uniform(20, 80, n),
            "coverage": chance.uniform(0.5, 1, n),
            "traded": chance.random(n) < 0.7,
            "exit_at": times + pd.Timedelta("4h"),
            "gross_return": net + 0.002,
            "net_return": net,
            "long_net_return": -net,
            "r_multiple": r,
            "barrier": chance.choice(["stop", "target", "horizon"], n),
            "barrier_r": r,
            "mae_r": -np.abs(r),
            "mfe_r": np.abs(r),
            "funding_assumed": False,
        },
        index=pd.MultiIndex.from_arrays(
            [np.tile(["A", "B", "C", "D"], n // 4), times, np.repeat("4h", n)],
            names=["symbol", "time", "horizon"],
        ),
    )


def test_each_finished_outcome_is_counted_on_the_day_of_its_exit() -> None:
    outcomes = make_outcomes()
    found = tally(outcomes, ["verdict"])
    finished = outcomes[outcomes["net_return"].notna()]
    for (verdict, day), row in found.iterrows():
        of_cell = finished[
            (finished["verdict"] == verdict) & (finished["exit_at"].dt.floor("D") == day)
        ]
        assert row["n"] == len(of_cell)
        assert row["wins"] == (of_cell["net_return"] > 0).sum()
        assert row["sum_r"] == pytest.approx(of_cell["r_multiple"].sum())
        assert row["gain_r"] - row["loss_r"] == pytest.approx(row["sum_r"])
        assert row[list(R_COUNTS)].sum() == row["n_r"] == of_cell["r_multiple"].notna().sum()


def test_sums_add_up_however_outcomes_are_divided() -> None:
    outcomes = make_outcomes()
    keys = ["verdict", "direction", "horizon", "coverage_bin", "score_bin", "traded"]
    whole = tally(outcomes, keys)
    half = np.random.default_rng(2).random(len(outcomes)) < 0.5
    parts = pd.concat([tally(outcomes[half], keys), tally(outcomes[~half], keys)])
    pd.testing.assert_frame_equal(regroup(parts, [*keys, "day"]), whole)
    pd.testing.assert_frame_equal(
        regroup(whole, ["verdict", "day"]), tally(outcomes, ["verdict"]), check_index_type=False
    )


def test_the_bins_are_of_the_score_in_the_direction_of_the_signal() -> None:
    outcomes = (
        make_outcomes()
        .iloc[4:6]
        .assign(score=[72.0, 28.0], direction=[1.0, -1.0], coverage=[0.9, 0.9])
    )
    cells = tally(outcomes, ["score_bin", "coverage_bin"]).index
    assert [cell[:2] for cell in cells] == [(70, 9)]


def test_without_outcomes_there_are_no_cells() -> None:
    found = tally(make_outcomes().iloc[:0], ["verdict", "horizon"])
    assert found.empty
    assert list(found.columns) == list(COLUMNS)
    assert found.index.names == ["verdict", "horizon", "day"]


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ValueError, match="no 'verdit'"):
        tally(make_outcomes(), ["verdit"])


def test_the_other_direction_pays_the_same_fees_and_receives_the_funding() -> None:
    costs = Costs()
    frame = make_frame(["AUSDT"], hours=24 * 30)
    planned = decide(frame, load_profile("aggressive"))
    flipped = planned.assign(direction=-planned["direction"])
    for bars in (frame, frame.assign(funding_rate_8h=np.nan)):
        one, other = (resolve(p, bars, "4h", costs) for p in (planned, flipped))
        assert len(one) > 20
        found = tally(one, ["symbol"]).groupby("symbol").sum().iloc[0]
        assert found["opposite_wins"] == (other["net_return"] > 0).sum()
        assert found["sum_opposite_net"] == pytest.approx(other["net_return"].sum())


def test_the_other_direction_is_at_the_costs_that_were_charged() -> None:
    costs, frame = Costs(taker_fee=0.005), make_frame(["AUSDT"], hours=24 * 30)
    planned = decide(frame, load_profile("aggressive"))
    flipped = planned.assign(direction=-planned["direction"])
    one, other = (resolve(p, frame, "4h", costs) for p in (planned, flipped))
    np.testing.assert_allclose(one["opposite_net_return"], other["net_return"])
    coin = summarise(one, "horizon")["baseline_coin"].iloc[0]
    one, other = one[one["traded"]], other[one["traded"]]
    assert coin == pytest.approx(
        ((one["net_return"] > 0).mean() + (other["net_return"] > 0).mean()) / 2
    )


def test_a_model_is_credited_with_what_it_went_below_the_rules() -> None:
    lost = make_outcomes().iloc[4:8].assign(r_multiple=-1.0, multiplier=[1.0, 0.4, 0.0, 0.0])
    found = tally(lost.assign(allowed_multiplier=[1.5, 0.5, 1.0, 0.0]), ["horizon"])
    assert found["forgone_loss_r"].sum() == pytest.approx(0.5 + 0.1 + 1.0 + 0.0)
    assert tally(lost, ["horizon"])["forgone_loss_r"].sum() == pytest.approx(0.6 + 1.0 + 1.0)


@pytest.mark.parametrize("name", ["judge", "profile_name", "profile_version"])
def test_what_must_not_be_pooled_is_refused_by_name(name: str) -> None:
    outcomes = make_outcomes()
    several = outcomes.assign(**{name: np.where(np.arange(len(outcomes)) % 2, "a", "b")})
    with pytest.raises(ValueError, match=f"name '{name}' in by"):
        summarise(several)
    assert len(summarise(several, [name, "horizon"])) == 2
    assert len(summarise(several[several[name] == "a"], "horizon")) == 1


def test_a_key_is_named_once() -> None:
    for keys in (["horizon", "horizon"], ["day"]):
        with pytest.raises(ValueError, match="by cannot name"):
            summarise(make_outcomes(), keys)
