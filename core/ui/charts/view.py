"""What a symbol's chart is drawn from, and the strokes that its panes share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.ui.charts.stack import Pane
from core.ui.charts.steps import Window, regular
from core.ui.charts.times import TimeAxis
from core.ui.palette import Palette


@dataclass(frozen=True)
class Levels:
    """The prices of a plan, or of what would have been one, drawn from ``start`` to ``end``."""

    entry: float
    stop: float
    target: float
    start: pd.Timestamp
    end: pd.Timestamp


def bar_of(row: pd.Series) -> tuple[str, pd.Timestamp]:
    """Symbol and time of a stored row, which are its name."""
    symbol, time = cast("tuple[str, pd.Timestamp]", row.name)
    return symbol, time


def levels_of(row: pd.Series, hours: float = 24) -> Levels | None:
    """The levels of a planned row, named (symbol, time), or what they would have been."""
    for prefix in ("", "counterfactual_"):
        prices = [float(row[f"{prefix}{name}_price"]) for name in ("entry", "stop", "target")]
        if all(map(math.isfinite, prices)):
            _, time = bar_of(row)
            entry, stop, target = prices
            return Levels(entry, stop, target, time, time + pd.Timedelta(hours=hours))
    return None


@dataclass(frozen=True)
class View:
    """A stretch of a symbol's market and of its signals.

    ``bars`` are market columns and ``history`` score, direction and verdict, both with an index of
    times; ``opened`` is the time of the signal that is open beside the chart, if not the newest.
    ``thresholds`` are the scores from which each bar was LONG, where they are not all
    ``long_threshold``.
    """

    symbol: str
    bars: pd.DataFrame
    history: pd.DataFrame
    window: Window
    times: TimeAxis
    colours: Palette
    long_threshold: float
    short_threshold: float
    levels: Levels | None = None
    opened: pd.Timestamp | None = None
    thresholds: pd.Series | None = None

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The bars of the window, one for every step; see `regular`."""
        return regular(self.bars, self.window)

    def column(self, name: str) -> pd.Series:
        """One column of the steps, NaN throughout where the market has none of it."""
        steps = self.steps
        return steps[name] if name in steps.columns else pd.Series(np.nan, steps.index, name=name)

    def across(self, times: pd.Index) -> npt.NDArray[np.float64]:
        """Every time of an index as the axis has it; that of all steps is worked out once."""
        return self._steps_across if self.steps.index.is_(times) else self.times.of(times)

    @cached_property
    def _steps_across(self) -> npt.NDArray[np.float64]:
        return self.times.of(self.steps.index)


def line(
    values: pd.Series,
    view: View,
    said: str | list[str] | None,
    colour: str,
    *,
    name: str,
    width: float = 1.5,
    dash: str = "solid",
    shape: str = "linear",
) -> dict[str, Any]:
    """A line that breaks where values are missing.

    ``said`` on hover is a template over ``%{y}``, or one text per value, or nothing.
    """
    return {
        "type": "scatter",
        "mode": "lines",
        "x": view.across(values.index),
        "y": values.to_numpy(dtype=np.float64),
        "line": {"color": colour, "width": width, "dash": dash, "shape": shape},
        "connectgaps": False,
        "name": name,
        **hover(said),
    }


def columns(
    values: pd.Series, view: View, said: list[str], colour: str, *, name: str
) -> dict[str, Any]:
    """Bars from zero."""
    return {
        "type": "bar",
        "x": view.across(values.index),
        "y": values.to_numpy(dtype=np.float64),
        "marker": {"color": colour, "line": {"width": 0}},
        "name": name,
        "unselected": {"marker": {"opacity": 1}},
        **hover(said),
    }


def hover(said: str | list[str] | None) -> dict[str, Any]:
    """What a trace says under the crosshair."""
    if said is None:
        return {"hoverinfo": "skip"}
    if isinstance(said, str):
        return {"hovertemplate": f"{said}<extra></extra>"}
    return {"hovertext": said, "hovertemplate": "%{hovertext}<extra></extra>"}


def level(value: float, colour: str, *, dash: str = "solid") -> dict[str, Any]:
    """A line across the pane at ``value``."""
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": value,
        "y1": value,
        "layer": "below",
        "line": {"color": colour, "width": 1, "dash": dash},
    }


def room(values: Iterable[float], around: float | None = None) -> tuple[float, float]:
    """The range of the known values with some air; with ``around``, one that holds it too."""
    array = np.asarray(list(values), dtype=np.float64)
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    if around is not None:
        low, high = min(low, around), max(high, around)
    air = 0.12 * (high - low) or 0.05 * abs(high) or 1e-4
    return low - air, high + air


def last(values: pd.Series) -> float:
    """The last known value, NaN where there is none."""
    found = values.to_numpy(dtype=np.float64)
    known = found[~np.isnan(found)]
    return float(known[-1]) if len(known) else float("nan")


def nothing(title: str, why: str) -> Pane:
    """The pane of a source that is missing throughout."""
    return Pane(title=title, look="", height=0, says=f"{title}: {why}.", missing=why)
