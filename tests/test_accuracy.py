from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.accuracy import cumulative_r, era_interval, split_eras, summarise
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


def test_few_outcomes_have_no_interval() -> None:
    times = np.arange(19).astype("datetime64[h]")
    low, high, n_eff, note = era_interval(np.ones(19), times, pd.Timedelta("1h"))
    assert np.isnan([low, high, n_eff]).all()
    assert note is not None
    assert "19 of the 20" in note


def test_a_day_of_day_long_horizons_is_not_enough_time() -> None:
    times = np.arange(100).astype("datetime64[h]")
    note = era_interval(np.ones(100), times, pd.Timedelta("24h"))[3]
    assert note == "not enough time yet: an era is shorter than two horizons"


def test_a_clean_sweep_is_not_certain() -> None:
    low, high, *_ = era_interval(
        np.ones(50), np.arange(50).astype("datetime64[D]"), pd.Timedelta("1h")
    )
    assert high == 1
    assert low < 0.95


def test_eras_are_contiguous_even_and_keep_moments_whole() -> None:
    times = np.sort(np.random.default_rng(0).integers(0, 200, 1000)).astype("datetime64[h]")
    eras, _ = split_eras(times)
    assert (np.diff(eras) >= 0).all()
    assert np.bincount(eras).min() > 60
    assert pd.Series(eras).groupby(times).nunique().max() == 1


@pytest.mark.parametrize(("horizon", "symbols"), [(1, 1), (4, 4), (24, 4)])
def test_the_interval_covers_overlapping_and_correlated_outcomes(
    horizon: int, symbols: int
) -> None:
    """Hourly signals held for hours, on symbols that move together, with no edge at all."""
    random = np.random.default_rng(5)
    hours, trials, covered, plain = 24 * 60, 300, 0, 0
    stamps = np.repeat(np.arange(hours), symbols).astype("datetime64[h]")
    for _ in range(trials):
        common = random.normal(size=(hours + horizon, 1))
        moves = 0.8 * common + 0.6 * random.normal(size=(hours + horizon, symbols))
        path = np.vstack([np.zeros((1, symbols)), moves.cumsum(axis=0)])
        side = np.repeat(random.choice([-1, 1], (hours // 6 + 1, symbols)), 6, axis=0)[:hours]
        wins = side * (path[horizon : horizon + hours] - path[:hours]) > 0
        values = wins.reshape(-1).astype(float)
        low, high, _, note = era_interval(values, stamps, pd.Timedelta(hours=horizon))
        assert note is None
        covered += low <= 0.5 <= high
        plain += abs(values.mean() - 0.5) <= 1.96 * 0.5 / np.sqrt(len(values))
    assert 0.90 <= covered / trials <= 0.99
    if horizon > 1:
        assert plain / trials < 0.85


def test_cumulative_r_counts_a_trade_from_its_exit(outcomes: pd.DataFrame) -> None:
    day = outcomes.xs("24h", level="horizon", drop_level=False)
    curve = cumulative_r(day)
    assert curve.index.min() == day["exit_at"].min()
    assert curve.iloc[-1] == pytest.approx(day["r_multiple"].sum())
