"""What a factor knew of the return after it: sums per day, and no edge made out of a random walk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit
from scipy.stats import rankdata

from core.accuracy import correlations, factor_sums, information
from core.market.grid import window_moments
from core.signals import load_profile, score
from core.signals.profile import FACTORS
from tests.builders import START, make_frame

PROFILE = load_profile()
WINDOWS = PROFILE.windows
HORIZONS = ("1h", "4h", "24h")


@pytest.fixture(scope="module")
def scored() -> pd.DataFrame:
    return score(make_frame(3, 24 * 45), PROFILE)


@pytest.fixture(scope="module")
def sums(scored: pd.DataFrame) -> pd.DataFrame:
    return factor_sums(scored, WINDOWS)


def test_the_sums_are_what_a_plain_loop_gives(scored: pd.DataFrame, sums: pd.DataFrame) -> None:
    day = START.floor("D") + pd.Timedelta("30D")
    n = product = squared = other = 0.0
    for _, market in scored.groupby(level="symbol"):
        market = market.droplevel("symbol")
        hourly = np.log(market["close"]).diff()
        usual = hourly.rolling(24 * 30, min_periods=24 * 7).std()
        for time, row in market.iterrows():
            end = time + pd.Timedelta("4h")
            if end.floor("D") != day:
                continue
            entry = market["open"][time + pd.Timedelta("1h")]
            moved = np.log(market["close"][end] / entry) / (usual[time] * 2)
            z = np.clip(row["z_liquidations"], -3, 3)
            n, product = n + 1, product + z * moved
            squared, other = squared + z**2, other + moved**2
    expected = [n, product, squared, other]
    assert n == 72
    assert sums.loc[(day, "liquidations", "4h")].tolist() == pytest.approx(expected)


def test_a_contrarian_factor_counts_the_way_the_score_takes_it(
    scored: pd.DataFrame, sums: pd.DataFrame
) -> None:
    day = START.floor("D") + pd.Timedelta("30D")
    of_day = scored[scored.index.get_level_values("time").floor("D") == day]
    z = [np.clip(of_day[f"z_{name}"], -3, 3) for name in ("funding_rate", "long_short_ratio")]
    row = sums.loc[(day, "funding_rate", "long_short_ratio")]
    assert row["sum_product"] == pytest.approx((z[0] * z[1]).sum())
    momentum = np.clip(of_day["z_price_momentum"], -3, 3)
    row = sums.loc[(day, "price_momentum", "funding_rate")]
    assert row["sum_product"] == pytest.approx(-(momentum * z[0]).sum())


def test_days_added_up_are_the_whole(scored: pd.DataFrame, sums: pd.DataFrame) -> None:
    symbols = scored.index.get_level_values("symbol")
    parts = [factor_sums(scored[symbols == name], WINDOWS) for name in symbols.unique()]
    together = pd.concat(parts).groupby(level=["day", "factor", "other"]).sum()
    pd.testing.assert_frame_equal(together, sums, check_index_type=False)


def test_later_bars_change_no_day_that_had_ended(scored: pd.DataFrame, sums: pd.DataFrame) -> None:
    end = START.floor("D") + pd.Timedelta("40D")
    early = factor_sums(scored[scored.index.get_level_values("time") < end], WINDOWS)
    whole = early.index[early.index.get_level_values("day") < end]
    pd.testing.assert_frame_equal(early.loc[whole], sums.loc[whole], check_exact=False)


def test_every_factor_has_its_information_by_horizon(sums: pd.DataFrame) -> None:
    table = information(sums)
    assert table["factor"].unique().tolist() == list(FACTORS)
    assert table["horizon"].tolist() == list(HORIZONS) * len(FACTORS)
    assert ((table["low"] <= table["ic"]) & (table["ic"] <= table["high"])).all()
    pd.testing.assert_frame_equal(information(sums.reset_index()), table)


def test_a_factor_that_knows_the_future_is_found() -> None:
    frame = make_frame(2, 24 * 60)
    ahead = np.log(frame["close"]).groupby(level="symbol").diff(4).groupby(level="symbol").shift(-5)
    knowing = frame.assign(factor_price_momentum=50 + 50 * np.tanh(ahead / 0.01))
    row = information(factor_sums(knowing, WINDOWS)).set_index("horizon").loc["4h"]
    assert row["low"] > 0.5


def test_the_matrix_is_symmetric_and_says_how_many_bars_it_rests_on(sums: pd.DataFrame) -> None:
    matrix = correlations(sums)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert (np.diag(matrix) == 1).all()
    assert matrix.abs().max(axis=None) <= 1
    assert matrix.attrs["n"]["liquidations"]["fear_greed"] > 1000


def test_a_factor_that_repeats_another_is_seen() -> None:
    frame = make_frame(2, 24 * 30)
    scored = score(frame.assign(top_long_share=1 - frame["long_account_share"]), PROFILE)
    matrix = correlations(factor_sums(scored, WINDOWS))
    assert matrix.loc["long_short_ratio", "smart_money"] == pytest.approx(1)


def test_what_was_never_known_has_no_correlation(scored: pd.DataFrame) -> None:
    without = scored.assign(factor_social_sentiment=np.nan)
    matrix = correlations(factor_sums(without, WINDOWS))
    assert matrix["social_sentiment"].isna().all()


def test_without_anything_there_is_nothing(sums: pd.DataFrame) -> None:
    assert information(sums.iloc[:0]).empty
    assert correlations(sums.iloc[:0]).isna().all(axis=None)


# A random walk, and the z-score of its own level


def found_in_random_walks(days: int, runs: int, horizon: str = "24h") -> dict[str, float]:
    """Share of runs in which the level's z-score is significant: our way, and by ranks in eras."""
    chance = np.random.default_rng(days)
    ours = ranked = 0
    for _ in range(runs):
        path = np.cumsum(0.006 * chance.standard_t(4, (1, days * 24)), axis=1)
        mean, deviation = window_moments(path[:, :-1], 24 * 30, 24 * 7)
        z = np.full(path.shape, np.nan)
        z[:, 1:] = (path[:, 1:] - mean) / deviation
        close = np.exp(path[0])
        times = pd.date_range(START, periods=len(close), freq="h")
        index = pd.MultiIndex.from_product([["A"], times], names=["symbol", "time"])
        factor = 50 + 50 * np.clip(z[0], -3, 3) / 3
        opened = np.concatenate((close[:1], close[:-1]))
        columns = {"open": opened, "close": close, "factor_price_momentum": factor}
        row = information(factor_sums(pd.DataFrame(columns, index), WINDOWS, [horizon])).iloc[0]
        ours += row["low"] > 0 or row["high"] < 0
        ranked += _significant_by_rank(z[0], path[0], int(horizon.removesuffix("h")))
    return {"uncentred": ours / runs, "ranked within eras": ranked / runs}


def _significant_by_rank(z: np.ndarray, path: np.ndarray, ahead: int) -> bool:
    moved = path[ahead:] - path[:-ahead]
    known = np.flatnonzero(~np.isnan(z[:-ahead]))
    eras = [
        np.corrcoef(rankdata(z[part]), rankdata(moved[part]))[0, 1]
        for part in np.array_split(known, 10)
    ]
    error = np.std(eras, ddof=1) / np.sqrt(10)
    return bool(abs(np.mean(eras)) > stdtrit(9, 0.975) * error)


def test_the_level_of_a_random_walk_is_not_found_to_know_its_future() -> None:
    runs = 80
    found = found_in_random_walks(75, runs)
    # 0.08, and three deviations of a share of so many runs.
    assert found["uncentred"] <= 0.08 + 3 * np.sqrt(0.08 * 0.92 / runs)
    assert found["ranked within eras"] > 0.6


@pytest.mark.long
def test_the_level_of_a_thousand_random_walks_is_found_significant_in_at_most_8_percent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = pd.DataFrame(
        {
            (days, horizon): found_in_random_walks(days, 1000, horizon)
            for days in (75, 180)
            for horizon in HORIZONS
        }
    ).T
    with capsys.disabled():
        print(f"\n{table.to_string()}")  # noqa: T201
    assert (table["uncentred"] <= 0.08).all()
