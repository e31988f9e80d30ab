"""The chart of a symbol: price with its signals, score, and what the market did, on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import plotly.graph_objects as go

from core.ui.charts.price import draw_price
from core.ui.charts.series import (
    draw_crowd,
    draw_funding,
    draw_liquidations,
    draw_open_interest,
    draw_score,
)
from core.ui.charts.stack import Pane, stack
from core.ui.charts.view import View

PANES: dict[str, Callable[[View], Pane]] = {
    "price": draw_price,
    "score": draw_score,
    "liquidations": draw_liquidations,
    "open interest": draw_open_interest,
    "funding": draw_funding,
    "crowd": draw_crowd,
}


def market_figure(
    view: View, panes: Sequence[str] | None = None, *, compact: bool = False, keep: str = ""
) -> go.Figure:
    """The panes asked for, all by default, above one time axis.

    ``layout.meta`` holds the alt text (``alt``) and, for the page to print where the figure is
    ``compact`` and has no room for it, the first pane's ``title`` and ``look``. The reader's zoom
    lasts as long as ``keep`` stays the same.
    """
    drawn = [PANES[name](view) for name in (panes or PANES)]
    figure = stack(
        drawn, view.window, view.times, view.colours, opened=view.opened, compact=compact
    )
    figure.update_layout(
        uirevision=keep,
        meta={
            "alt": " ".join([f"{view.symbol}.", *(pane.says for pane in drawn)]),
            "title": f"{drawn[0].title}, {drawn[0].unit}",
            "look": drawn[0].look,
        },
    )
    return figure
