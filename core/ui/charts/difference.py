"""What one profile made more than another: the difference of every day, added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.grid import Cell, grid_frame, placed, value_axis
from core.ui.charts.stack import axis_ticks
from core.ui.charts.times import TimeAxis
from core.ui.charts.view import room
from core.ui.claims import hours
from core.ui.formats import UTC_CLOCK, number, r_multiple
from core.ui.palette import Palette

_CELL_PX = 240
_UTC = TimeAxis(UTC_CLOCK)


def difference_figure(daily: Mapping[str, pd.Series], colours: Palette) -> Figure:
    """``daily`` by horizon: the difference of net R per day, index day. A chart per horizon."""
    layout = grid_frame(1, _CELL_PX, colours) | {"hovermode": "x"}
    sums = {horizon: values.cumsum() for horizon, values in daily.items()}
    data: list[dict[str, Any]] = []
    for column, (horizon, values) in enumerate(sums.items()):
        cell = Cell(0, column, 1, len(sums), label_part=0.16)
        ends = room([*values, 0.0], around=0.0)
        ticks = axis_ticks(*ends, 4)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": _UTC.of(values.index),
                "y": values.to_numpy(dtype=np.float64),
                "line": {"color": colours.ink, "width": 1.6, "shape": "hv"},
                "hovertemplate": "%{y:+.1f} R<extra></extra>",
                **cell.axes,
            }
        )
        across = {
            "type": "date",
            "nticks": 4,
            "tickangle": 0,
            "fixedrange": True,
            "hoverformat": "%-d %b %Y",
            "title": {"text": "Day (UTC)"},
        }
        up = value_axis(
            ends,
            {tick: number(tick, 0 if ends[1] - ends[0] > 4 else 1, sign=True) for tick in ticks},
        )
        up |= {"zeroline": True, "zerolinecolor": colours.neutral}
        layout |= placed(cell, across, up)
        words = f"<b>{hours(horizon)}</b>  <span style='color:{colours.muted}'>R, added up</span>"
        layout["annotations"].append(cell.head(words))
    said = [f"{horizon} {r_multiple(values.iloc[-1], 1)}" for horizon, values in sums.items()]
    alt = f"Difference of net R, added up by day: {', '.join(said)}."
    return make_figure(data, layout, alt=alt)
