"""The chart of a symbol: price with its signals, score, and what the market did, on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.ui.charts.figure import Figure
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
) -> Figure:
    """The panes asked for, all by default, above one time axis.

    See `core.ui.charts.stack.stack` for ``compact`` and ``keep``.
    """
    drawn = [PANES[name](view) for name in (panes or PANES)]
    return stack(
        drawn,
        view.window,
        view.times,
        view.colours,
        about=f"{view.symbol}.",
        opened=view.opened,
        compact=compact,
        keep=keep,
    )
