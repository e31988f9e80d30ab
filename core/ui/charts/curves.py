"""What verdicts added up to: cumulative R over time, a chart per horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.accuracy.record import row_name
from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.grid import Cell, grid_frame, placed, value_axis
from core.ui.charts.rates import SHADOWS, TRADES
from core.ui.charts.stack import axis_ticks, spread
from core.ui.charts.times import TimeAxis
from core.ui.charts.view import room
from core.ui.claims import hours
from core.ui.formats import UTC_CLOCK, number, r_multiple
from core.ui.palette import Palette, verdict_sign

_CELL_PX = 220
_UTC, _TO_ITS_END = TimeAxis(UTC_CLOCK), pd.Timedelta("23h59min")
_DASHES = {"CONFIRM": "solid", "DOWNSIZE": "dash", "WAIT": "dot", "SKIP": "dashdot"}

Curves = Mapping[tuple[str, str], pd.Series]


def curves_figure(
    trades: Curves,
    shadows: Curves,
    horizons: Sequence[str],
    colours: Palette,
    *,
    compact: bool = False,
) -> Figure:
    """Cumulative R of each verdict at the end of each UTC day, a column per horizon; trades above
    the others."""
    blocks = [(name, part) for name, part in ((TRADES, trades), (SHADOWS, shadows)) if part]
    layout = grid_frame(len(blocks), _CELL_PX, colours, zooms=not compact) | {"hovermode": "x"}
    ends = _time_span(blocks)
    # Room for the words at the ends of the lines, as a part of a column.
    label_part = 0.12 if len(horizons) == 1 and not compact else 0.38 if len(horizons) > 1 else 0.34
    data: list[dict[str, Any]] = []
    for at, (name, part) in enumerate(blocks):
        for column, horizon in enumerate(horizons):
            cell = Cell(at, column, len(blocks), len(horizons), label_part)
            shown = {verdict: curve for (verdict, of), curve in part.items() if of == horizon}
            head = f"<b>{name}</b>, {hours(horizon)}" if column == 0 else hours(horizon)
            names = {verdict: _name(verdict, name) for verdict in shown}
            drawn, axes, notes = _cell(cell, head, shown, names, ends, colours)
            data += drawn
            layout |= axes
            layout["annotations"] += notes
    return make_figure(data, layout, alt=_curves_alt(blocks))


def _cell(
    cell: Cell,
    head: str,
    curves: Mapping[str, pd.Series],
    names: Mapping[str, str],
    ends: tuple[float, float],
    colours: Palette,
) -> tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]:
    """Traces, axes and words of one chart of the grid."""
    low, high = room([value for curve in curves.values() for value in curve] or [0.0], around=0.0)
    places = spread(
        [float(curve.iloc[-1]) for curve in curves.values()], (low, high), _CELL_PX * 0.75
    )
    ticks = axis_ticks(low, high, 4)
    axes = placed(
        cell,
        {
            "type": "date",
            "range": list(ends),
            "nticks": 4,
            "tickangle": 0,
            "hoverformat": "%-d %b %Y",
            "fixedrange": True,
            "spikemode": "across",
            "title": {"text": "Day of the exit, UTC" if cell.at == cell.down - 1 else ""},
        },
        value_axis(
            (low, high),
            {t: number(t, 0 if abs(high - low) > 4 else 1, sign=True) for t in ticks},
        )
        | {"zeroline": True, "zerolinecolor": colours.neutral},
    )
    traces = [_curve(verdict, curve, colours) | cell.axes for verdict, curve in curves.items()]
    notes = [cell.head(f"{head}  <span style='color:{colours.muted}'>R</span>")]
    for (verdict, curve), place in zip(curves.items(), places, strict=True):
        notes.append(_curve_label(verdict, names[verdict], curve, cell, place, colours))
    return traces, axes, notes


def _curve(verdict: str, curve: pd.Series, colours: Palette) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        # Nothing was made before the first day; what a day made is known at its end.
        "x": [_UTC.at(curve.index[0]), *_UTC.of(curve.index + _TO_ITS_END)],
        "y": [0.0, *curve.to_numpy(dtype=np.float64)],
        "line": {"color": colours.ink, "width": 1.6, "dash": _DASHES[verdict], "shape": "hv"},
        "name": verdict,
        "hovertemplate": f"{verdict} %{{y:+.1f}} R<extra></extra>",
    }


def _name(verdict: str, block: str) -> str:
    """A verdict's name as everywhere, on two lines where it says that the plan was refused."""
    return row_name(verdict, traded=block == TRADES).replace(", ", ",<br>")


def _curve_label(
    verdict: str, name: str, curve: pd.Series, cell: Cell, place: float, colours: Palette
) -> dict[str, Any]:
    glyph, total = verdict_sign(verdict).glyph, number(curve.iloc[-1], 0, sign=True)
    return {
        "text": f"{glyph} {name} {total}",
        "xref": "paper",
        "x": cell.across_domain[1],
        "yref": f"y{cell.axis}",
        "y": place,
        "xanchor": "left",
        "xshift": 5,
        "showarrow": False,
        "align": "left",
        "font": {"size": 11, "color": colours.ink},
    }


def _time_span(blocks: Sequence[tuple[str, Curves]]) -> tuple[float, float]:
    """From the start of the first day to the end of the last."""
    found = [curve.index for _, part in blocks for curve in part.values()]
    if not found:
        return 0.0, 1.0
    last = max(index[-1] for index in found)
    return _UTC.at(min(index[0] for index in found)), _UTC.at(last + _TO_ITS_END)


def _curves_alt(blocks: Sequence[tuple[str, Curves]]) -> str:
    said = [
        f"{name}: "
        + ", ".join(
            f"{row_name(verdict, traded=name == TRADES)} at {hours(horizon)} "
            f"{r_multiple(curve.iloc[-1], 1)}"
            for (verdict, horizon), curve in part.items()
        )
        for name, part in blocks
    ]
    return f"Cumulative R by verdict. {'. '.join(said)}."
