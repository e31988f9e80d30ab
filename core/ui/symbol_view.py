"""The chart of one market, made once for all readers who look at the same."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.ui import loaders
from core.ui.charts import Levels, TimeAxis, View, Window, market_figure
from core.ui.draw import Ready
from core.ui.formats import Clock
from core.ui.loaders.shared import shared
from core.ui.palette import Palette
from core.verdicts import settle


@dataclass(frozen=True)
class Charted:
    """What a chart is of: ``opened`` is the time of the signal beside it, if not the newest, whose
    ``levels`` are drawn; ``span`` None is all there is. The thresholds are those of its profile."""

    symbol: str
    mode: str
    span: pd.Timedelta | None
    opened: pd.Timestamp | None
    levels: Levels | None
    long_threshold: float
    short_threshold: float


@shared
def read_history(symbol: str, mode: str) -> pd.DataFrame:
    """Every stored row of a market with the verdict that stands, by time."""
    return settle(loaders.load_history(symbol, mode), loaders.load_past_verdicts(symbol, mode))


@shared
def read_chart(
    of: Charted, clock: Clock, colours: Palette, panes: tuple[str, ...], compact: bool, keep: str
) -> Ready:
    """The panes asked for, or all where none is; see `core.ui.charts.market_figure`."""
    history = read_history(of.symbol, of.mode)
    window = Window.around(history.index[0], history.index[-1], of.span, of.opened)
    start, end = window.start.to_pydatetime(), window.end.to_pydatetime()
    view = View(
        of.symbol,
        loaders.load_bars(of.symbol, start, end),
        history,
        window,
        TimeAxis(clock),
        colours,
        of.long_threshold,
        of.short_threshold,
        of.levels,
        of.opened,
        loaders.load_thresholds(of.mode, history),
    )
    return Ready.of(market_figure(view, panes, compact=compact, keep=keep))
