"""Whether a result holds over time: the mean R of trades in every part of the days that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.grid import Cell, grid_frame, placed, value_axis
from core.ui.charts.stack import axis_ticks
from core.ui.charts.view import room
from core.ui.claims import hours
from core.ui.formats import interval, known, number, percent, r_multiple
from core.ui.palette import Palette

_CELL_PX = 230


def folds_figure(
    rows: pd.DataFrame, names: Sequence[str], horizons: Sequence[str], colours: Palette
) -> Figure:
    """``rows`` are summaries of trades, index (fold, horizon); a chart per horizon, a dot per fold
    in its interval, its number of trades below."""
    ends = room(
        [
            value
            for name in ("expectancy_r", "expectancy_low", "expectancy_high")
            for value in rows[name]
            if known(value)
        ]
        or [0.0],
        around=0.0,
    )
    ticks = axis_ticks(*ends, 4)
    layout = grid_frame(1, _CELL_PX, colours)
    data: list[dict[str, Any]] = []
    for column, horizon in enumerate(horizons):
        cell = Cell(0, column, 1, len(horizons), label_part=0.16)
        part = {fold: row for (fold, at), row in _cells(rows) if at == horizon}
        data += _fold_marks(part, cell, colours)
        across = {
            "range": [-0.5, len(names) - 0.5],
            "tickvals": list(range(len(names))),
            "ticktext": [
                f"{name}<br>n {number(part[at]['n'])}" if at in part else f"{name}<br>n 0"
                for at, name in enumerate(names)
            ],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "showspikes": False,
            "tickangle": 0,
            "tickfont": {"size": 11},
        }
        up = value_axis(ends, {tick: number(tick, 2, sign=True) for tick in ticks})
        up |= {"zeroline": True, "zerolinecolor": colours.neutral}
        layout |= placed(cell, across, up)
        words = f"<b>{hours(horizon)}</b>  <span style='color:{colours.muted}'>R a trade</span>"
        layout["annotations"].append(cell.head(words))
    return make_figure(data, layout, alt=_folds_alt(rows, names))


def _fold_marks(part: dict[int, pd.Series], cell: Cell, colours: Palette) -> list[dict[str, Any]]:
    bands = [
        (at, row["expectancy_low"], row["expectancy_high"])
        for at, row in part.items()
        if known(row["expectancy_low"])
    ]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for at, _, _ in bands for x in (at, at, None)],
            "y": [y for _, low, high in bands for y in (low, high, None)],
            "line": {"color": colours.line, "width": 12},
            "hoverinfo": "skip",
            **cell.axes,
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": list(part),
            "y": [row["expectancy_r"] for row in part.values()],
            "marker": {
                "size": 11,
                "color": colours.ink,
                "symbol": [
                    "circle" if known(row["expectancy_low"]) else "circle-open"
                    for row in part.values()
                ],
                "line": {"width": 1.6, "color": colours.ink},
            },
            "hovertext": [_said(row) for row in part.values()],
            "hovertemplate": "%{hovertext}<extra></extra>",
            **cell.axes,
        },
    ]


def _cells(rows: pd.DataFrame) -> list[tuple[tuple[int, str], pd.Series]]:
    index = rows.index.to_frame(index=False)
    names = zip(index["fold"].astype(int), index["horizon"].astype(str), strict=True)
    return [(name, rows.iloc[at]) for at, name in enumerate(names)]


def _said(row: pd.Series) -> str:
    band = (
        f"95 % interval {interval(row['expectancy_low'], row['expectancy_high'], 2, unit='R')}"
        if known(row["expectancy_low"])
        else f"no interval: {row['note']}"
    )
    return (
        f"{r_multiple(row['expectancy_r'])} a trade, {band}; "
        f"{percent(row['win_rate'])} of {number(row['n'])} won"
    )


def _folds_alt(rows: pd.DataFrame, names: Sequence[str]) -> str:
    said = [f"{names[fold]} at {horizon}: {_said(row)}" for (fold, horizon), row in _cells(rows)]
    return f"Mean R of trades by part of the days. {'. '.join(said)}."
