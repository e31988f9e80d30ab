"""How often alerts fired, by day: stacked by severity, the worst at the bottom."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.stack import axis_ticks
from core.ui.formats import count, number
from core.ui.palette import Palette, template

_HEIGHT = 150


def firings_figure(
    days: pd.DataFrame, severities: Sequence[str], colours: Palette, *, zone: str
) -> Figure:
    """Index: day (no zone), a row for each; a column of counts per severity, the worst first."""
    top = max(1.0, float(days.sum(axis=1).max()))
    ticks = [tick for tick in axis_ticks(0, top, 3) if float(tick).is_integer()]
    fills = {"critical": colours.failing, "warning": colours.muted, "info": colours.ground}
    total = int(days.to_numpy().sum())
    busiest = days.sum(axis=1).idxmax()
    return make_figure(
        [
            {
                "type": "bar",
                "x": [f"{day:%Y-%m-%d}" for day in days.index],
                "y": days[severity].to_numpy(),
                "name": severity,
                "marker": {
                    "color": fills[severity],
                    "line": {"color": colours.muted, "width": 1 if severity == "info" else 0},
                },
                "hovertemplate": f"%{{x|%-d %b}}: %{{y}} {severity}<extra></extra>",
            }
            for severity in severities
            if days[severity].any()
        ],
        {
            "template": template(colours.mode),
            "height": _HEIGHT,
            "barmode": "stack",
            "bargap": 0.25,
            "margin": {"l": 36, "r": 4, "t": 24, "b": 28},
            "dragmode": False,
            "showlegend": True,
            "uirevision": "firings",
            "xaxis": {"fixedrange": True, "showgrid": False, "showspikes": False},
            "yaxis": {
                "fixedrange": True,
                "range": [0, 1.1 * top],
                "tickvals": ticks,
                "ticktext": [number(tick) for tick in ticks],
                "automargin": False,
            },
        },
        alt=f"{count(total, 'firing')} in {count(len(days), 'day')} ({zone}), most on {busiest:%d %b}.",
    )
