"""What verdicts added up to: cumulative R over time, a chart per horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.ui.charts.rates import SHADOWS, TRADES
from core.ui.charts.stack import axis_ticks, spread
from core.ui.charts.times import TimeAxis
from core.ui.charts.view import room
from core.ui.claims import hours
from core.ui.formats import number, r_multiple
from core.ui.palette import Palette, template, verdict_sign

_CELL_PX, _HEAD_PART = 220, 0.12
_DASHES = {"CONFIRM": "solid", "DOWNSIZE": "dash", "WAIT": "dot", "SKIP": "dashdot"}

Curves = Mapping[tuple[str, str], pd.Series]


def curves_figure(
    trades: Curves,
    shadows: Curves,
    horizons: Sequence[str],
    times: TimeAxis,
    colours: Palette,
    *,
    compact: bool = False,
) -> go.Figure:
    """Cumulative R of each verdict by exit time, a column per horizon; trades above the others."""
    blocks = [(name, part) for name, part in ((TRADES, trades), (SHADOWS, shadows)) if part]
    layout = _frame(len(blocks), colours, compact=compact)
    ends = _time_span(blocks, times)
    # Room for the words at the ends of the lines, as a part of a column.
    label_part = 0.12 if len(horizons) == 1 and not compact else 0.38 if len(horizons) > 1 else 0.3
    data: list[dict[str, Any]] = []
    for at, (name, part) in enumerate(blocks):
        for column, horizon in enumerate(horizons):
            number_ = at * len(horizons) + column + 1
            axis = "" if number_ == 1 else str(number_)
            cell = Cell(axis, at, column, len(blocks), len(horizons), label_part)
            shown = {verdict: curve for (verdict, of), curve in part.items() if of == horizon}
            head = f"<b>{name}</b>, {hours(horizon)}" if column == 0 else hours(horizon)
            drawn, axes, notes = _cell(cell, head, shown, ends, times, colours)
            data += drawn
            layout |= axes
            layout["annotations"] += notes
    figure = go.Figure(data, layout)
    figure.layout.meta = {"alt": _curves_alt(blocks)}
    return figure


@dataclass(frozen=True)
class Cell:
    """A chart's place in a grid; ``axis`` is the number its axes have."""

    axis: str
    at: int
    column: int
    down: int
    across: int
    label_part: float

    @property
    def across_domain(self) -> tuple[float, float]:
        """Left and right ends as parts of the width, with room for labels on the right."""
        right = self.column + 1 - self.label_part
        return self.column / self.across, right / self.across

    @property
    def up_domain(self) -> tuple[float, float]:
        """Lower and upper ends as parts of the height, with room for the head."""
        top = 1 - self.at / self.down
        return top - (1 - _HEAD_PART) / self.down, top - _HEAD_PART / self.down


def _frame(down: int, colours: Palette, *, compact: bool) -> dict[str, Any]:
    return {
        "template": template(colours.mode),
        "height": 50 + _CELL_PX * max(down, 1),
        "margin": {"l": 46, "r": 4, "t": 4, "b": 46},
        "showlegend": False,
        "hovermode": "x",
        "dragmode": False if compact else "zoom",
        "annotations": [],
    }


def _cell(
    cell: Cell,
    head: str,
    curves: Mapping[str, pd.Series],
    ends: tuple[float, float],
    times: TimeAxis,
    colours: Palette,
) -> tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]:
    """Traces, axes and words of one chart of the grid."""
    low, high = room([value for curve in curves.values() for value in curve] or [0.0], around=0.0)
    places = spread(
        [float(curve.iloc[-1]) for curve in curves.values()], (low, high), _CELL_PX * 0.75
    )
    ticks = axis_ticks(low, high, 4)
    axes: dict[str, Any] = {
        f"xaxis{cell.axis}": {
            "type": "date",
            "domain": list(cell.across_domain),
            "anchor": f"y{cell.axis}",
            "range": list(ends),
            "nticks": 4,
            "tickangle": 0,
            "hoverformat": "%-d %b %Y, %H:%M",
            "fixedrange": True,
            "spikemode": "across",
            "title": {"text": f"Time in {times.label}" if cell.at == cell.down - 1 else ""},
        },
        f"yaxis{cell.axis}": {
            "domain": list(cell.up_domain),
            "anchor": f"x{cell.axis}",
            "range": [low, high],
            "tickvals": ticks,
            "ticktext": [
                number(tick, 0 if abs(high - low) > 4 else 1, sign=True) for tick in ticks
            ],
            "zeroline": True,
            "zerolinecolor": colours.neutral,
            "fixedrange": True,
            "automargin": False,
        },
    }
    traces = [
        _curve(verdict, curve, times, colours)
        | {"xaxis": f"x{cell.axis}", "yaxis": f"y{cell.axis}"}
        for verdict, curve in curves.items()
    ]
    notes = [_cell_head(cell, head, colours)]
    for (verdict, curve), place in zip(curves.items(), places, strict=True):
        notes.append(_curve_label(verdict, curve, cell, place, colours))
    return traces, axes, notes


def _cell_head(cell: Cell, head: str, colours: Palette) -> dict[str, Any]:
    return {
        "text": f"{head}  <span style='color:{colours.muted}'>R</span>",
        "xref": "paper",
        "x": cell.across_domain[0],
        "xanchor": "left",
        "xshift": -36,
        "yref": "paper",
        "y": cell.up_domain[1],
        "yshift": 3,
        "yanchor": "bottom",
        "showarrow": False,
    }


def _curve(verdict: str, curve: pd.Series, times: TimeAxis, colours: Palette) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": times.of(curve.index),
        "y": curve.to_numpy(dtype=np.float64),
        "line": {"color": colours.ink, "width": 1.6, "dash": _DASHES[verdict], "shape": "hv"},
        "name": verdict,
        "hovertemplate": f"{verdict.lower()} %{{y:+.1f}} R<extra></extra>",
    }


def _curve_label(
    verdict: str, curve: pd.Series, cell: Cell, place: float, colours: Palette
) -> dict[str, Any]:
    glyph, total = verdict_sign(verdict).glyph, number(curve.iloc[-1], 0, sign=True)
    return {
        "text": f"{glyph} {verdict.lower()} {total}",
        "xref": "paper",
        "x": cell.across_domain[1],
        "yref": f"y{cell.axis}",
        "y": place,
        "xanchor": "left",
        "xshift": 5,
        "showarrow": False,
        "font": {"size": 12, "color": colours.ink},
    }


def _time_span(blocks: Sequence[tuple[str, Curves]], times: TimeAxis) -> tuple[float, float]:
    """First and last time of all curves, on the chart's clock."""
    found = [curve.index for _, part in blocks for curve in part.values()]
    if not found:
        return 0.0, 1.0
    return times.at(min(index[0] for index in found)), times.at(max(index[-1] for index in found))


def _curves_alt(blocks: Sequence[tuple[str, Curves]]) -> str:
    said = [
        f"{name}: "
        + ", ".join(
            f"{verdict} at {horizon} {r_multiple(curve.iloc[-1], 1)}"
            for (verdict, horizon), curve in part.items()
        )
        for name, part in blocks
    ]
    return f"Cumulative R by verdict. {'. '.join(said)}."
