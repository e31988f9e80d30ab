from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import FrameError
from core.market.grid import Grid, window_mean, window_moments, window_sum
from tests.builders import make_frame

sizes = st.tuples(st.integers(1, 90), st.integers(1, 40), st.integers(0, 2**32 - 1))


def noise(times: int, seed: int, missing: float = 0.2) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.normal(size=(3, times))
    values[random.random(values.shape) < missing] = np.nan
    return values


@given(sizes)
@settings(deadline=None)
def test_windows_agree_with_pandas(size: tuple[int, int, int]) -> None:
    times, bars, seed = size
    values = noise(times, seed)
    rolling = pd.DataFrame(values.T).rolling(bars, min_periods=min(2, bars))
    mean, deviation = window_moments(values, bars, 2)
    enough = rolling.count().to_numpy().T >= 2
    expected = np.where(enough, rolling.mean().to_numpy().T, np.nan)
    np.testing.assert_allclose(mean, expected, atol=1e-12)
    np.testing.assert_allclose(deviation, rolling.std().to_numpy().T, atol=1e-10)


@given(sizes, st.floats(0, 1))
@settings(deadline=None)
def test_a_window_does_not_depend_on_what_follows_or_how_much_is_asked(
    size: tuple[int, int, int], part: float
) -> None:
    times, bars, seed = size
    values = noise(times, seed, missing=0)
    cut = int(part * times)
    whole = window_sum(values, bars)
    assert (window_sum(values[:, :cut], bars) == whole[:, :cut]).all()
    assert (window_sum(values, bars, first=cut) == whole[:, cut:]).all()


def test_a_crash_leaves_no_trace_after_its_window() -> None:
    calm = np.random.default_rng(0).normal(size=(1, 200))
    crashed = calm.copy()
    crashed[0, 50] = 1e12
    after = slice(50 + 24, None)
    for moment in (0, 1):
        assert (
            window_moments(calm, 24, 2)[moment][:, after]
            == window_moments(crashed, 24, 2)[moment][:, after]
        ).all()


def test_a_constant_has_no_deviation_and_too_few_have_no_mean() -> None:
    values = np.array([[2.0, 2.0, 2.0, np.nan, np.nan]])
    assert np.isnan(window_moments(values, 3, 2)[1]).all()
    assert np.isnan(window_mean(values, 3, 3)[0, 3])


def test_a_gap_is_unknown_in_the_dense_view_and_rows_come_back() -> None:
    frame = make_frame(2, 6).drop(index=[("S0USDT", pd.Timestamp("2025-09-01T03:00Z"))])
    grid = Grid.of(frame.index)
    dense = grid.spread(frame["close"])
    assert np.isnan(dense[0, 2])
    assert np.isnan(dense).sum() == 1
    assert (grid.collect(dense) == frame["close"].to_numpy()).all()


def test_bars_count_in_the_step_of_the_frame() -> None:
    assert Grid.of(make_frame(1, 8, step="15min").index).bars(4) == 16


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 2, 1, 3]])
def test_unsorted_rows_are_refused(order: list[int]) -> None:
    index = make_frame(2, 2).index[order]
    with pytest.raises(FrameError, match=r"sorted|rise"):
        Grid.of(index)


def test_an_empty_frame_has_an_empty_grid() -> None:
    assert Grid.of(make_frame(1, 2).index[:0]).shape == (0, 0)


def test_coarser_bars_than_an_hour_are_hours_with_gaps() -> None:
    frame = make_frame(1, 10, step="4h")
    grid = Grid.of(frame.index)
    assert grid.bars(4) == 4
    assert np.isnan(grid.spread(frame["close"])).sum() == 27


@pytest.mark.parametrize("late", ["15min", "30min"])
def test_one_bar_off_the_hour_is_refused_by_name(late: str) -> None:
    frame = make_frame(2, 48)
    symbol, time = frame.index[-1]
    off = frame.iloc[[-1]].set_axis(
        pd.MultiIndex.from_tuples([(symbol, time + pd.Timedelta(late))], names=frame.index.names)
    )
    with pytest.raises(FrameError, match="S0USDT are further apart"):
        Grid.of(pd.concat([frame, off]).index)


def test_bars_of_two_steps_are_refused_and_fine_bars_may_have_gaps() -> None:
    fine, coarse = make_frame(["A"], 96, step="15min"), make_frame(["B"], 24)
    with pytest.raises(FrameError, match="B are further apart than the 15 min"):
        Grid.of(pd.concat([fine, coarse]).index)
    assert Grid.of(fine.drop(index=fine.index[10:40]).index).bars(1) == 4


@pytest.mark.parametrize("bars", [1, 2, 30])
def test_a_window_from_beyond_the_end_is_empty(bars: int) -> None:
    for values in (noise(12, 1), noise(12, 1, missing=0)):
        assert window_mean(values, bars, 1, first=12).shape == (3, 0)
        assert window_moments(values, bars, 2, first=12)[1].shape == (3, 0)
