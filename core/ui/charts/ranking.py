"""Who adds up to what: longs to the right of zero, shorts to the left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.ui.charts.figure import Figure, make_figure
from core.ui.charts.stack import axis_ticks
from core.ui.charts.view import hover
from core.ui.formats import compact, count
from core.ui.palette import Palette, template

_ROW_PX, _FOOT_PX = 25, 44


def ranking_figure(
    ranked: pd.DataFrame, colours: Palette, *, what: str, rows: int, narrow: bool = False
) -> Figure:
    """The first rows of longs and shorts by name, the others as one, always as tall as ``rows``.

    ``what`` is one of the names' kind, as "symbol".
    """
    shown = _with_others(ranked, rows)
    reach = 1.45 * max(1.0, float(np.max(shown.to_numpy(), initial=0.0)))
    ticks = axis_ticks(-reach / 1.2, reach / 1.2, 2 if narrow else 4)
    return make_figure(
        [
            _bars(shown["long_usd"], colours.long, "longs", 1),
            _bars(shown["short_usd"], colours.short, "shorts", -1),
        ],
        {
            "template": template(colours.mode),
            "height": rows * _ROW_PX + _FOOT_PX,
            "margin": {"l": 104, "r": 4, "t": 0, "b": _FOOT_PX},
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": False,
            "barmode": "overlay",
            "bargap": 0.3,
            "xaxis": {
                "range": [-reach, reach],
                "tickvals": ticks,
                "ticktext": [compact(abs(tick)) for tick in ticks],
                "title": {"text": "▼ shorts, USD | ▲ longs, USD", "standoff": 4},
                "fixedrange": True,
                "automargin": False,
                "zeroline": True,
                "zerolinecolor": colours.neutral,
                "showspikes": False,
            },
            "yaxis": {
                "range": [rows - 0.5, -0.5],
                "tickvals": list(range(len(shown))),
                "ticktext": [str(name) for name in shown.index],
                "fixedrange": True,
                "showgrid": False,
                "automargin": False,
                "tickfont": {"color": colours.ink},
            },
        },
        alt=_says(shown, what),
    )


def _with_others(ranked: pd.DataFrame, rows: int) -> pd.DataFrame:
    if len(ranked) <= rows:
        return ranked
    others = ranked.iloc[rows - 1 :]
    rest = others.sum().to_frame(f"{len(others)} others").T
    return pd.concat([ranked.iloc[: rows - 1], rest])


def _bars(usd: pd.Series, colour: str, name: str, sign: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "x": (sign * usd).to_numpy(),
        "y": list(range(len(usd))),
        "marker": {"color": colour, "line": {"width": 0}},
        "text": [
            compact(value) if value else "" for value in usd.to_numpy(dtype=np.float64).tolist()
        ],
        "textposition": "outside",
        "textfont": {"size": 12},
        "cliponaxis": False,
        "name": name,
        **hover(
            [
                f"{label}: {name} {compact(value)} USD"
                for label, value in zip(
                    usd.index, usd.to_numpy(dtype=np.float64).tolist(), strict=True
                )
            ]
        ),
    }


def _says(shown: pd.DataFrame, what: str) -> str:
    said = [
        f"{name}: longs {compact(longs)}, shorts {compact(shorts)}"
        for name, (longs, shorts) in zip(shown.index, shown.to_numpy().tolist(), strict=True)
    ]
    return f"USD liquidated by {what}, {count(len(said), 'row')}. {'; '.join(said)}."
