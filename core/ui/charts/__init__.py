"""Charts as functions from frames to figures; see `core.ui.charts.figure`."""

from core.ui.charts.market import PANES, market_figure
from core.ui.charts.marks import signal_runs
from core.ui.charts.steps import Window
from core.ui.charts.times import TimeAxis
from core.ui.charts.view import Levels, View, bar_of, levels_of

__all__ = [
    "PANES",
    "Levels",
    "TimeAxis",
    "View",
    "Window",
    "bar_of",
    "levels_of",
    "market_figure",
    "signal_runs",
]
