from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.backtest import decide
from core.signals import FACTORS, PROFILE_NAMES, load_profile, parse_profile, score
from core.verdicts import judge_by_rules
from tests.builders import make_frame, mirror

PROFILE = load_profile()
HOURS = 24 * 24


@pytest.fixture(scope="module")
def gapped() -> pd.DataFrame:
    """Three markets, one listed late, with missing rows and a source that dies for two days."""
    frame = make_frame(3, HOURS, seed=3)
    times = frame.index.get_level_values("time")
    dead = (times > times[300]) & (times < times[348])
    frame.loc[dead, ["funding_rate_8h"]] = np.nan
    late = (frame.index.get_level_values("symbol") == "S2USDT") & (times < times[100])
    holes = np.random.default_rng(1).random(len(frame)) < 0.01
    return frame[~(late | holes)]


def until(frame: pd.DataFrame, time: pd.Timestamp) -> pd.DataFrame:
    return frame[frame.index.get_level_values("time") <= time]


def test_no_number_knows_what_comes_later(gapped: pd.DataFrame) -> None:
    whole = decide(gapped, PROFILE)
    times = np.unique(gapped.index.get_level_values("time"))
    for cut in np.random.default_rng(2).choice(times[10:], 20, replace=False):
        time = pd.Timestamp(cut).tz_localize("UTC") if pd.Timestamp(cut).tz is None else cut
        pd.testing.assert_frame_equal(
            decide(until(gapped, time), PROFILE), until(whole, time), check_exact=True
        )


def test_the_newest_rows_alone_have_the_numbers_of_the_whole(gapped: pd.DataFrame) -> None:
    whole = decide(gapped, PROFILE)
    for back in (1, 30, 400):
        since = gapped.index.get_level_values("time").max() - pd.Timedelta(hours=back)
        newest = whole[whole.index.get_level_values("time") >= since]
        pd.testing.assert_frame_equal(
            decide(gapped, PROFILE, since=since), newest, check_exact=True
        )


def test_before_the_next_bar_there_is_no_newest_row(gapped: pd.DataFrame) -> None:
    later = gapped.index.get_level_values("time").max() + pd.Timedelta("1h")
    none = decide(gapped, PROFILE, since=later)
    assert none.empty
    assert list(none.columns) == list(decide(gapped, PROFILE).columns)


def test_coarse_bars_are_scored_alike_before_and_after_finer_ones_come(
    gapped: pd.DataFrame,
) -> None:
    hours = gapped.loc[["S0USDT"]]
    times = hours.index.get_level_values("time")
    mixed = hours[(times >= times[300]) | (times.hour % 2 == 0)]
    cut = times[299]
    pd.testing.assert_frame_equal(
        decide(until(mixed, cut), PROFILE), until(decide(mixed, PROFILE), cut), check_exact=True
    )


@given(st.integers(0, 10_000), st.sampled_from(PROFILE_NAMES))
@settings(max_examples=15, deadline=None)
def test_the_mirrored_market_gets_the_mirrored_signals(seed: int, name: str) -> None:
    profile = load_profile(name)
    frame = make_frame(2, HOURS, seed=seed)
    seen = judge_by_rules(score(frame, profile), profile)
    other = judge_by_rules(score(mirror(frame), profile), profile)
    for factor in FACTORS:
        np.testing.assert_allclose(
            other[f"factor_{factor}"], 100 - seen[f"factor_{factor}"], atol=1e-9
        )
    np.testing.assert_allclose(other["score"], 100 - seen["score"], atol=1e-9)
    np.testing.assert_array_equal(other["direction"], -seen["direction"])
    for column in ("verdict", "risk_mode", "multiplier", "no_signal"):
        pd.testing.assert_series_equal(other[column], seen[column])


def test_scaling_all_weights_changes_nothing() -> None:
    frame = make_frame(2, HOURS)
    body = PROFILE.model_dump(mode="json")
    scaled = {name: 3.7 * weight for name, weight in body["weights"].items()}
    other = score(frame, parse_profile({**body, "weights": scaled}))
    pd.testing.assert_frame_equal(other, score(frame, PROFILE), rtol=1e-12)


def test_factors_that_all_say_the_same_agree_fully() -> None:
    only = {**dict.fromkeys(FACTORS, 0), "fear_greed": 1}
    profile = parse_profile({**PROFILE.model_dump(mode="json"), "weights": only})
    scored = score(make_frame(1, 30), profile)
    assert (scored["agreement"] == 1).all()
    scored = score(make_frame(1, HOURS), PROFILE).dropna(subset="score")
    factors = scored[[f"factor_{name}" for name in FACTORS]]
    same_side = (factors > 50).all(axis=1) | (factors < 50).all(axis=1)
    assert (scored.loc[same_side, "agreement"] > 1 - 1e-12).all()
    assert (scored["agreement"] <= 1).all()


@pytest.mark.parametrize(
    ("columns", "factors", "weight"),
    [
        (["long_account_share"], ["long_short_ratio"], 0.11),
        (["social_score"], ["social_sentiment"], 0.06),
        (["long_liquidations_usd"], ["liquidations"], 0.24),
        (["open_interest", "open_interest_usd"], ["oi_trend"], 0.06),
    ],
)
def test_removing_a_source_only_takes_its_factor_away(
    columns: list[str], factors: list[str], weight: float
) -> None:
    frame = make_frame(2, HOURS)
    full, less = score(frame, PROFILE), score(frame.drop(columns=columns), PROFILE)
    rows = full["score"].notna() & (full["coverage"] == 1) & less["score"].notna()
    assert rows.sum() > 50
    np.testing.assert_allclose(less["coverage"][rows], 1 - weight)
    others = [name for name in FACTORS if name not in factors]
    for name in others:
        pd.testing.assert_series_equal(less[f"factor_{name}"], full[f"factor_{name}"])
    weights = PROFILE.weights.shares()
    lean = sum(weights[name] * (full[f"factor_{name}"] - 50) for name in others)
    np.testing.assert_allclose(less["score"][rows], 50 + (lean / (1 - weight))[rows])


def test_missing_is_never_neutral() -> None:
    frame = make_frame(1, HOURS)[["close"]]
    scored = score(frame, PROFILE)
    assert scored["score"].isna().all()
    assert scored["direction"].isna().all()
    assert scored["no_signal"].str.startswith("coverage 0.20 is under 0.50").sum() > 200
    assert "funding rate" in scored["no_signal"].iloc[-1]


def test_without_a_price_there_is_no_signal_and_it_says_so() -> None:
    frame = make_frame(1, HOURS)
    frame.iloc[-1, frame.columns.get_loc("close")] = np.nan
    last = score(frame, PROFILE).iloc[-1]
    assert last["no_signal"] == "no price for this bar"
    assert np.isnan(last["score"])


def test_a_factor_needs_a_week_of_its_own_past() -> None:
    scored = score(make_frame(1, 24 * 9), PROFILE)
    known = scored["factor_long_short_ratio"].notna().to_numpy()
    assert not known[:168].any()
    assert known[168:].all()


def test_a_constant_source_is_missing_not_calm() -> None:
    scored = score(make_frame(1, HOURS, long_account_share=0.6), PROFILE)
    assert scored["factor_long_short_ratio"].isna().all()


def test_the_bar_itself_is_not_part_of_its_normal() -> None:
    frame = make_frame(1, HOURS)
    shocked = frame.copy()
    shocked.iloc[-1, shocked.columns.get_loc("top_long_share")] = 0.99
    before, after = score(frame, PROFILE).iloc[-1], score(shocked, PROFILE).iloc[-1]
    assert after["normal_smart_money"] == before["normal_smart_money"]
    assert after["z_smart_money"] > 3
    assert after["factor_smart_money"] == 100


def test_rising_prices_are_bullish_and_long_crowds_are_not() -> None:
    frame = make_frame(1, HOURS)
    close = frame["close"].to_numpy().copy()
    close[-24:] *= np.linspace(1.01, 1.25, 24)
    risen = frame.assign(close=close, high=np.maximum(frame["high"], close))
    assert score(risen, PROFILE)["factor_price_momentum"].iloc[-1] > 60
    crowded = frame.copy()
    crowded.iloc[-1, crowded.columns.get_loc("long_account_share")] = 0.95
    assert score(crowded, PROFILE)["factor_long_short_ratio"].iloc[-1] < 10
    fearful = score(frame.assign(fear_greed=12.0), PROFILE)
    assert (fearful["factor_fear_greed"] == 88).all()


def test_open_interest_in_usd_is_read_in_base_units() -> None:
    frame = make_frame(1, HOURS)
    scored = score(frame, PROFILE)["factor_oi_trend"]
    in_usd = score(frame.drop(columns="open_interest"), PROFILE)["factor_oi_trend"]
    np.testing.assert_allclose(in_usd, scored, atol=1e-9)


def test_cautious_modes_speak_less() -> None:
    frame = make_frame(4, 24 * 40)
    spoken = [
        (score(frame, load_profile(name))["direction"].abs() == 1).sum() for name in PROFILE_NAMES
    ]
    assert spoken == sorted(spoken)
    assert spoken[0] < spoken[1] < spoken[2]


def test_a_frame_of_one_row_or_none_is_scored() -> None:
    assert score(make_frame(1, 1), PROFILE)["score"].isna().all()
    assert score(make_frame(1, 1).iloc[:0], PROFILE).empty
