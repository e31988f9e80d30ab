"""Series on a regular time step: gaps stay gaps, and long ranges are gathered into longer bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
HOUR = pd.Timedelta("1h")
Gap = tuple[pd.Timestamp, pd.Timestamp]
_CANDLES = {"open": "first", "high": "max", "low": "min", "close": "last", "volume_usd": "sum"}
# By the values of all steps, where each bar begins, and how many it holds.
_GATHERED: Mapping[str, Callable[[Floats, Ints, Ints], Floats]] = {
    "first": lambda values, first, _: values[first],
    "last": lambda values, first, sizes: values[first + sizes - 1],
    "max": lambda values, first, _: np.maximum.reduceat(values, first),
    "min": lambda values, first, _: np.minimum.reduceat(values, first),
    "sum": lambda values, first, _: np.add.reduceat(values, first),
}
# Longest span that is drawn bar by bar, and the bars that longer spans are gathered into.
_LADDER = ((pd.Timedelta("10D"), HOUR), (pd.Timedelta("45D"), pd.Timedelta("4h")))
_COARSEST = pd.Timedelta("1D")


@dataclass(frozen=True)
class Window:
    """The stretch of time a chart shows; ``bar`` is the length of its candles."""

    start: pd.Timestamp
    end: pd.Timestamp
    bar: pd.Timedelta

    @classmethod
    def of(cls, start: pd.Timestamp, end: pd.Timestamp, step: pd.Timedelta = HOUR) -> Window:
        """The window with candles as long as its span asks for, and never under ``step``.

        >>> start = pd.Timestamp("2025-10-01", tz="UTC")
        >>> [Window.of(start, start + pd.Timedelta(days=d)).bar_name for d in (1, 7, 30, 90)]
        ['1 h', '1 h', '4 h', '1 d']
        """
        span = end - start
        bar = next((bar for longest, bar in _LADDER if span <= longest), _COARSEST)
        return cls(start, end, max(bar, step))

    @classmethod
    def around(
        cls,
        first: pd.Timestamp,
        last: pd.Timestamp,
        span: pd.Timedelta | None,
        opened: pd.Timestamp | None = None,
    ) -> Window:
        """The last ``span`` of what there is, or all of it; a third of it after an open signal.

        >>> day = pd.Timestamp("2025-10-01", tz="UTC")
        >>> days = [day + pd.Timedelta(days=d) for d in range(100)]
        >>> window = Window.around(days[0], days[90], pd.Timedelta(days=9), days[50])
        >>> (window.start - day).days, (window.end - day).days
        (44, 53)
        """
        if span is None:
            return cls.of(first, last)
        end = last if opened is None else min(last, opened + span / 3)
        return cls.of(max(first, end - span), end)

    @property
    def shown_start(self) -> pd.Timestamp:
        """The left edge of the chart, with room for the first candle."""
        return self.start - self.bar / 2

    @property
    def shown_end(self) -> pd.Timestamp:
        """The right edge of the chart, with room for the newest mark and the levels of its plan."""
        return self.end + 0.07 * (self.end - self.start)

    @property
    def bar_name(self) -> str:
        """The bar's length in words."""
        return step_name(self.bar)


def step_name(step: pd.Timedelta) -> str:
    """A step in its one fitting unit.

    >>> step_name(pd.Timedelta("15min")), step_name(pd.Timedelta("4h"))
    ('15 min', '4 h')
    """
    minutes = round(step / pd.Timedelta("1min"))
    if minutes % 1440 == 0:
        return f"{minutes // 1440} d"
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def step_of(times: pd.Index) -> pd.Timedelta:
    """The step that times stand on: the commonest distance between two of them."""
    if len(times) < 2:
        return HOUR
    between = np.diff(pd.DatetimeIndex(times).as_unit("ns").asi8)
    if (between == between[0]).all():
        return pd.Timedelta(int(between[0]), unit="ns")
    distances, counts = np.unique(between, return_counts=True)
    return pd.Timedelta(int(distances[counts.argmax()]), unit="ns")


def regular(frame: pd.DataFrame, window: Window) -> pd.DataFrame:
    """The rows inside the window, one for every step; NaN (or None) where there is none.

    The frame is in the order of its times.
    """
    times = pd.DatetimeIndex(frame.index)
    first, after = times.searchsorted(window.start), times.searchsorted(window.end, side="right")
    inside, times = frame.iloc[first:after], times[first:after]
    if inside.empty:
        return inside
    step = step_of(times)
    if times[-1] - times[0] == (len(times) - 1) * step:
        return inside
    return inside.reindex(pd.date_range(times[0], times[-1], freq=step, name=times.name))


def candles(bars: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Candles of the window's bar length, indexed by their close.

    A candle with a missing step inside is no candle (NaN); only the newest may still be forming,
    which column ``forming`` says. One that begins before the window is left out.
    """
    wanted = [name for name in _CANDLES if name in bars.columns]
    steps = regular(bars[wanted], window)
    if steps.empty or window.bar <= step_of(steps.index):
        return steps.assign(forming=False)
    return _gather(steps, window.bar, {name: _CANDLES[name] for name in wanted})


def totals(bars: pd.DataFrame, names: list[str], window: Window) -> pd.DataFrame:
    """Sums over the window's bars, indexed by their close; NaN as in `candles`."""
    wanted = {name: bars[name] if name in bars.columns else np.nan for name in names}
    steps = regular(pd.DataFrame(wanted, index=bars.index), window)
    if steps.empty or window.bar <= step_of(steps.index):
        return steps.assign(forming=False)
    return _gather(steps, window.bar, dict.fromkeys(names, "sum"))


def gaps(values: pd.Series) -> list[Gap]:
    """Stretches without a value, from the last known time before to the first one after.

    >>> hours = pd.date_range("2025-10-01", periods=5, freq="h")
    >>> [(a.hour, b.hour) for a, b in gaps(pd.Series([1, None, None, 2, None], hours))]
    [(0, 3), (3, 4)]
    """
    missing = values.isna().to_numpy()
    if not missing.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], missing, [False])).astype(np.int8)))
    last = len(values) - 1
    return [
        (values.index[max(first - 1, 0)], values.index[min(after, last)])
        for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


def _gather(steps: pd.DataFrame, bar: pd.Timedelta, how: dict[str, str]) -> pd.DataFrame:
    """Rows of `regular` gathered into bars, by numpy: pandas takes most of a chart's time for it."""
    times = pd.DatetimeIndex(steps.index)
    # Times are closes, so a bar holds the steps after its start up to and including its end.
    ends = times.ceil(bar)
    first = np.flatnonzero(np.diff(ends.asi8, prepend=ends.asi8[0] - 1))
    sizes = np.diff(first, append=len(ends))
    values = {name: steps[name].to_numpy(dtype=np.float64) for name in how}
    known = ~np.logical_or.reduceat(np.isnan(list(values.values())).any(axis=0), first)
    per_bar = bar // step_of(times)
    forming = np.zeros(len(first), dtype=bool)
    forming[-1] = ends[-1] > times[-1] and known[-1]
    whole = forming | (known & (sizes == per_bar))
    gathered = {
        name: np.where(whole, _GATHERED[how[name]](values[name], first, sizes), np.nan)
        for name in how
    }
    frame = pd.DataFrame({**gathered, "forming": forming}, index=ends[first])
    return frame[1:] if sizes[0] < per_bar else frame
