from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.backtest import decide
from core.plan import Account, atr_columns, plan, wilder_atr
from core.signals import load_profile
from core.verdicts import judge_by_rules
from tests.builders import make_frame, make_scored

FINE = Account(lot=Decimal("0.00000001"), leverage=3)


def planned(account: Account = FINE, **changes: object) -> pd.Series:
    judged = judge_by_rules(make_scored(**changes), load_profile())
    return plan(judged, account).iloc[0]


@pytest.mark.parametrize("period", [1, 2, 5, 14, 30])
def test_atr_is_talibs(period: int) -> None:
    bars = make_frame(1, 400)
    ours = wilder_atr(bars["high"], bars["low"], bars["close"], period)
    theirs = talib.ATR(*(bars[name].to_numpy() for name in ("high", "low", "close")), period)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert ours.isna().sum() == period


def test_the_plan_uses_closed_four_hour_bars_of_the_utc_day() -> None:
    frame = make_frame(1, 24 * 10)
    coarse = frame.droplevel(0).resample("4h", closed="right", label="right")
    bars = coarse.agg({"high": "max", "low": "min", "close": "last"})
    expected = wilder_atr(bars["high"], bars["low"], bars["close"])
    atr = pd.Series(atr_columns(frame)[0], index=frame.index.get_level_values("time"))
    shared = expected.dropna().index.intersection(atr.index)
    np.testing.assert_allclose(atr[shared], expected[shared])
    first = shared[0]
    assert (atr[first : first + pd.Timedelta("3h")] == atr[first]).all()


def test_an_old_range_is_not_a_range() -> None:
    frame = make_frame(1, 24 * 10)
    frame.iloc[-30:, frame.columns.get_loc("high")] = np.nan
    atr = atr_columns(frame)[0]
    assert np.isnan(atr[-1])
    assert not np.isnan(atr[-31])


@pytest.mark.parametrize(
    ("changes", "stop", "target"),
    [
        ({"score": 70.0, "agreement": 0.9}, 97.0, 106.0),
        ({"score": 62.0}, 96.0, 110.0),
        ({"score": 70.0, "volatility_ratio": 2.0}, 95.0, 115.0),
        ({"score": 38.0, "direction": -1.0}, 104.0, 90.0),
    ],
)
def test_stop_and_target_follow_the_risk_mode(
    changes: dict[str, object], stop: float, target: float
) -> None:
    row = planned(**changes)
    assert (row["entry_price"], row["stop_price"], row["target_price"]) == (100, stop, target)


def test_the_stop_loses_the_risk_that_was_asked_for() -> None:
    row = planned(Account(equity_usd=20_000, risk_fraction=0.02, leverage=3, lot=FINE.lot))
    assert row["risk_usd"] == pytest.approx(400)
    assert row["quantity"] * (row["entry_price"] - row["stop_price"]) == pytest.approx(400)
    assert planned(score=60.0)["risk_usd"] == pytest.approx(50)


def test_volatility_and_verdict_share_one_cap() -> None:
    calm = planned(score=70.0, agreement=0.9, atr=0.5)
    assert calm["size_multiplier"] == 2
    assert calm["binding_cap"] == "size ceiling"
    wild = planned(score=60.0, atr=5.0)
    assert wild["size_multiplier"] == pytest.approx(0.25)
    assert wild["binding_cap"] == "size floor"


def test_the_smallest_size_never_risks_more_than_allowed() -> None:
    row = planned(score=60.0, atr=9.0)
    assert "smallest size would risk more" in row["no_plan"]
    assert np.isnan(row["quantity"])


def test_leverage_limits_the_notional() -> None:
    row = planned(Account(leverage=1.1, lot=FINE.lot, risk_fraction=0.05))
    assert row["notional_usd"] == pytest.approx(11_000)
    assert row["binding_cap"] == "leverage"


def test_a_stop_beyond_the_liquidation_price_is_refused() -> None:
    row = planned(Account(leverage=25, lot=FINE.lot))
    assert row["no_plan"] == (
        "at 25x the position is liquidated before the stop is reached; use less leverage"
    )
    near = planned(Account(leverage=20, lot=FINE.lot))
    assert near["liquidation_price"] == pytest.approx(95.5)
    assert near["no_plan"] is None
    short = planned(Account(leverage=25, lot=FINE.lot), score=38.0, direction=-1.0)
    assert "liquidated" in short["no_plan"]


@given(st.floats(100, 1e6), st.sampled_from(["0.001", "0.1", "1", "0.3"]))
@settings(max_examples=60, deadline=None)
def test_quantity_is_whole_lots_rounded_down(equity: float, lot: str) -> None:
    exact = planned(Account(equity_usd=equity, leverage=20, lot=Decimal("1e-12")))
    row = planned(Account(equity_usd=equity, leverage=20, lots={"BTCUSDT": Decimal(lot)}))
    if row["no_plan"]:
        assert "one lot" in row["no_plan"]
        assert exact["quantity"] < float(lot)
        return
    whole = Decimal(repr(float(row["quantity"]))) / Decimal(lot)
    assert whole == whole.to_integral_value()
    assert 0 <= exact["quantity"] - row["quantity"] < float(lot) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"score": np.nan, "direction": np.nan}, "no signal"),
        ({"score": 50.0, "direction": 0.0}, "no direction"),
        ({"score": 61.0, "volatility_ratio": 2.0}, "the verdict is WAIT"),
        ({"volatility_ratio": 2.0, "coverage": 0.6}, "the verdict is SKIP"),
        ({"atr": np.nan}, "no average true range: under 14 closed 4 h bars"),
        ({"normal_atr": np.nan}, "no average true range: under 14 closed 4 h bars"),
        ({"atr": 60.0}, "the stop or the target would lie below zero"),
    ],
)
def test_no_plan_says_why(changes: dict[str, object], says: str) -> None:
    row = planned(**changes)
    assert row["no_plan"] == says
    assert row[["entry_price", "stop_price", "quantity", "risk_usd"]].isna().all()
    assert row["binding_cap"] is None


def test_what_was_skipped_is_kept_apart() -> None:
    waited = planned(score=61.0, volatility_ratio=2.0)
    assert waited["counterfactual_stop_price"] == 95
    assert np.isnan(waited["stop_price"])
    taken = planned()
    assert np.isnan(taken["counterfactual_stop_price"])
    neutral = planned(score=50.0, direction=0.0)
    assert np.isnan(neutral["counterfactual_entry_price"])


def test_a_stored_row_is_planned_again_for_another_account() -> None:
    frame = make_frame(2, 24 * 24)
    rows = decide(frame, load_profile("aggressive"))
    last = rows[rows["no_plan"].isna()].iloc[[-1]]
    again = plan(last, Account(equity_usd=20_000, lot=FINE.lot)).iloc[0]
    first = plan(last, Account(equity_usd=10_000, lot=FINE.lot)).iloc[0]
    assert again["stop_price"] == last["stop_price"].iloc[0]
    assert again["quantity"] == pytest.approx(2 * first["quantity"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"equity_usd": 0},
        {"equity_usd": -1},
        {"risk_fraction": 0.5},
        {"leverage": 0.5},
        {"leverage": float("nan")},
        {"lot": 0},
        {"equity": 5},
    ],
)
def test_a_nonsense_account_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Account(**wrong)
