"""How far apart results were: counts of R as bars, a chart per horizon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.grid import Cell, grid_frame, placed, value_axis
from core.ui.charts.rates import SHADOWS, TRADES
from core.ui.charts.stack import axis_ticks
from core.ui.claims import hours
from core.ui.formats import MINUS, number, percent
from core.ui.palette import Palette

_CELL_PX = 200

Counts = Mapping[str, pd.DataFrame]


def spread_figure(
    trades: Counts, shadows: Counts, horizons: Sequence[str], colours: Palette
) -> Figure:
    """Shares of outcomes by R from `core.accuracy.distribution` per horizon; trades above the rest.

    The first and the last bar hold everything beyond, and have a pattern to say so.
    """
    blocks = [
        (name, {horizon: table for horizon, table in part.items() if table["n"].sum()})
        for name, part in ((TRADES, trades), (SHADOWS, shadows))
    ]
    blocks = [(name, part) for name, part in blocks if part]
    layout = grid_frame(len(blocks), _CELL_PX, colours) | {"bargap": 0.08}
    shares = [table["n"] / table["n"].sum() for _, part in blocks for table in part.values()]
    top = 1.08 * max((float(share.max()) for share in shares), default=1.0)
    data: list[dict[str, Any]] = []
    for at, (name, part) in enumerate(blocks):
        for column, horizon in enumerate(horizons):
            cell = Cell(at, column, len(blocks), len(horizons), head_part=0.16)
            table = part.get(horizon)
            n = 0 if table is None else int(table["n"].sum())
            head = f"<b>{name}</b>, {hours(horizon)}" if column == 0 else hours(horizon)
            said = f"n {number(n)}" if n else "no outcomes"
            layout["annotations"].append(
                cell.head(f"{head}  <span style='color:{colours.muted}'>{said}</span>")
            )
            layout |= _axes(cell, top, last=at == len(blocks) - 1, colours=colours)
            if table is not None:
                data += _bars(table, cell, colours, hollow=name == SHADOWS)
    return make_figure(data, layout, alt=_alt(blocks))


def _axes(cell: Cell, top: float, *, last: bool, colours: Palette) -> dict[str, Any]:
    across = {float(r): number(r, 0, sign=True) for r in range(-2, 3)}
    up = {tick: number(100 * tick) for tick in axis_ticks(0, top, 4)}
    return placed(
        cell,
        value_axis((-2.85, 2.85), across)
        | {
            "title": {"text": "net R" if last else "", "standoff": 6},
            "zeroline": True,
            "zerolinecolor": colours.ink,
            "showgrid": False,
        },
        value_axis((0, top), up)
        | {"title": {"text": "% of outcomes" if cell.column == 0 else "", "standoff": 4}},
    )


def _bars(
    table: pd.DataFrame, cell: Cell, colours: Palette, *, hollow: bool
) -> list[dict[str, Any]]:
    lows, highs, counts = (table[name].tolist() for name in ("low", "high", "n"))
    width, total = highs[1] - lows[1], sum(counts)
    spans = list(zip(lows, highs, strict=True))
    beyond = [math.isinf(low) or math.isinf(high) for low, high in spans]
    return [
        {
            "type": "bar",
            "x": [_middle(low, high, width) for low, high in spans],
            "y": [n / total for n in counts],
            "width": width * 0.9,
            "marker": {
                "color": colours.ground if hollow else colours.muted,
                "line": {"width": 1, "color": colours.muted},
                "pattern": {"shape": ["/" if out else "" for out in beyond], "solidity": 0.3},
            },
            "hovertext": [
                f"{_span(low, high)}: {percent(n / total)} of outcomes, n {number(n)}"
                for (low, high), n in zip(spans, counts, strict=True)
            ],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "name": "counterfactuals" if hollow else "trades",
        }
        | cell.axes
    ]


def _middle(low: float, high: float, width: float) -> float:
    if math.isinf(low):
        return high - width / 2
    return low + width / 2


def _span(low: float, high: float) -> str:
    if math.isinf(low):
        return f"under {_r(high)}"
    return f"{_r(low)} or more" if math.isinf(high) else f"{_r(low)} to {_r(high)}"


def _r(value: float) -> str:
    return f"{MINUS if value < 0 else '+' if value > 0 else ''}{abs(value):g} R"


def _alt(blocks: Sequence[tuple[str, Counts]]) -> str:
    said = []
    for name, part in blocks:
        for horizon, table in part.items():
            total = table["n"].sum()
            lost = table.loc[table["high"] <= -1, "n"].sum() / total
            won = table.loc[table["low"] >= 1, "n"].sum() / total
            said.append(
                f"{name} at {hours(horizon)}: {percent(lost, 0)} lost 1 R or more, "
                f"{percent(won, 0)} made 1 R or more, n {number(total)}."
            )
    return f"Distribution of net R. {' '.join(said)}"
