"""The demo: a market that is simulated, looks like one, and favours nobody."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import RecordingError
from core.market.demo import END, LISTED_LATE, OUTAGES, demo_tables, write_demo
from core.market.files import FILES
from core.market.frame import BY_NAME, validate
from core.market.recording import Recording, read
from core.market.simulator import COINS, simulate
from core.signals import load_profile, score
from core.verdicts import judge_by_rules


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("demo") / "recording"
    write_demo(path)
    return read(path)


@pytest.fixture(scope="module")
def judged(demo: Recording) -> pd.DataFrame:
    profile = load_profile()
    return judge_by_rules(score(demo.frame, profile), profile)


def hourly_returns(frame: pd.DataFrame) -> pd.DataFrame:
    return np.log(frame["close"].unstack("symbol")).diff()


def test_the_same_seed_gives_the_same_values() -> None:
    once, again, other = (demo_tables(seed=seed, days=3) for seed in (1, 1, 2))
    for name, table in once.items():
        pd.testing.assert_frame_equal(table, again[name], check_exact=True)
    assert not once["candles_1h"]["close"].equals(other["candles_1h"]["close"])


def test_writing_it_is_quick_and_may_be_repeated(tmp_path: Path) -> None:
    began = time.perf_counter()
    write_demo(tmp_path / "demo")
    assert time.perf_counter() - began < 5
    first = read(tmp_path / "demo").digest
    write_demo(tmp_path / "demo")
    assert read(tmp_path / "demo").digest == first


def test_it_has_twelve_symbols_over_120_days_and_every_column(demo: Recording) -> None:
    frame = demo.frame
    validate(frame)
    assert set(frame.columns) == set(BY_NAME)
    hours = frame.groupby("symbol").size()
    assert len(hours) == len(COINS) == 12
    assert hours.drop(LISTED_LATE).between(2_870, 2_880).all()
    assert frame.index.get_level_values("time").max() == pd.Timestamp(END)


def test_it_ends_when_it_is_told_to() -> None:
    end = datetime(2026, 3, 5, 9, tzinfo=timezone(timedelta(hours=2)))
    candles = demo_tables(end=end, days=2)["candles_1h"]
    assert candles["published_at"].max() == pd.Timestamp(end)
    assert str(candles["published_at"].dt.tz) == "UTC"


@pytest.mark.parametrize(
    "wrong",
    [
        {"end": datetime(2026, 3, 5)},  # noqa: DTZ001
        {"end": datetime(2026, 3, 5, 0, 30, tzinfo=UTC)},
        {"days": 0},
    ],
)
def test_an_end_or_a_length_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordingError, match="give"):
        demo_tables(**wrong)


# What a market looks like


def test_large_moves_are_more_frequent_than_in_a_random_walk(demo: Recording) -> None:
    returns = hourly_returns(demo.frame)
    assert returns.kurt().min() > 5
    assert returns.std().between(0.002, 0.015).all()


def test_volatility_comes_in_clusters_but_direction_does_not_persist(demo: Recording) -> None:
    returns = hourly_returns(demo.frame)
    sizes = returns.abs().clip(upper=returns.abs().quantile(0.999), axis=1)
    for hours, at_least in ((1, 0.12), (6, 0.06), (24, 0.02)):
        assert sizes.apply(lambda size, lag=hours: size.autocorr(lag)).median() > at_least
    assert abs(returns.apply(lambda one: one.autocorr(1)).median()) < 0.06


def test_symbols_move_together(demo: Recording) -> None:
    together = hourly_returns(demo.frame).corr().to_numpy()
    assert 0.55 < together[~np.eye(len(together), dtype=bool)].mean() < 0.85


def test_a_fall_liquidates_longs_and_a_rise_shorts(demo: Recording) -> None:
    frame = demo.frame.xs("BTCUSDT").loc["2025-09-01":]
    every_4h = frame[frame.index.hour % 4 == 0]
    moves = np.log(every_4h["close"]).diff()
    sides = np.log1p(every_4h["long_liquidations_usd"])
    sides -= np.log1p(every_4h["short_liquidations_usd"])
    assert moves.corr(sides) < -0.4
    worst = every_4h.loc[moves.idxmin()]
    usual = every_4h["long_liquidations_usd"].median()
    assert worst["long_liquidations_usd"] > 20 * usual
    assert worst["long_liquidations_usd"] > 5 * worst["short_liquidations_usd"]


def test_a_cascade_flushes_open_interest(demo: Recording) -> None:
    frame = demo.frame.xs("ETHUSDT")
    every_4h = frame[frame.index.hour % 4 == 0]
    change = np.log(every_4h["open_interest"]).diff()
    moves = np.log(every_4h["close"]).diff().abs()
    assert change[moves.idxmax()] < -0.05
    assert moves.corr(change) < 0


def test_open_interest_in_usd_is_its_base_units_at_the_price(demo: Recording) -> None:
    fresh = demo.frame[demo.ages["open_interest"].eq(0) & demo.frame["close"].notna()]
    value = fresh["open_interest"] * fresh["close"]
    np.testing.assert_allclose(fresh["open_interest_usd"], value, rtol=1e-5)


def test_funding_and_the_crowd_react_to_the_trend(demo: Recording) -> None:
    frame = demo.frame.xs("SOLUSDT")
    trend = np.log(frame["close"]).diff(48)
    assert trend.corr(frame["funding_rate_8h"]) > 0.2
    assert trend.corr(frame["long_account_share"]) < -0.2


def test_nothing_in_it_says_where_the_price_goes() -> None:
    open_at = pd.date_range(end=END, periods=60 * 24, freq="h")
    edges = []
    for seed in range(12):
        market = simulate(seed, open_at)
        price = np.log(market.close)
        later = price[24:] - price[:-24]
        hints = np.stack(
            [
                np.log1p(market.long_liquidations_usd) - np.log1p(market.short_liquidations_usd),
                market.funding_8h / 1e-4,
                market.long_account_share - [coin.long_share for coin in COINS],
                market.top_position_long_share - 0.64,
                market.social_score - [coin.social for coin in COINS],
                np.repeat(market.fear_greed[:, None] - 50, len(COINS), axis=1),
            ]
        )[:, :-24]
        edges.append((hints * later).mean(axis=(1, 2)) / (hints.std(axis=(1, 2)) * later.std()))
    mean, error = np.mean(edges, axis=0), np.std(edges, axis=0) / np.sqrt(len(edges) - 1)
    assert (np.abs(mean) < 4 * error).all(), mean / error


# What is missing


def test_one_source_is_dead_for_two_days_within_the_last_month(judged: pd.DataFrame) -> None:
    dead = next(outage for outage in OUTAGES if outage.hours == 48)
    since = pd.Timestamp(END) - pd.Timedelta(days=dead.days_before_end)
    assert FILES[dead.table].name == "long_short"
    assert dead.days_before_end < 30
    during = judged.loc[pd.IndexSlice[:, since + pd.Timedelta(hours=9) : since + timedelta(2)], :]
    assert during[["long_account_share", "top_long_share"]].isna().all(axis=None)
    assert during["close"].notna().mean() > 0.99
    assert during["coverage"].max() <= 0.78 + 1e-9
    after = judged.loc[pd.IndexSlice[:, since + timedelta(3) : since + timedelta(4)], "coverage"]
    assert after.median() == pytest.approx(1)


def test_one_symbol_is_listed_later_and_one_settles_every_4_hours(demo: Recording) -> None:
    first = demo.frame.reset_index("time").groupby("symbol")["time"].min()
    assert (first[LISTED_LATE] - first.drop(LISTED_LATE).max()) > timedelta(days=30)
    intervals = demo_tables(days=2)["funding"].groupby("symbol")["interval_hours"].unique()
    assert sorted(hours.item() for hours in intervals) == [4] + [8] * 11


def test_single_values_are_missing_but_not_in_the_newest_rows(demo: Recording) -> None:
    last = demo.frame.groupby("symbol").tail(24)
    assert last.notna().all(axis=None)
    known = demo.frame.notna().mean()
    assert known.between(0.95, 1, inclusive="left").all()


def test_most_rows_have_all_factors_and_signals_go_both_ways(judged: pd.DataFrame) -> None:
    settled = judged[judged.groupby("symbol").cumcount() > 24 * 11]
    assert (settled["coverage"] > 0.99).mean() > 0.85
    assert settled["direction"].notna().mean() > 0.99
    shares = settled["direction"].value_counts(normalize=True)
    assert shares[1] > 0.03
    assert shares[-1] > 0.03
    found = judged.loc[judged["direction"] != 0].groupby("direction")["verdict"].unique()
    assert {"CONFIRM", "DOWNSIZE", "WAIT"} <= set(found[1]) & set(found[-1])
