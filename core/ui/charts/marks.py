"""Past signals on a price: a circle whose filling is the verdict, a triangle for the direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.ui.charts.steps import Window, step_of
from core.ui.charts.times import TimeAxis
from core.ui.formats import count, number
from core.ui.palette import Palette, direction_sign, verdict_sign

Rows = npt.NDArray[np.int64]
_SIZE = 10
# Longest span in which every single bar with a signal has its own mark.
EVERY_BAR = pd.Timedelta("36h")


def signal_runs(history: pd.DataFrame, window: Window, *, every: bool = True) -> pd.DataFrame:
    """The signals to mark in a window; index time.

    Columns direction, verdict, score and ``steps``. In a window of up to a day and a half every
    row with a direction is one, if ``every``; in a longer one only the first of each run of equal direction and
    verdict, ``steps`` being how long the run lasts; and where candles hold several steps, only the
    run with the score farthest from 50 per candle and direction.
    """
    inside = (history.index >= window.start) & (history.index <= window.end)
    directions = history["direction"].to_numpy(dtype=np.float64)
    rows = np.flatnonzero(inside & (np.abs(directions) == 1))
    if not len(rows) or (every and window.end - window.start <= EVERY_BAR):
        return _rows_of(history, rows, np.ones(len(rows), dtype=np.int64))
    step = step_of(history.index)
    times = pd.DatetimeIndex(history.index).as_unit("ns").asi8[rows]
    verdicts = history["verdict"].to_numpy(dtype=object)[rows]
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = (
        (np.diff(times) != step.as_unit("ns").value)
        | (np.diff(directions[rows]) != 0)
        | (verdicts[1:] != verdicts[:-1])
    )
    first = np.flatnonzero(begins)
    runs = _rows_of(history, rows[first], np.diff(first, append=len(rows)))
    return runs if window.bar <= step else _strongest(runs, window.bar)


def _rows_of(history: pd.DataFrame, rows: Rows, steps: Rows) -> pd.DataFrame:
    # Put together at once: to choose rows, then columns, then to add one takes three times as long.
    columns = {name: history[name].array[rows] for name in ("direction", "verdict", "score")}
    return pd.DataFrame({**columns, "steps": steps}, index=history.index[rows])


def _strongest(runs: pd.DataFrame, bar: pd.Timedelta) -> pd.DataFrame:
    candle = pd.DatetimeIndex(runs.index).ceil(bar)
    far = (runs["score"] - 50).abs().to_numpy()
    ranked = pd.DataFrame({"candle": candle, "side": runs["direction"].to_numpy(), "far": far})
    kept = ranked.sort_values("far").drop_duplicates(["candle", "side"], keep="last").index
    return runs.iloc[kept.sort_values()]


def mark_places(marks: pd.DataFrame, bars: pd.DataFrame, offset: float) -> pd.Series:
    """Where each mark stands: ``offset`` under the low of its candle for LONG, above its high else.

    A mark in a gap stands by the candle before it.
    """
    at = np.minimum(bars.index.searchsorted(marks.index), max(len(bars) - 1, 0))
    low, high = (_filled(bars[name]).to_numpy()[at] for name in ("low", "high"))
    places = np.where(marks["direction"] > 0, low - offset, high + offset)
    return pd.Series(places, marks.index)


def _filled(values: pd.Series) -> pd.Series:
    return values.ffill().bfill() if values.hasnans else values


def mark_traces(
    marks: pd.DataFrame, places: pd.Series, times: TimeAxis, colours: Palette, towards: float
) -> list[dict[str, Any]]:
    """Circles by verdict, which can be clicked and carry their time, and triangles beside them.

    ``towards`` is how far the triangles stand from the circles, in units of the price.
    """
    if marks.empty:
        return []
    at, directions = times.of(marks.index), marks["direction"].to_numpy(dtype=np.float64)
    verdicts = marks["verdict"].to_numpy(dtype=object)
    circles = [
        _circles(verdict, marks[verdicts == verdict], at[verdicts == verdict], places, colours)
        for verdict in sorted(set(verdicts))
    ]
    triangles = {
        "type": "scatter",
        "mode": "markers",
        "x": at,
        "y": places.to_numpy() + towards * directions,
        "name": "direction",
        "marker": {
            "symbol": [direction_sign(direction).symbol for direction in directions],
            "size": 7,
            "color": [colours.of(direction) for direction in directions],
        },
        "unselected": {"marker": {"opacity": 1}},
        "hoverinfo": "skip",
    }
    return [*circles, triangles]


def half_discs(
    marks: pd.DataFrame, places: pd.Series, times: TimeAxis, colours: Palette
) -> list[dict[str, Any]]:
    """The filled halves of the DOWNSIZE circles, for which Plotly has no symbol."""
    halved = marks[marks["verdict"].astype(object) == "DOWNSIZE"]
    return [
        {
            "type": "path",
            "path": _half_disc(_SIZE / 2),
            "xsizemode": "pixel",
            "ysizemode": "pixel",
            "xanchor": time,
            "yanchor": place,
            "fillcolor": colours.of(direction),
            "line": {"width": 0},
        }
        for time, place, direction in zip(
            times.of(halved.index).tolist(),
            places[halved.index].tolist(),
            halved["direction"],
            strict=True,
        )
    ]


def _circles(
    verdict: str,
    part: pd.DataFrame,
    at: npt.NDArray[np.float64],
    places: pd.Series,
    colours: Palette,
) -> dict[str, Any]:
    fill = [colours.of(direction) for direction in part["direction"].tolist()]
    symbol = "circle-open" if verdict == "DOWNSIZE" else verdict_sign(verdict).symbol
    return {
        "type": "scatter",
        "mode": "markers",
        "x": at,
        "y": places[part.index].to_numpy(),
        "name": verdict,
        "marker": {
            "symbol": symbol,
            "size": _SIZE,
            "color": fill,
            "line": {"width": 1.6, "color": fill},
        },
        "unselected": {"marker": {"opacity": 1}},
        "customdata": [[time.isoformat()] for time in part.index],
        "hovertext": [_words(row) for row in part.itertuples()],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _words(row: Any) -> str:
    lasted = f", {count(row.steps, 'bar')} in a row" if row.steps > 1 else ""
    word = direction_sign(row.direction).word
    return f"{word} {row.verdict}, score {number(row.score, 1)}{lasted}"


def _half_disc(radius: float) -> str:
    # Paths of Plotly know no arcs; this is how far a cubic curve's handles reach for a quarter.
    reach = 0.5523 * radius
    return (
        f"M0,{-radius} C{-reach},{-radius} {-radius},{-reach} {-radius},0 "
        f"C{-radius},{reach} {-reach},{radius} 0,{radius} Z"
    )
