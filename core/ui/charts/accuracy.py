"""How good the verdicts are: rates as dots in their intervals, and cumulative R over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.ui.charts.stack import axis_ticks
from core.ui.charts.times import TimeAxis
from core.ui.formats import interval, known, number, percent, r_multiple
from core.ui.palette import Palette, template, verdict_sign

_ROW_PX, _HEAD_PX = 30, 30
_DASHES = {"CONFIRM": "solid", "DOWNSIZE": "dash", "WAIT": "dot", "SKIP": "dashdot"}
_TRADES, _SHADOWS = "Trades", "Not traded: what would have been"


def rates_figure(
    trades: pd.DataFrame, shadows: pd.DataFrame, colours: Palette, *, compact: bool = False
) -> go.Figure:
    """Win rates of the rows of two summaries, index (verdict, horizon), in two separate blocks.

    A dot is the rate in its 95 % interval, a bar across it the raw signal, a diamond always long;
    n stands beside. The alt text is in ``layout.meta``.
    """
    blocks = [(name, part) for name, part in ((_TRADES, trades), (_SHADOWS, shadows)) if len(part)]
    places, rows, heads = _places(blocks)
    height = len(rows) * _ROW_PX + len(heads) * _HEAD_PX
    low, high = _span(rows)
    ticks = axis_ticks(low, high, 4 if compact else 8)
    data = [
        _bands(rows, places, colours),
        *_marks(rows, places, colours),
        *_dots(rows, places, colours),
    ]
    notes = [_head(name, y) for y, name in heads]
    notes += [_count(row, y, colours) for row, y in zip(rows, places, strict=True)]
    figure = go.Figure(
        data,
        {
            "template": template(colours.mode),
            "height": height + 50,
            "margin": {"l": 96 if compact else 130, "r": 64 if compact else 150, "t": 4, "b": 46},
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": False,
            "annotations": notes,
            "xaxis": {
                "range": [low, high],
                "tickvals": ticks,
                "ticktext": [number(100 * tick) for tick in ticks],
                "title": {"text": "share of outcomes that won after costs, %", "standoff": 6},
                "fixedrange": True,
                "showspikes": False,
            },
            "yaxis": {
                "range": [0, height],
                "tickvals": places,
                "ticktext": [_name(row) for row in rows],
                "fixedrange": True,
                "showgrid": False,
                "automargin": False,
                "tickfont": {"color": colours.ink},
            },
        },
    )
    figure.layout.meta = {"alt": _rates_alt(rows)}
    return figure


def curves_figure(
    trades: Mapping[tuple[str, str], pd.Series],
    shadows: Mapping[tuple[str, str], pd.Series],
    horizons: Sequence[str],
    times: TimeAxis,
    colours: Palette,
    *,
    compact: bool = False,
) -> go.Figure:
    """Cumulative R of each verdict by exit time, a column per horizon; trades above the others."""
    blocks = [(name, part) for name, part in ((_TRADES, trades), (_SHADOWS, shadows)) if part]
    layout = _grid(blocks, horizons, times, colours, compact=compact)
    data: list[dict[str, Any]] = []
    for number_, (block, horizon) in enumerate(
        ((part, horizon) for _, part in blocks for horizon in horizons), start=1
    ):
        axis = "" if number_ == 1 else str(number_)
        for (verdict, of), curve in block.items():
            if of == horizon:
                data.append(
                    _curve(verdict, curve, times, colours)
                    | {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}
                )
                layout["annotations"].append(_curve_label(verdict, curve, times, axis, colours))
    figure = go.Figure(data, layout)
    figure.layout.meta = {"alt": _curves_alt(blocks)}
    return figure


def _places(
    blocks: Sequence[tuple[str, pd.DataFrame]],
) -> tuple[list[float], list[dict[str, Any]], list[tuple[float, str]]]:
    """Heights of the rows and heads from the top down, and the rows with their names in them."""
    y = float(sum(len(part) * _ROW_PX + _HEAD_PX for _, part in blocks))
    places, rows, heads = [], [], []
    for name, part in blocks:
        y -= _HEAD_PX
        heads.append((y + _HEAD_PX / 2 - 4, name))
        flat = part.reset_index()
        for record in flat.to_dict("records"):
            y -= _ROW_PX
            places.append(y + _ROW_PX / 2)
            rows.append({str(key): value for key, value in record.items()})
    return places, rows, heads


def _span(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    names = ("win_rate", "low", "high", "baseline", "baseline_long")
    values = [row[name] for row in rows for name in names if known(row[name])]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return max(low - 0.04, -0.01), min(high + 0.04, 1.01)


def _bands(
    rows: Sequence[Mapping[str, Any]], places: Sequence[float], colours: Palette
) -> dict[str, Any]:
    ends = [
        (row["low"], row["high"], y)
        for row, y in zip(rows, places, strict=True)
        if known(row["low"])
    ]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [value for low, high, _ in ends for value in (low, high, None)],
        "y": [value for _, _, y in ends for value in (y, y, None)],
        "line": {"color": colours.line, "width": 12},
        "hoverinfo": "skip",
        "name": "95 % interval",
    }


def _marks(
    rows: Sequence[Mapping[str, Any]], places: Sequence[float], colours: Palette
) -> list[dict[str, Any]]:
    def mark(column: str, symbol: str, size: int, name: str) -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": "markers",
            "x": [row[column] for row in rows],
            "y": list(places),
            "marker": {
                "symbol": symbol,
                "size": size,
                "color": colours.muted,
                "line": {"width": 2 if symbol.startswith("line") else 1.4, "color": colours.muted},
            },
            "hovertemplate": f"{name}: %{{x:.1%}}<extra></extra>",
            "name": name,
        }

    return [
        mark("baseline", "line-ns-open", 20, "raw signal"),
        mark("baseline_long", "diamond-open", 8, "always long"),
    ]


def _dots(
    rows: Sequence[Mapping[str, Any]], places: Sequence[float], colours: Palette
) -> list[dict[str, Any]]:
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [row["win_rate"]],
            "y": [y],
            "marker": {
                "symbol": "circle" if known(row["low"]) else "circle-open",
                "size": 11,
                "color": colours.ink,
                "line": {"width": 1.6, "color": colours.ink},
            },
            "hovertemplate": f"{_said(row)}<extra></extra>",
            "name": _name(row),
        }
        for row, y in zip(rows, places, strict=True)
    ]


def _head(name: str, y: float) -> dict[str, Any]:
    return {
        "text": f"<b>{name}</b>",
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "y": y,
        "yref": "y",
        "showarrow": False,
    }


def _count(row: Mapping[str, Any], y: float, colours: Palette) -> dict[str, Any]:
    independent = f", like {number(row['n_eff'])}" if known(row["n_eff"]) else ", too few"
    return {
        "text": f"n {number(row['n'])}<span style='color:{colours.muted}'>{independent}</span>",
        "xref": "paper",
        "x": 1,
        "xanchor": "left",
        "xshift": 8,
        "y": y,
        "yref": "y",
        "showarrow": False,
        "font": {"size": 12},
    }


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['verdict']} {str(row['horizon']).removesuffix('h')} h"


def _said(row: Mapping[str, Any]) -> str:
    band = (
        f"95 % interval {interval(row['low'], row['high'], 1)}"
        if known(row["low"])
        else str(row["note"])
    )
    return (
        f"{_name(row)}: {percent(row['win_rate'])} of {number(row['n'])} won, {band}, "
        f"raw signal {percent(row['baseline'])}"
    )


def _rates_alt(rows: Sequence[Mapping[str, Any]]) -> str:
    return "Win rates with intervals. " + " ".join(f"{_said(row)}." for row in rows)


def _grid(
    blocks: Sequence[tuple[str, Any]],
    horizons: Sequence[str],
    times: TimeAxis,
    colours: Palette,
    *,
    compact: bool,
) -> dict[str, Any]:
    """Axes of a grid of charts, a row per block and a column per horizon."""
    across, down = len(horizons), max(len(blocks), 1)
    gap, head = 0.07, 0.11 if down > 1 else 0.16
    layout: dict[str, Any] = {
        "template": template(colours.mode),
        "height": 60 + 210 * down,
        "margin": {"l": 46, "r": 92 if compact else 84, "t": 4, "b": 48},
        "showlegend": False,
        "hovermode": "x unified",
        "dragmode": False if compact else "zoom",
        "annotations": [],
    }
    width, height = (1 - gap * (across - 1)) / across, 1 / down
    for at, (name, _) in enumerate(blocks):
        for column, horizon in enumerate(horizons):
            axis = "" if at == column == 0 else str(at * across + column + 1)
            top = 1 - at * height
            layout[f"xaxis{axis}"] = {
                "type": "date",
                "domain": [column * (width + gap), column * (width + gap) + width * 0.9],
                "anchor": f"y{axis}",
                "nticks": 4,
                "hoverformat": "%-d %b %Y, %H:%M",
                "fixedrange": compact,
                "matches": None if not axis else "x",
                "title": {"text": f"Time in {times.label}", "standoff": 4}
                if at == down - 1 and not column
                else {},
            }
            layout[f"yaxis{axis}"] = {
                "domain": [top - height + (0.06 if at < down - 1 else 0), top - head],
                "anchor": f"x{axis}",
                "nticks": 5,
                "zeroline": True,
                "zerolinecolor": colours.neutral,
                "fixedrange": True,
                "automargin": False,
            }
            title = (
                f"<b>{name}</b>, {horizon.removesuffix('h')} h"
                if not column
                else f"{horizon.removesuffix('h')} h"
            )
            layout["annotations"].append(
                {
                    "text": f"{title}  <span style='color:{colours.muted}'>R</span>",
                    "xref": "paper",
                    "x": column * (width + gap),
                    "xanchor": "left",
                    "xshift": -34,
                    "yref": "paper",
                    "y": top - head,
                    "yshift": 2,
                    "yanchor": "bottom",
                    "showarrow": False,
                }
            )
    return layout


def _curve(verdict: str, curve: pd.Series, times: TimeAxis, colours: Palette) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": times.of(curve.index),
        "y": curve.to_numpy(dtype=np.float64),
        "line": {"color": colours.ink, "width": 1.6, "dash": _DASHES[verdict], "shape": "hv"},
        "name": verdict,
        "hovertemplate": f"{verdict} %{{y:+.1f}} R<extra></extra>",
    }


def _curve_label(
    verdict: str, curve: pd.Series, times: TimeAxis, axis: str, colours: Palette
) -> dict[str, Any]:
    return {
        "text": f"{verdict_sign(verdict).glyph} {verdict.lower()} {number(curve.iloc[-1], 0, sign=True)}",
        "xref": f"x{axis}",
        "x": times.at(curve.index[-1]),
        "yref": f"y{axis}",
        "y": float(curve.iloc[-1]),
        "xanchor": "left",
        "xshift": 4,
        "showarrow": False,
        "font": {"size": 12, "color": colours.ink},
    }


def _curves_alt(blocks: Sequence[tuple[str, Mapping[tuple[str, str], pd.Series]]]) -> str:
    said = [
        f"{name}: "
        + ", ".join(
            f"{verdict} at {horizon} {r_multiple(curve.iloc[-1], 1)}"
            for (verdict, horizon), curve in part.items()
        )
        for name, part in blocks
    ]
    return f"Cumulative R by verdict. {'. '.join(said)}."
