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
