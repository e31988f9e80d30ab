from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.backtest import decide, run
from core.outcomes import Costs, resolve
from core.plan import Account, plan
from core.signals import load_profile
from core.verdicts import judge_by_rules
from tests.builders import START, make_bars, make_frame, make_scored

FREE = Costs(taker_fee=0, slippage_bps=0, assumed_funding_8h=0)
LONG, SHORT = {}, {"score": 36.0, "direction": -1.0}


def signal(**changes: object) -> pd.DataFrame:
    """A signal at 100 with stop 96 and target 110 (LONG) or 104 and 90 (SHORT)."""
    return plan(judge_by_rules(make_scored(**changes), load_profile()), Account(leverage=3))


def outcome(
    bars: pd.DataFrame, horizon: str = "4h", costs: Costs = FREE, **changes: object
) -> pd.Series:
    return resolve(signal(**changes), bars, [horizon], costs).iloc[0]


def test_entry_is_the_first_price_after_publication() -> None:
    bars = make_bars([100, 101, 102, 103, 104], open=[99, 100.5, 101, 102, 103])
    row = outcome(bars)
    assert row["entry_price"] == 100.5
    assert row["exit_price"] == 104
    assert row["gross_return"] == pytest.approx(104 / 100.5 - 1)
    assert row["entry_at"] == START
    assert row["exit_at"] == START + pd.Timedelta("4h")


def test_each_horizon_reads_the_close_at_its_end() -> None:
    bars = make_bars([100.0 + hour for hour in range(30)])
    result = resolve(signal(), bars, costs=FREE)
    exits = result["exit_price"].droplevel(["symbol", "time"])
    assert exits.to_dict() == {"1h": 101, "4h": 104, "24h": 124}


def test_a_later_job_gives_the_same_numbers() -> None:
    frame = make_frame(2, 24 * 26)
    planned = decide(frame, load_profile("aggressive"))
    times = frame.index.get_level_values("time")
    cut = times.max() - pd.Timedelta("24h")
    early = resolve(planned[times <= cut], frame[times <= cut])
    late = resolve(planned[times <= cut], frame)
    assert 0 < len(early) < len(late)
    pd.testing.assert_frame_equal(late.loc[early.index], early, check_exact=True)
    assert (late.drop(early.index)["exit_at"] > cut).all()


def test_what_is_not_over_is_not_in_the_result() -> None:
    assert resolve(signal(), make_bars([100, 101, 102])).index.get_level_values(
        "horizon"
    ).tolist() == ["1h"]


@pytest.mark.parametrize(("side", "sign"), [(LONG, 1), (SHORT, -1)])
def test_stop_and_target_in_one_bar_count_as_the_stop(side: dict[str, object], sign: int) -> None:
    bars = make_bars(
        [100] * 6, high=[100, 115, 100, 100, 100, 100], low=[100, 85, 100, 100, 100, 100]
    )
    row = outcome(bars, **side)
    assert row["barrier"] == "stop"
    assert row["barrier_r"] == pytest.approx(-1)
    assert row["mae_r"] == pytest.approx(-15 / 4)
    assert row["mfe_r"] == pytest.approx(15 / 4)


def test_the_first_barrier_counts() -> None:
    high = [100.0, 100, 111, 100, 100]
    bars = make_bars([100] * 5, high=high, low=[100.0, 100, 100, 95, 100])
    row = outcome(bars)
    assert row["barrier"] == "target"
    assert row["barrier_r"] == pytest.approx(2.5)
    mirrored = outcome(make_bars([100] * 5, low=[100.0, 100, 89, 100, 100]), **SHORT)
    assert mirrored["barrier"] == "target"


def test_neither_barrier_leaves_at_the_horizon() -> None:
    row = outcome(make_bars([100, 101, 102, 101, 102]))
    assert row["barrier"] == "horizon"
    assert row["barrier_r"] == pytest.approx(0.5)
    assert row["r_multiple"] == pytest.approx(0.5)


def test_a_bar_that_opens_beyond_the_stop_fills_at_its_open() -> None:
    bars = make_bars([100, 100, 90, 90, 90], open=[100, 100, 92, 90, 90])
    assert outcome(bars)["barrier_r"] == pytest.approx((92 - 100) / 4)


def test_fees_and_slippage_are_in_every_return() -> None:
    bars = make_bars([100, 102, 104, 106, 108])
    costs = Costs(taker_fee=0.001, slippage_bps=5, assumed_funding_8h=0)
    free, paid = outcome(bars), outcome(bars, costs=costs)
    assert free["net_return"] - paid["net_return"] == pytest.approx(0.003)
    assert free["long_net_return"] - paid["long_net_return"] == pytest.approx(0.003)
    assert free["barrier_r"] - paid["barrier_r"] == pytest.approx(0.003 / 0.04)
    assert paid["gross_return"] == free["gross_return"]


@pytest.mark.parametrize(("side", "sign"), [(LONG, 1), (SHORT, -1)])
def test_longs_pay_positive_funding_and_shorts_receive_it(
    side: dict[str, object], sign: int
) -> None:
    still = make_bars([100] * 9, funding_rate_8h=[0.5, *[0.0008] * 8])
    row = outcome(still, "8h", **side)
    assert row["net_return"] == pytest.approx(-sign * 0.0008)
    assert not row["funding_assumed"]


def test_unknown_funding_costs_either_side_and_is_marked() -> None:
    bars = make_bars([100] * 9).drop(columns="funding_rate_8h")
    costs = Costs(taker_fee=0, slippage_bps=0, assumed_funding_8h=0.0004)
    for side in (LONG, SHORT):
        row = outcome(bars, "8h", costs, **side)
        assert row["net_return"] == pytest.approx(-0.0004)
        assert row["funding_assumed"]


def test_skip_and_wait_are_followed_as_counterfactuals() -> None:
    bars = make_bars([100, 101, 102, 103, 104])
    for changes, verdict in (
        ({"score": 61.0, "volatility_ratio": 2.0}, "WAIT"),
        ({"volatility_ratio": 2.0, "coverage": 0.6}, "SKIP"),
    ):
        row = outcome(bars, **changes)
        assert row["verdict"] == verdict
        assert not row["traded"]
        assert row["r_multiple"] == pytest.approx(0.04 / 0.05)
    assert outcome(bars)["traded"]


def test_neutral_and_missing_signals_have_nothing_to_follow() -> None:
    bars = make_bars([100, 101, 102])
    assert resolve(signal(score=50.0, direction=0.0), bars).empty
    assert resolve(signal(score=np.nan, direction=np.nan), bars).empty


def test_a_missing_bar_hides_the_barrier_but_not_the_return() -> None:
    bars = make_bars([100, 101, 102, 103, 104]).drop(index=("BTCUSDT", START + pd.Timedelta("2h")))
    row = outcome(bars)
    assert row["barrier"] is None
    assert np.isnan(row["mae_r"])
    assert row["gross_return"] == pytest.approx(0.04)


def test_a_stop_before_the_gap_is_still_a_stop() -> None:
    bars = make_bars([100, 95, 102, 103, 104]).drop(index=("BTCUSDT", START + pd.Timedelta("2h")))
    assert outcome(bars)["barrier"] == "stop"


def test_without_the_next_bar_there_is_no_entry() -> None:
    bars = make_bars([100, 101, 102, 103, 104]).drop(index=("BTCUSDT", START + pd.Timedelta("1h")))
    assert resolve(signal(), bars).empty


def test_bars_of_another_market_resolve_nothing() -> None:
    assert resolve(signal(), make_bars([100, 101], symbol="ETHUSDT")).empty


def test_bars_may_begin_after_the_signal() -> None:
    bars = make_bars([100, 101, 102, 103, 104])
    whole, later = outcome(bars), outcome(bars.iloc[1:])
    pd.testing.assert_series_equal(later, whole)


def test_finer_bars_find_the_order_of_stop_and_target() -> None:
    hourly = make_bars([100, 100], high=[100, 111], low=[100, 95])
    times = pd.date_range(START, periods=5, freq="15min")
    index = pd.MultiIndex.from_product([["BTCUSDT"], times], names=["symbol", "time"])
    fine = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 100.0), index=index)
    fine.iloc[1, fine.columns.get_loc("high")] = 111
    fine.iloc[3, fine.columns.get_loc("low")] = 95
    assert outcome(hourly, "1h")["barrier"] == "stop"
    assert outcome(fine, "1h")["barrier"] == "target"


def test_a_horizon_that_is_no_whole_number_of_bars_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of bars"):
        resolve(signal(), make_bars([100, 101]), ["90min"])


def test_bars_without_a_price_column_resolve_nothing() -> None:
    bars = make_bars([100, 101, 102])
    for name in ("open", "close"):
        assert resolve(signal(), bars.drop(columns=name), "1h").empty
    assert outcome(bars.drop(columns="high"), "1h")["barrier"] is None


def test_four_hour_bars_are_run_without_inventing_outcomes() -> None:
    result = run(make_frame(1, 60, step="4h"), load_profile())
    assert result.outcomes.empty
    assert result.summary.empty
    assert len(result.signals) == 60


def test_the_levels_of_the_index_need_no_names() -> None:
    frame = make_frame(1, 24 * 22)
    named = run(frame, load_profile("aggressive"))
    frame.index.names = [None, None]
    assert len(run(frame, load_profile("aggressive")).outcomes) == len(named.outcomes)
