"""Panes over one time axis: each says what it draws, and `stack` puts them above each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pandas as pd

from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.steps import Gap, Window
from core.ui.charts.times import TimeAxis
from core.ui.palette import Palette, template

_TITLE_PX, _EMPTY_TITLE_PX, _COMPACT_TITLE_PX = 42, 24, 8
_BOTTOM_PX, _TOP_PX, _EMPTY_PX, _BETWEEN_PX = 52, 4, 22, 12
_LEFT_PX, _RIGHT_PX = 58, 98
_COMPACT_LEFT_PX, _COMPACT_RIGHT_PX, _COMPACT_HEIGHT = 48, 86, 300
_LABEL_PX = 15


@dataclass(frozen=True)
class Label:
    """Words at the right end of a pane, beside what they name."""

    at: float
    text: str
    colour: str


@dataclass(frozen=True)
class Pane:
    """What a pane shows: Plotly traces and shapes without an axis, and how its axis reads.

    ``look`` is one line on what to look for; ``says`` is the pane in a sentence, for those who do
    not see it. ``gaps`` are the stretches where the source is missing; ``missing`` says so where it
    is missing throughout, and then there is nothing else.
    """

    title: str
    look: str
    height: int
    says: str
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    ticks: dict[float, str] = field(default_factory=dict)
    traces: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[dict[str, Any]] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    missing: str | None = None


def stack(
    panes: Sequence[Pane],
    window: Window,
    times: TimeAxis,
    colours: Palette,
    *,
    about: str = "",
    opened: pd.Timestamp | None = None,
    compact: bool = False,
    keep: str = "",
) -> Figure:
    """One figure of all panes, with a line at ``opened`` and a veil over what came after it.

    ``about`` begins the alt text. ``compact`` leaves titles to the page, which finds the first pane's
    in the meta, and dragging to the finger that scrolls. The reader's zoom lasts as long as ``keep``
    stays the same.
    """
    titles = [_title_px(pane, compact=compact) for pane in panes]
    heights = [_height(pane, compact=compact) for pane in panes]
    inner = sum(titles) + sum(heights) + (len(panes) - 1) * _BETWEEN_PX
    layout = _layout(window, times, colours, inner, compact=compact)
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    top, axis = float(inner), "y"
    for number, (pane, title, height) in enumerate(zip(panes, titles, heights, strict=True)):
        axis = f"y{number + 1}" if number else "y"
        top -= title
        domain = max((top - height) / inner, 0), min(top / inner, 1)
        layout[f"yaxis{axis[1:]}"] = _value_axis(pane, domain, colours)
        data += [
            trace | {"xaxis": "x", "yaxis": axis} for trace in _traces(pane, window, times, colours)
        ]
        if opened is not None:
            shapes += _veil(axis, times, opened, window, colours)
        shapes += [{"xref": "x", "yref": axis} | shape for shape in pane.shapes]
        notes += _labels(pane, axis, height, colours)
        if not compact:
            notes.append(_title(pane, top / inner, colours))
        top -= height + _BETWEEN_PX
    layout["xaxis"]["anchor"] = axis
    if opened is not None:
        notes.append(_followed(times.at(opened), colours))
    said = [pane.says for pane in panes]
    return make_figure(
        data,
        layout | {"shapes": shapes, "annotations": notes, "uirevision": keep},
        alt=" ".join([about, *said] if about else said),
        title=f"{panes[0].title}, {panes[0].unit}",
        look=panes[0].look,
    )


def axis_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round values between ``low`` and ``high``, about ``count`` of them.

    >>> axis_ticks(0, 100), axis_ticks(-3.2, 4.1, 3)
    ([0.0, 25.0, 50.0, 75.0, 100.0], [-2.5, 0.0, 2.5])
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return []
    rough = (high - low) / max(count, 1)
    scale = 10.0 ** math.floor(math.log10(rough))
    step = min((m * scale for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - rough))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def _layout(
    window: Window, times: TimeAxis, colours: Palette, inner: int, *, compact: bool
) -> dict[str, Any]:
    return {
        "template": template(colours.mode),
        "height": inner + _TOP_PX + _BOTTOM_PX,
        "margin": {
            "l": _COMPACT_LEFT_PX if compact else _LEFT_PX,
            "r": _COMPACT_RIGHT_PX if compact else _RIGHT_PX,
            "t": _TOP_PX,
            "b": _BOTTOM_PX,
        },
        "showlegend": False,
        "hovermode": "x",
        "hoversubplots": "axis",
        "dragmode": False if compact else "zoom",
        "clickmode": "event+select",
        "barmode": "relative",
        "bargap": 0.15,
        "xaxis": {
            "type": "date",
            "range": [times.at(window.shown_start), times.at(window.shown_end)],
            "title": {"text": f"Time in {times.label}", "standoff": 6},
            "automargin": False,
            "fixedrange": compact,
            "hoverformat": "%-d %b %Y, %H:%M",
            "showspikes": True,
            "spikemode": "across",
            "spikesnap": "cursor",
            "spikedash": "solid",
            "spikethickness": 1,
            "spikecolor": colours.neutral,
            "rangeslider": {"visible": False},
            "nticks": 4 if compact else 10,
            "tickangle": 0,
        },
    }


def _title_px(pane: Pane, *, compact: bool) -> int:
    if compact:
        return _COMPACT_TITLE_PX
    return _EMPTY_TITLE_PX if pane.missing else _TITLE_PX


def _height(pane: Pane, *, compact: bool) -> int:
    if pane.missing:
        return _EMPTY_PX
    return _COMPACT_HEIGHT if compact else pane.height


def _title(pane: Pane, y: float, colours: Palette) -> dict[str, Any]:
    look = f"<br>{pane.look}" if pane.look else ""
    return {
        "text": f"<b>{pane.title}</b>  <span style='color:{colours.muted}'>{pane.unit}{look}</span>",
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": y,
        "xshift": 4 - _LEFT_PX,
        "yshift": 3,
        "xanchor": "left",
        "yanchor": "bottom",
        "align": "left",
        "showarrow": False,
        "font": {"size": 13},
    }


def _value_axis(pane: Pane, domain: tuple[float, float], colours: Palette) -> dict[str, Any]:
    return {
        "domain": list(domain),
        "range": [pane.low, pane.high],
        "tickvals": list(pane.ticks),
        "ticktext": list(pane.ticks.values()),
        "fixedrange": True,
        "automargin": False,
        "zeroline": False,
        "showgrid": pane.missing is None,
        "anchor": "x",
        "showspikes": pane.missing is None,
        "spikemode": "across",
        "spikesnap": "cursor",
        "spikedash": "dot",
        "spikethickness": 1,
        "spikecolor": colours.neutral,
    }


def _veil(
    axis: str, times: TimeAxis, opened: pd.Timestamp, window: Window, colours: Palette
) -> list[dict[str, Any]]:
    start = times.at(opened)
    across = {"xref": "x", "yref": f"{axis} domain", "y0": 0, "y1": 1, "x0": start}
    veil = {"layer": "below", "line": {"width": 0}, "fillcolor": colours.panel}
    return [
        {"type": "rect", "x1": times.at(window.shown_end)} | veil | across,
        {"type": "line", "x1": start, "line": {"color": colours.ink, "width": 1}} | across,
    ]


def _followed(at: float, colours: Palette) -> dict[str, Any]:
    return {
        "text": "what followed →",
        "x": at,
        "xref": "x",
        "yref": "y domain",
        "y": 0,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12, "color": colours.muted},
    }


def _traces(pane: Pane, window: Window, times: TimeAxis, colours: Palette) -> list[dict[str, Any]]:
    gaps = [(window.shown_start, window.shown_end)] if pane.missing else pane.gaps
    over = (pane.low, pane.high)
    return [*([hatch(gaps, over, times, colours)] if gaps else []), *pane.traces]


def hatch(
    gaps: Sequence[Gap], over: tuple[float, float], times: TimeAxis, colours: Palette
) -> dict[str, Any]:
    """Hatched bands, over these values, for the stretches where a source is missing."""
    low, high = over
    xs: list[float | None] = []
    ys: list[float | None] = []
    for start, end in gaps:
        left, right = times.at(start), times.at(end)
        xs += [left, right, right, left, left, None]
        ys += [low, low, high, high, low, None]
    return {
        "type": "scatter",
        "x": xs,
        "y": ys,
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": "rgba(0,0,0,0)",
        "fillpattern": {
            "shape": "/",
            "fgcolor": colours.neutral,
            "bgcolor": "rgba(0,0,0,0)",
            "size": 6,
            "solidity": 0.1,
            "fillmode": "overlay",
        },
        "hoverinfo": "skip",
        "name": "missing",
    }


def _labels(pane: Pane, axis: str, height: int, colours: Palette) -> list[dict[str, Any]]:
    if pane.missing:
        words = Label(0.5, pane.missing, colours.muted)
        return [_note(words, 0.5, axis) | {"x": 0.5, "bgcolor": colours.ground, "borderpad": 2}]
    places = spread([label.at for label in pane.labels], (pane.low, pane.high), height)
    return [
        _note(label, place, axis) | {"xanchor": "left", "align": "left", "xshift": 5}
        for label, place in zip(pane.labels, places, strict=True)
    ]


def _note(label: Label, place: float, axis: str) -> dict[str, Any]:
    return {
        "text": label.text,
        "xref": "paper",
        "x": 1,
        "yref": axis,
        "y": place,
        "showarrow": False,
        "font": {"size": 12, "color": label.colour},
    }


def spread(at: Sequence[float], within: tuple[float, float], height: float) -> list[float]:
    """Places for labels at these values, moved apart where they would cover each other.

    ``height`` is that of the axis in pixels.

    >>> spread([1.0, 50.0, 50.0], (0, 100), 150)
    [5.0, 45.0, 55.0]
    """
    order = sorted(range(len(at)), key=lambda k: at[k])
    least = _LABEL_PX * (within[1] - within[0]) / height
    places = list(at)
    for _ in range(4):
        for lower, upper in pairwise(order):
            lack = least - (places[upper] - places[lower])
            if lack > 0:
                places[lower] -= lack / 2
                places[upper] += lack / 2
    low, high = within[0] + least / 2, within[1] - least / 2
    return [min(max(place, low), high) for place in places]
