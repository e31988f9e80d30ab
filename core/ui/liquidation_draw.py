"""The parts of the page of liquidations, each drawn from what `core.ui.liquidation_view` reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import streamlit as st

from core.ui import liquidation_parts as parts
from core.ui.charts import TimeAxis
from core.ui.charts.heat_map import HOW_TO_READ, heat_figure
from core.ui.charts.liquidations import flow_figure
from core.ui.charts.ranking import ranking_figure
from core.ui.controls import reader_clock
from core.ui.liquidation_view import (
    Asked,
    Spikes,
    Tally,
    ranked,
    read_events,
    read_map,
    read_spikes,
)
from core.ui.live_chart import draw_live_figure
from core.ui.palette import palette
from core.ui.session import renewed
from core.ui.states import store_failures_shown
from core.ui.tape import draw_tape
from core.ui.viewport import is_narrow

REFRESH_SECONDS = 2
BY_SYMBOL, BY_VENUE = "symbols", "venues"
_TAPE_ROWS, _LARGEST_ROWS, _SYMBOL_ROWS = 100, 10, 12
_TAPE_PX, _SPIKES_PX = 352, 290


def draw_moving(draw: Callable[[], None]) -> None:
    """Draw a part of the page now and every two seconds, and nothing else with it."""

    def drawn() -> None:
        with store_failures_shown():
            draw()

    renewed(REFRESH_SECONDS)(drawn)()


def draw_headline(tally: Tally, asked: Asked) -> None:
    st.html(parts.headline(tally, asked))


def draw_flow(tally: Tally, asked: Asked, *panes: str) -> None:
    """What was liquidated over time; one pane with its words above it, or all."""
    flow = tally.flow(TimeAxis(reader_clock()), palette())
    figure = flow_figure(flow, panes, narrow=bool(panes), keep=f"{asked.key} {panes}")
    if panes:
        st.markdown(f"**{figure.layout.meta['title']}**  \n{figure.layout.meta['look']}")
    draw_live_figure(figure, key="flow")


def draw_ranking(tally: Tally, by: str) -> None:
    """Who adds up to what."""
    what = by.removesuffix("s")
    found = ranked(tally, what)
    rows = _SYMBOL_ROWS if by == BY_SYMBOL else max(len(found), len(tally.streams), 1)
    st.markdown(f"**By {what}**  \nWho adds up to what in the window")
    figure = ranking_figure(found, palette(), what=what, rows=rows, narrow=is_narrow())
    draw_live_figure(figure, key=f"by_{what}")


def draw_one(tally: Tally, asked: Asked, part: str) -> None:
    """The one chart that a narrow screen shows."""
    if part in (BY_SYMBOL, BY_VENUE):
        draw_ranking(tally, part)
    else:
        draw_flow(tally, asked, part)


def draw_tape_part(asked: Asked, tally: Tally) -> None:
    """The newest events, and the streams they come by."""
    now, clock = tally.stretch.now, reader_clock()
    st.markdown(f"**Tape**  \nNewest first, in USD; times in {clock.label}")
    nothing = f"No event passes the filters in the last {asked.window}."
    events = read_events(asked, now, limit=_TAPE_ROWS)
    draw_tape(events, clock, height=_TAPE_PX, nothing=nothing)
    st.html(parts.streams_part(tally.streams, now, clock))


def draw_judged(asked: Asked, now: datetime) -> None:
    """The largest events, and the markets that stand out."""
    clock = reader_clock()
    st.markdown(f"**Largest events of the window**  \nTimes in {clock.label}")
    largest = read_events(asked, now, limit=_LARGEST_ROWS, largest=True)
    st.html(parts.largest_part(largest, clock))
    draw_spikes(read_spikes(asked, now))


def draw_spikes(spikes: Spikes) -> None:
    """Markets that stand out; of one height on a wide screen, so that nothing below it moves."""
    st.markdown("**What stands out now**")
    height: Literal["content"] | int = "content" if is_narrow() else _SPIKES_PX
    with st.container(height=height, border=False, key="spikes"):
        st.html(parts.spikes_part(spikes))


def draw_map(asked: Asked, symbol: str, now: datetime) -> None:
    """Where in price and time one market's events were reported."""
    st.markdown(HOW_TO_READ)
    view = read_map(asked, symbol, now, TimeAxis(reader_clock()), palette())
    figure = heat_figure(view, narrow=is_narrow(), keep=f"{asked.key} {symbol}")
    draw_live_figure(figure, key="heat")


def draw_gaps(tally: Tally) -> None:
    """When which stream was not heard."""
    st.markdown("**Gaps: when a stream was not heard**")
    at = tally.stretch
    st.html(parts.gaps_part(tally.gaps, at.start, at.now, reader_clock()))
