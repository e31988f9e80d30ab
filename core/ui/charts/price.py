"""The price pane: candles, the signals of the past on them, and the levels of the open plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.ui.charts.marks import EVERY_BAR, half_discs, mark_places, mark_traces, signal_runs
from core.ui.charts.stack import Label, Pane, axis_ticks
from core.ui.charts.steps import HOUR, Window, candles, gaps
from core.ui.charts.view import Levels, View, hover, last, nothing
from core.ui.formats import number, price, price_decimals

_PRICES = ("open", "high", "low", "close")
_LOOK = "Did the price follow the marks?  ● confirm  ◐ downsize  ○ wait  ⊗ skip"


def draw_price(view: View) -> Pane:
    """Candles with marks of past signals, LONG under them and SHORT above."""
    bars = candles(view.steps, view.window)
    if bars.empty or bars["close"].isna().all():
        return nothing("Price", "no prices in this window")
    low, high = _range(bars, view.levels)
    tall = high - low
    marks = signal_runs(view.history, view.window)
    places = mark_places(marks, bars, 0.055 * tall)
    now = last(bars["close"])
    shapes = half_discs(marks, places, view.times, view.colours)
    labels = [Label(now, price(now), view.colours.ink)]
    if view.levels:
        shapes += _level_lines(view.levels, view)
        labels += _level_labels(view.levels, view)
    return Pane(
        title=f"Price, {view.window.bar_name} candles, {_which(view.window)}",
        look=_LOOK,
        height=300,
        says=f"Price last {price(now)}, between {price(bars['low'].min())} and "
        f"{price(bars['high'].max())}, with {len(marks)} marked signals.",
        unit="quote currency",
        low=low,
        high=high,
        ticks=price_ticks(low, high),
        traces=[
            _candlesticks(bars, view),
            *mark_traces(marks, places, view.times, view.colours, towards=0.028 * tall),
        ],
        shapes=shapes,
        labels=labels,
        gaps=gaps(bars["close"]),
    )


def _which(window: Window) -> str:
    if window.end - window.start <= EVERY_BAR:
        return "every signal"
    return "first signal of each run" if window.bar <= HOUR else "strongest signal of each candle"


def _range(bars: pd.DataFrame, levels: Levels | None) -> tuple[float, float]:
    """Room for candles and marks, and for the plan unless that would squash the candles."""
    low, high = float(bars["low"].min()), float(bars["high"].max())
    if levels:
        prices = levels.stop, levels.target
        reached = min(low, *prices), max(high, *prices)
        if reached[1] - reached[0] <= 3 * (high - low):
            low, high = reached
    air = 0.11 * (high - low or 0.01 * high)
    return low - air, high + air


def price_ticks(low: float, high: float) -> dict[float, str]:
    """Ticks with no more decimals than tell them apart."""
    ticks = axis_ticks(low, high, 5)
    most = price_decimals(high)
    digits = next(
        (d for d in range(most) if all(abs(round(t, d) - t) < 1e-9 * high for t in ticks)), most
    )
    return {tick: number(tick, digits) for tick in ticks}


def _candlesticks(bars: pd.DataFrame, view: View) -> dict[str, Any]:
    """Hollow where the price rose and filled where it fell: colour is left to the signals."""
    colours = view.colours
    prices = np.column_stack([bars[name].to_numpy(dtype=np.float64) for name in _PRICES])
    known = ~np.isnan(prices).any(axis=1)
    if not known.all():
        bars, prices = bars[known], prices[known]
    edge = {"color": colours.muted, "width": 1}
    said = [
        f"O {price(o)}  H {price(h)}  L {price(lo)}  C {price(c)}"
        f"{'  (still forming)' if forming else ''}"
        for (o, h, lo, c), forming in zip(prices.tolist(), bars["forming"].tolist(), strict=True)
    ]
    return {
        "type": "candlestick",
        "x": view.across(bars.index),
        **{name: prices[:, at].copy() for at, name in enumerate(_PRICES)},
        "increasing": {"line": edge, "fillcolor": colours.ground},
        "decreasing": {"line": edge, "fillcolor": colours.muted},
        "name": "price",
        **hover(said),
    }


def _level_lines(levels: Levels, view: View) -> list[dict[str, Any]]:
    return [
        {
            "type": "line",
            "x0": view.times.at(levels.start),
            "x1": view.times.at(levels.end),
            "y0": value,
            "y1": value,
            "line": {"color": view.colours.ink, "width": 1.4, "dash": dash},
        }
        for value, dash in ((levels.entry, "solid"), (levels.stop, "dash"), (levels.target, "dot"))
    ]


def _level_labels(levels: Levels, view: View) -> list[Label]:
    return [
        Label(value, f"{name} {price(value, like=levels.entry)}", view.colours.muted)
        for name, value in (
            ("entry", levels.entry),
            ("stop", levels.stop),
            ("target", levels.target),
        )
    ]
