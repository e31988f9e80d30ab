"""What each factor knew of the return after it, and which factors say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.signals.factors import BY_NAME
from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.grid import Cell, grid_frame, placed, value_axis
from core.ui.charts.stack import axis_ticks
from core.ui.claims import hours
from core.ui.formats import DASH, known, number
from core.ui.palette import Palette, template

_ROW_PX = 30
_LEAST_REACH = 0.1


def information_figure(table: pd.DataFrame, horizons: Sequence[str], colours: Palette) -> Figure:
    """`core.accuracy.information`: a dot in its band per factor, a column per horizon.

    A factor without an interval is a hollow dot; one that was never known has no mark.
    """
    factors = list(dict.fromkeys(table["factor"]))
    layout = grid_frame(1, _ROW_PX * len(factors) + 36, colours, left=130, right=8)
    reach = _reach(table)
    data: list[dict[str, Any]] = []
    for column, horizon in enumerate(horizons):
        cell = Cell(0, column, 1, len(horizons), label_part=0.04, head_part=0.09)
        rows = table[table["horizon"] == horizon].set_index("factor").reindex(factors)
        layout["annotations"].append(cell.head(f"<b>{hours(horizon)}</b>", shift=0))
        layout |= _axes(cell, factors, reach, 4, colours)
        data += [trace | cell.axes for trace in _traces(rows, colours)]
    return make_figure(data, layout, alt=_information_alt(table))


def correlation_figure(matrix: pd.DataFrame, colours: Palette, *, compact: bool = False) -> Figure:
    """`core.accuracy.correlations` as a heat map with its numbers; empty where never known together."""
    factors = list(matrix.index)
    names = [BY_NAME[name].title for name in factors]
    values = matrix.to_numpy(dtype=np.float64).copy()
    np.fill_diagonal(values, np.nan)
    together = matrix.attrs["n"]
    counts = [[together[one][other] for other in factors] for one in factors]
    marks = [str(place + 1) for place in range(len(names))] if compact else names
    return make_figure(
        [
            {
                "type": "heatmap",
                "x": marks,
                "y": [f"{name} {mark}" for name, mark in zip(names, marks, strict=True)]
                if compact
                else names,
                "z": values,
                "zmin": -1,
                "zmax": 1,
                "colorscale": [[0, colours.short], [0.5, colours.ground], [1, colours.long]],
                "showscale": False,
                "xgap": 2,
                "ygap": 2,
                "hoverongaps": False,
                "text": [
                    # A phone has no room for a sign that the colour shows: blue is above 0.
                    [_bare(value) if compact else _two(value) for value in row]
                    for row in values
                ],
                "texttemplate": "%{text}",
                "textfont": {"size": 10 if compact else 12},
                "hovertext": [
                    [
                        f"{names[i]} and {names[j]}: {_two(values[i, j])}, n {number(counts[i][j])}"
                        for j in range(len(names))
                    ]
                    for i in range(len(names))
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        ],
        {
            "template": template(colours.mode),
            "height": 40 * len(names) + (40 if compact else 90),
            "margin": {"l": 146 if compact else 140, "r": 4, "t": 8, "b": 30 if compact else 80},
            "dragmode": False,
            "xaxis": {
                "fixedrange": True,
                "showgrid": False,
                "showspikes": False,
                "type": "category",
            },
            "yaxis": {
                "fixedrange": True,
                "showgrid": False,
                "autorange": "reversed",
                "automargin": False,
                "tickfont": {"color": colours.ink, "size": 11 if compact else 12},
                "ticks": "outside",
                "ticklen": 5,
                "tickcolor": "rgba(0,0,0,0)",
                "type": "category",
            },
        },
        alt=_correlation_alt(names, values),
    )


def _reach(table: pd.DataFrame) -> float:
    values = table[["ic", "low", "high"]].to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    return 1.1 * max(float(np.abs(values).max()) if len(values) else 0.0, _LEAST_REACH)


def _axes(
    cell: Cell, factors: Sequence[str], reach: float, ticks: int, colours: Palette
) -> dict[str, Any]:
    titles = [BY_NAME[name].title for name in factors]
    return placed(
        cell,
        value_axis(
            (-reach, reach),
            {tick: number(tick, 2, sign=True) for tick in axis_ticks(-reach, reach, ticks)},
        )
        | {
            "title": {"text": "information coefficient" if cell.column == 0 else "", "standoff": 6},
            "zeroline": True,
            "zerolinecolor": colours.neutral,
            "tickangle": 0,
        },
        {
            "range": [len(factors) - 0.4, -0.6],
            "tickvals": list(range(len(factors))) if cell.column == 0 else [],
            "ticktext": titles if cell.column == 0 else [],
            "fixedrange": True,
            "automargin": False,
            "showgrid": False,
            "zeroline": False,
            "showspikes": False,
            "tickfont": {"color": colours.ink},
        },
    )


def _traces(rows: pd.DataFrame, colours: Palette) -> list[dict[str, Any]]:
    places = list(range(len(rows)))
    banded = [
        (low, high, y)
        for low, high, y in zip(rows["low"], rows["high"], places, strict=True)
        if known(low)
    ]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [value for low, high, _ in banded for value in (low, high, None)],
            "y": [value for _, _, y in banded for value in (y, y, None)],
            "line": {"color": colours.line, "width": 12},
            "hoverinfo": "skip",
            "name": "95 % interval",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": rows["ic"].to_numpy(dtype=np.float64),
            "y": places,
            "marker": {
                "symbol": ["circle" if known(low) else "circle-open" for low in rows["low"]],
                "size": 9,
                "color": colours.ink,
                "line": {"width": 1.6, "color": colours.ink},
            },
            "hovertext": [_said(str(name), row) for name, row in rows.iterrows()],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "name": "information coefficient",
        },
    ]


def _said(factor: str, row: pd.Series) -> str:
    if not known(row["ic"]):
        return f"{BY_NAME[factor].title}: not known"
    band = (
        f"95 % interval {_two(row['low'])} to {_two(row['high'])}"
        if known(row["low"])
        else str(row["note"])
    )
    return f"{BY_NAME[factor].title}: {_two(row['ic'])}, {band}, n {number(row['n'])}"


def _two(value: float) -> str:
    return number(value, 2, sign=True) if known(value) else DASH if np.isinf(value) else ""


def _bare(value: float) -> str:
    """A correlation in the fewest characters.

    >>> _bare(-0.43), _bare(0.001), _bare(1.0)
    ('−.43', '.00', '1.00')
    """
    if not known(value):
        return _two(value)
    text = number(value, 2)
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text


def _information_alt(table: pd.DataFrame) -> str:
    said = [
        f"{_said(row['factor'], row)} at {hours(row['horizon'])}." for _, row in table.iterrows()
    ]
    return f"Information coefficients of the factors. {' '.join(said)}"


def _correlation_alt(names: Sequence[str], values: Any) -> str:
    pairs = [
        (abs(values[i, j]), f"{names[i]} and {names[j]} {_two(values[i, j])}")
        for i in range(len(names))
        for j in range(i)
        if known(values[i, j])
    ]
    strongest = "; ".join(text for _, text in sorted(pairs, reverse=True)[:5])
    return f"Correlations between factors, the strongest first: {strongest or 'none is known'}."
