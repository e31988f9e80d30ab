"""The charts as Plotly knows them: what it does not know in a figure is an error of the test."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import plotly.graph_objects as go

from core.ui.charts import (
    curves,
    factor_knowledge,
    heat_map,
    liquidations,
    market,
    ranking,
    rates,
    reliability,
    spread_of_r,
)
from core.ui.charts.figure import Figure
from core.ui.draw import Ready

P = ParamSpec("P")


def plotted(draw: Callable[P, Figure]) -> Callable[P, go.Figure]:
    """The same chart, made ready for the browser too, and checked."""

    @wraps(draw)
    def drawn(*args: P.args, **named: P.kwargs) -> go.Figure:
        figure = draw(*args, **named)
        assert Ready.of(figure).alt
        return go.Figure(figure)

    return drawn


market_figure = plotted(market.market_figure)
flow_figure = plotted(liquidations.flow_figure)
ranking_figure = plotted(ranking.ranking_figure)
heat_figure = plotted(heat_map.heat_figure)
rates_figure = plotted(rates.rates_figure)
curves_figure = plotted(curves.curves_figure)
spread_figure = plotted(spread_of_r.spread_figure)
reliability_figure = plotted(reliability.reliability_figure)
information_figure = plotted(factor_knowledge.information_figure)
correlation_figure = plotted(factor_knowledge.correlation_figure)
