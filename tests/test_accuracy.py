from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.accuracy import cumulative_r, split_eras, summarise
from core.backtest import run
from core.signals import load_profile
from tests.builders import make_frame


@pytest.fixture(scope="module")
def outcomes() -> pd.DataFrame:
    return run(make_frame(4, 24 * 40), load_profile("aggressive")).outcomes


def test_every_rate_has_n_and_an_interval_or_a_reason(outcomes: pd.DataFrame) -> None:
    table = summarise(outcomes)
    assert (table["n"] > 0).all()
    assert (table["low"].notna() | table["note"].notna()).all()
    known = table.dropna(subset="low")
    assert len(known) > 0
    assert ((known["low"] <= known["win_rate"]) & (known["win_rate"] <= known["high"])).all()
    assert (known["n_eff"] <= known["n"]).all()


def test_the_cells_are_what_a_plain_count_gives(outcomes: pd.DataFrame) -> None:
    cell = outcomes[outcomes["verdict"] == "CONFIRM"].xs("4h", level="horizon")
    row = summarise(outcomes).loc[("CONFIRM", "4h")]
    cell = cell[cell["traded"]]
    assert row["n"] == len(cell)
    assert row["win_rate"] == pytest.approx((cell["net_return"] > 0).mean())
    assert row["expectancy_r"] == pytest.approx(cell["r_multiple"].mean())
    gains, losses = cell["net_return"].clip(lower=0).sum(), -cell["net_return"].clip(upper=0).sum()
    assert row["profit_factor"] == pytest.approx(gains / losses)


def test_the_baseline_follows_every_raw_signal_of_the_horizon(outcomes: pd.DataFrame) -> None:
    table = summarise(outcomes)
    wins = (outcomes["net_return"] > 0).groupby("horizon").mean()
    for (_, horizon), row in table.iterrows():
        assert row["baseline"] == pytest.approx(wins[horizon])
        assert row["lift"] == pytest.approx(row["win_rate"] - wins[horizon])


def test_horizons_and_symbols_can_be_told_apart(outcomes: pd.DataFrame) -> None:
    table = summarise(outcomes, by=["symbol", "horizon"])
    assert table.index.names == ["symbol", "horizon"]
    assert table["n"].sum() == outcomes["traded"].sum()


@pytest.mark.parametrize("by", [["horizon"], "horizon", ["symbol"], [], ["direction", "horizon"]])
def test_a_rate_of_trades_holds_trades_only(outcomes: pd.DataFrame, by: list[str]) -> None:
    assert (~outcomes["traded"]).any()
    table = summarise(outcomes, by=by)
    assert table["n"].sum() == outcomes["traded"].sum()
    assert not table["counterfactual"].any()


def test_wait_and_skip_have_rows_of_their_own(outcomes: pd.DataFrame) -> None:
    table = summarise(outcomes, by="verdict")
    assert table["counterfactual"].to_dict() == {
        "CONFIRM": False,
        "DOWNSIZE": False,
        "SKIP": True,
        "WAIT": True,
    }
    both = summarise(outcomes, by=["traded", "verdict"])
    assert both["n"].sum() == len(outcomes)


def test_an_unknown_return_is_neither_won_nor_lost(outcomes: pd.DataFrame) -> None:
    holed = outcomes.copy()
    holed.loc[holed.index[::7], "net_return"] = np.nan
    pd.testing.assert_frame_equal(summarise(holed), summarise(holed.dropna(subset="net_return")))


def test_an_unknown_key_is_named(outcomes: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="mood"):
        summarise(outcomes, by=["mood"])


def test_no_outcomes_give_an_empty_table_with_its_columns(outcomes: pd.DataFrame) -> None:
    table = summarise(outcomes.iloc[:0])
    assert table.empty
    assert list(table.columns) == list(summarise(outcomes).columns)


def test_few_outcomes_have_no_interval(outcomes: pd.DataFrame) -> None:
    few = outcomes.xs("1h", level="horizon", drop_level=False)
    row = summarise(few[few["traded"]].iloc[:19], by="horizon").iloc[0]
    assert row[["low", "high", "n_eff", "lift_low", "p_value"]].isna().all()
    assert row["note"] == "too few: 19 of the 20 outcomes that an interval needs"


def test_a_few_days_are_not_enough_time(outcomes: pd.DataFrame) -> None:
    start = outcomes["exit_at"].min().floor("D")
    part = outcomes[outcomes["exit_at"] < start + pd.Timedelta("9D")]
    assert summarise(part, by="horizon")["note"].str.startswith("not enough time yet: ").all()
    part = outcomes[outcomes["exit_at"] < start + pd.Timedelta("15D")]
    notes = summarise(part, by="horizon")["note"]
    assert notes["24h"] == "not enough time yet: an era is shorter than two horizons"
    assert notes["4h"] is None


def test_a_clean_sweep_is_not_certain(outcomes: pd.DataFrame) -> None:
    row = summarise(outcomes.assign(net_return=0.01), by="horizon").loc["4h"]
    assert row["high"] == 1
    assert row["low"] < 1


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(2, 12))
def test_eras_are_contiguous_and_none_is_empty(counts: list[int], eras: int) -> None:
    found, n = split_eras(counts, eras), np.array(counts)
    assert (np.diff(found) >= 0).all()
    busy = (n > 0).sum()
    held = set(found[n > 0].tolist())
    assert len(held) == busy if busy < eras else held == set(range(eras))


def test_eras_are_of_about_equal_count() -> None:
    counts = np.random.default_rng(0).integers(10, 30, 200)
    sizes = np.bincount(split_eras(counts), weights=counts)
    assert sizes.min() > 0.8 * sizes.max()


def test_cumulative_r_counts_a_trade_from_its_exit(outcomes: pd.DataFrame) -> None:
    day = outcomes.xs("24h", level="horizon", drop_level=False)
    curve = cumulative_r(day)
    assert curve.index.min() == day["exit_at"].min()
    assert curve.iloc[-1] == pytest.approx(day["r_multiple"].sum())
