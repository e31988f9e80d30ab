"""What the score claimed beside what came: a dot in its band per five points of score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.grid import Cell, grid_frame, placed, value_axis
from core.ui.charts.stack import axis_ticks
from core.ui.claims import hours
from core.ui.formats import compact as short
from core.ui.formats import interval, known, number, percent
from core.ui.palette import Palette

_CELL_PX = 320
_LEAST_N = 20


def reliability_figure(
    tables: Mapping[str, pd.DataFrame], colours: Palette, *, compact: bool = False
) -> Figure:
    """`core.accuracy.reliability` per horizon, side by side; a bin without outcomes has no mark.

    The broken line is where a score read as a probability would be right; n stands below each bin.
    """
    layout = grid_frame(1, _CELL_PX, colours)
    low, high = _ends(tables.values())
    data: list[dict[str, Any]] = []
    for column, (horizon, table) in enumerate(tables.items()):
        cell = Cell(0, column, 1, len(tables), head_part=0.1)
        filled = table[table["n"] > 0]
        total = f"<span style='color:{colours.muted}'>n {number(filled['n'].sum())}</span>"
        layout["annotations"].append(cell.head(f"<b>{hours(horizon)}</b>  {total}"))
        layout |= _axes(cell, (low, high), few=compact or len(tables) > 1)
        if len(filled):
            data += [trace | cell.axes for trace in _traces(filled, low, colours)]
        data.append(_as_claimed(low, high, colours) | cell.axes)
    return make_figure(data, layout, alt=_alt(tables))


def _ends(tables: Sequence[pd.DataFrame] | Any) -> tuple[float, float]:
    values = [
        value
        for table in tables
        for name in ("win_rate", "low", "high")
        for value in table.loc[table["n"] >= _LEAST_N, name]
        if known(value)
    ]
    low = min([0.4, *values])
    return max(low - 0.1, -0.1), 1.0 if max([0.0, *values]) < 0.98 else 1.02


def _axes(cell: Cell, ends: tuple[float, float], *, few: bool) -> dict[str, Any]:
    across = {x / 100: number(x) for x in range(50, 101, 10 if few else 5)}
    up = {tick: number(100 * tick) for tick in axis_ticks(max(ends[0], 0), ends[1], 6)}
    return placed(
        cell,
        value_axis((0.49, 1.01), across)
        | {"title": {"text": "score in the signal's direction, read as %", "standoff": 6}},
        value_axis(ends, up)
        | {"title": {"text": "won, %" if cell.column == 0 else "", "standoff": 4}},
    )


def _traces(filled: pd.DataFrame, floor: float, colours: Palette) -> list[dict[str, Any]]:
    banded = filled[filled["low"].notna()]
    ends = zip(banded["claimed"], banded["low"], banded["high"], strict=True)
    band = [(x, low, high) for x, low, high in ends]
    drawn = filled[filled["n"] >= _LEAST_N]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [value for x, _, _ in band for value in (x, x, None)],
            "y": [value for _, low, high in band for value in (low, high, None)],
            "line": {"color": colours.line, "width": 12},
            "hoverinfo": "skip",
            "name": "95 % interval",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": drawn["claimed"].to_numpy(),
            "y": drawn["win_rate"].to_numpy(),
            "marker": {
                "symbol": ["circle" if known(low) else "circle-open" for low in drawn["low"]],
                "size": 9,
                "color": colours.ink,
                "line": {"width": 1.6, "color": colours.ink},
            },
            "hovertext": [_said(row) for _, row in drawn.iterrows()],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "name": "won",
        },
        {
            "type": "scatter",
            "mode": "text",
            "x": [(score + 2.5) / 100 for score in filled.index],
            "y": [floor + 0.03] * len(filled),
            "text": [short(n).replace("\u00a0", "") for n in filled["n"]],
            "textfont": {"size": 11, "color": colours.muted},
            "hovertext": [f"n {number(n)}" for n in filled["n"]],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "name": "n",
        },
    ]


def _as_claimed(low: float, high: float, colours: Palette) -> dict[str, Any]:
    start, end = max(0.5, low), min(1.0, high)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [start, end],
        "y": [start, end],
        "line": {"color": colours.neutral, "width": 1, "dash": "dash"},
        "hoverinfo": "skip",
        "name": "as claimed",
    }


def _said(row: pd.Series) -> str:
    band = (
        f"95 % interval {interval(row['low'], row['high'], 1)}"
        if known(row["low"])
        else row["note"]
    )
    return (
        f"claimed {percent(row['claimed'])}: {percent(row['win_rate'])} of {number(row['n'])} won, "
        f"{band}"
    )


def _alt(tables: Mapping[str, pd.DataFrame]) -> str:
    said = []
    for horizon, table in tables.items():
        bins = [f"{_said(row)}." for _, row in table[table["n"] > 0].iterrows()]
        said.append(f"{hours(horizon)}: {' '.join(bins) or 'no outcomes.'}")
    return f"Reliability of the score. {' '.join(said)}"
