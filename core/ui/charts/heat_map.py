"""Where in price and time one market's liquidations were reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.price import price_ticks
from core.ui.charts.stack import hatch
from core.ui.charts.steps import Gap
from core.ui.charts.times import TimeAxis
from core.ui.charts.view import hover
from core.ui.formats import compact, count, price
from core.ui.palette import Palette, template

HOW_TO_READ = (
    "A column is a stretch of time: its left half longs (blue), its right half shorts (orange), "
    "stronger the more USD. Empty: nothing was reported there. ● closes of the hourly bars."
)
_ROWS = 30
# Ten to the power of: what is smaller has the lightest shade.
_LIGHTEST = 3.0


@dataclass(frozen=True)
class Map:
    """Single events of ``symbol``, and ``closes`` of its bars, from ``start`` to ``end`` in columns
    of ``step``; ``gaps`` are when not every stream was heard."""

    symbol: str
    events: pd.DataFrame
    closes: pd.Series
    start: pd.Timestamp
    end: pd.Timestamp
    step: pd.Timedelta
    gaps: list[Gap]
    times: TimeAxis
    colours: Palette


def heat_figure(view: Map, *, narrow: bool = False, keep: str = "") -> Figure:
    """Price by time; USD as a shade, on a scale of powers of ten, one hue for each side."""
    low, high = _price_range(view)
    data: list[dict[str, Any]] = []
    if view.gaps:
        data.append(hatch(view.gaps, (low, high), view.times, view.colours))
    if len(view.events):
        top = max(_LIGHTEST + 1, float(np.ceil(np.log10(view.events["usd"].max()))))
        for side, colour in (("long", view.colours.long), ("short", view.colours.short)):
            data.append(_cells(view, side, colour, (low, high), top))
    if len(view.closes):
        data.append(_line(view))
    ticks = price_ticks(low, high)
    return make_figure(
        data,
        {
            "template": template(view.colours.mode),
            "height": 300 if narrow else 380,
            "margin": {"l": 66, "r": 62 if narrow else 98, "t": 6, "b": 50},
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": False if narrow else "zoom",
            "uirevision": keep,
            "xaxis": {
                "type": "date",
                "range": [view.times.at(view.start), view.times.at(view.end)],
                "title": {"text": f"Time in {view.times.label}", "standoff": 6},
                "automargin": False,
                "fixedrange": narrow,
                "hoverformat": "%-d %b %Y, %H:%M",
                "nticks": 4 if narrow else 10,
                "tickangle": 0,
                "showspikes": False,
                "showgrid": False,
            },
            "yaxis": {
                "range": [low, high],
                "tickvals": list(ticks),
                "ticktext": list(ticks.values()),
                "title": {"text": ""},
                "automargin": False,
                "fixedrange": narrow,
                "showgrid": False,
                "zeroline": False,
            },
        },
        alt=_says(view),
    )


def _price_range(view: Map) -> tuple[float, float]:
    inside = view.closes[(view.closes.index >= view.start) & (view.closes.index <= view.end)]
    prices = np.concatenate([view.events["price"].to_numpy(dtype=np.float64), inside.to_numpy()])
    prices = prices[np.isfinite(prices)]
    if not len(prices):
        last = float(view.closes.iloc[-1]) if len(view.closes) else 1.0
        return 0.99 * last, 1.01 * last
    low, high = float(prices.min()), float(prices.max())
    air = 0.06 * (high - low) or 0.005 * high
    return low - air, high + air


def _cells(
    view: Map, side: str, colour: str, over: tuple[float, float], top: float
) -> dict[str, Any]:
    usd = _grid(view, side, over)
    known = usd > 0
    shades = np.log10(usd, out=np.full(usd.shape, np.nan), where=known)
    said = np.full(usd.shape, "", dtype=object)
    said[known] = [f"{side}s liquidated: {compact(value)} USD" for value in usd[known]]
    half_ms = view.step / pd.Timedelta("2ms")
    tall = (over[1] - over[0]) / _ROWS
    return {
        "type": "heatmap",
        "x0": view.times.at(view.start) + half_ms / 2,
        "dx": half_ms,
        "y0": over[0] + tall / 2,
        "dy": tall,
        "z": shades,
        "zmin": _LIGHTEST,
        "zmax": top,
        "colorscale": shades_of(colour, view.colours),
        "colorbar": _bar(side, top, view.colours),
        "hoverongaps": False,
        "name": f"{side}s",
        "text": said,
        "hovertemplate": "%{text}<br>%{x}, at %{y:.6~g}<extra></extra>",
    }


def _grid(view: Map, side: str, over: tuple[float, float]) -> npt.NDArray[np.float64]:
    """USD by row of price and half column of time."""
    events = view.events[view.events["liquidated_side"] == side]
    columns = max(round((view.end - view.start) / view.step), 1)
    usd = np.zeros((_ROWS, 2 * columns))
    since = pd.DatetimeIndex(events["occurred_at"]) - view.start
    at = (since / view.step).to_numpy().astype(np.int64)
    row = ((events["price"].to_numpy() - over[0]) / (over[1] - over[0]) * _ROWS).astype(np.int64)
    inside = (at >= 0) & (at < columns) & (row >= 0) & (row < _ROWS)
    halves = 2 * at + (side == "short")
    np.add.at(usd, (row[inside], halves[inside]), events["usd"].to_numpy()[inside])
    return usd


def shades_of(colour: str, colours: Palette) -> list[list[Any]]:
    """One hue from near the ground to far from it.

    >>> from core.ui.palette import LIGHT
    >>> shades_of("#0000FF", LIGHT)[1]
    [0.6, '#0000FF']
    """
    far = "#000000" if colours.mode == "light" else "#FFFFFF"
    return [
        [0.0, _mixed(colours.ground, colour, 0.3)],
        [0.6, colour],
        [1.0, _mixed(colour, far, 0.5)],
    ]


def _mixed(one: str, other: str, part: float) -> str:
    pairs = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round(a + part * (b - a)):02X}" for a, b in pairs)


def _bar(side: str, top: float, colours: Palette) -> dict[str, Any]:
    """The two scales stand side by side; the right one has the numbers of both."""
    right = side == "short"
    powers = list(range(int(_LIGHTEST), int(top) + 1))
    return {
        "thickness": 10,
        "thicknessmode": "pixels",
        "len": 0.86,
        "y": 0.45,
        "x": 1,
        "xanchor": "left",
        "xpad": 19 if right else 6,
        "ypad": 0,
        "outlinewidth": 0,
        "tickvals": powers if right else [],
        "ticktext": [compact(10.0**power) for power in powers] if right else [],
        "tickfont": {"size": 11, "color": colours.muted},
        "title": {"text": "USD" if right else "", "font": {"size": 11, "color": colours.muted}},
    }


def _line(view: Map) -> dict[str, Any]:
    closes = view.closes
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": view.times.of(closes.index),
        "y": closes.to_numpy(dtype=np.float64),
        # Between two closes the price went another way than straight.
        "line": {"color": view.colours.ink, "width": 1.2, "dash": "dot"},
        "marker": {"size": 5, "color": view.colours.ink},
        "connectgaps": False,
        "name": "price",
        **hover([f"close of the bar: {price(value)}" for value in closes]),
    }


def _says(view: Map) -> str:
    events = view.events
    if not len(events):
        return f"{view.symbol}: no single liquidation was reported in this window."
    return (
        f"{view.symbol}: {count(len(events), 'liquidation')} reported between "
        f"{price(events['price'].min())} and {price(events['price'].max())}, the largest "
        f"{compact(events['usd'].max())} USD."
    )
