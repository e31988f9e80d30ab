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
from core.ui.draw import Ready, draw_figure
from core.ui.formats import Clock
from core.ui.liquidation_view import (
    Asked,
    Spikes,
    Tally,
    ranked,
    read_bar_tally,
    read_events,
    read_map,
    read_spikes,
    read_streams,
    read_tally,
)
from core.ui.loaders.shared import shared
from core.ui.palette import Palette, palette
from core.ui.session import renewed
from core.ui.states import store_failures_shown
from core.ui.tape import draw_tape, tape_rows
from core.ui.viewport import is_narrow

REFRESH_SECONDS, SLOWLY_SECONDS = 2.0, 10.0
BY_SYMBOL, BY_VENUE = "symbols", "venues"
_TAPE_ROWS, _LARGEST_ROWS, _SYMBOL_ROWS = 100, 10, 12
_TAPE_PX, _SPIKES_PX = 352, 290


def draw_moving(draw: Callable[[], None], every: float = REFRESH_SECONDS) -> None:
    """Draw a part of the page now and every few seconds, and nothing else with it.

    What sums up hours moves slowly: it is looked at no more often than it changes for the eye.
    """

    def drawn() -> None:
        with store_failures_shown():
            draw()

    renewed(every)(drawn)()


# What is drawn follows from what was asked, the moment, and the reader's clock and colours: it is made
# once for all who look at the same.


def draw_headline(tally: Tally, asked: Asked) -> None:
    st.html(_headline(asked, tally.stretch.now, tally.hourly))


@shared
def _headline(asked: Asked, now: datetime, hourly: bool) -> str:
    return parts.headline(_tally(asked, now, hourly), asked)


def draw_flow(tally: Tally, asked: Asked, *panes: str) -> None:
    """What was liquidated over time; one pane with its words above it, or all."""
    at = tally.stretch.now
    figure = _flow(asked, at, tally.hourly, reader_clock(), palette(), panes)
    if panes:
        st.markdown(figure.words)
    draw_figure(figure, key="flow")


@shared
def _flow(
    asked: Asked,
    now: datetime,
    hourly: bool,
    clock: Clock,
    colours: Palette,
    panes: tuple[str, ...],
) -> Ready:
    flow = _tally(asked, now, hourly).flow(TimeAxis(clock), colours)
    return Ready.of(flow_figure(flow, panes, narrow=bool(panes), keep=f"{asked.key} {panes}"))


def _tally(asked: Asked, now: datetime, hourly: bool) -> Tally:
    return read_bar_tally(asked, now) if hourly else read_tally(asked, now)


def draw_ranking(tally: Tally, asked: Asked, by: str) -> None:
    """Who adds up to what."""
    what = by.removesuffix("s")
    st.markdown(f"**By {what}**  \nWho adds up to what in the window")
    at = tally.stretch.now
    figure = _ranking(asked, at, tally.hourly, palette(), what, is_narrow())
    draw_figure(figure, key=f"by_{what}")


@shared
def _ranking(
    asked: Asked, now: datetime, hourly: bool, colours: Palette, what: str, narrow: bool
) -> Ready:
    tally = _tally(asked, now, hourly)
    found = ranked(tally, what)
    rows = _SYMBOL_ROWS if what == "symbol" else max(len(found), len(tally.streams), 1)
    return Ready.of(ranking_figure(found, colours, what=what, rows=rows, narrow=narrow))


def draw_one(tally: Tally, asked: Asked, part: str) -> None:
    """The one chart that a narrow screen shows."""
    if part in (BY_SYMBOL, BY_VENUE):
        draw_ranking(tally, asked, part)
    else:
        draw_flow(tally, asked, part)


def draw_tape_part(asked: Asked, now: datetime) -> None:
    """The newest events, and the streams they come by."""
    clock = reader_clock()
    st.markdown(f"**Tape**  \nNewest first, in USD; times in {clock.label}")
    nothing = f"No event passes the filters in the last {asked.window}."
    draw_tape(_tape(asked, now, clock), height=_TAPE_PX, nothing=nothing)
    st.html(_streams(asked.streams, now, clock))


@shared
def _streams(names: tuple[str, ...], now: datetime, clock: Clock) -> str:
    return parts.streams_part(read_streams(names, now), now, clock)


@shared
def _tape(asked: Asked, now: datetime, clock: Clock) -> str:
    return tape_rows(read_events(asked, now, limit=_TAPE_ROWS), clock)


def draw_judged(asked: Asked, now: datetime) -> None:
    """The largest events, and the markets that stand out."""
    clock = reader_clock()
    st.markdown(f"**Largest events of the window**  \nTimes in {clock.label}")
    st.html(_largest(asked, now, clock))
    _draw_spikes(_spikes(asked, now))


@shared
def _spikes(asked: Asked, now: datetime) -> str:
    return parts.spikes_part(read_spikes(asked, now))


@shared
def _largest(asked: Asked, now: datetime, clock: Clock) -> str:
    return parts.largest_part(read_events(asked, now, limit=_LARGEST_ROWS, largest=True), clock)


def draw_spikes(spikes: Spikes) -> None:
    """Markets that stand out."""
    _draw_spikes(parts.spikes_part(spikes))


def _draw_spikes(part: str) -> None:
    """Of one height on a wide screen, so that nothing below it moves."""
    st.markdown("**What stands out now**")
    height: Literal["content"] | int = "content" if is_narrow() else _SPIKES_PX
    with st.container(height=height, border=False, key="spikes"):
        st.html(part)


def draw_map(asked: Asked, symbol: str, now: datetime) -> None:
    """Where in price and time one market's events were reported."""
    st.markdown(HOW_TO_READ)
    draw_figure(_map(asked, symbol, now, reader_clock(), palette(), is_narrow()), key="heat")


@shared
def _map(
    asked: Asked, symbol: str, now: datetime, clock: Clock, colours: Palette, narrow: bool
) -> Ready:
    view = read_map(asked, symbol, now, TimeAxis(clock), colours)
    return Ready.of(heat_figure(view, narrow=narrow, keep=f"{asked.key} {symbol}"))


def draw_gaps(asked: Asked, now: datetime) -> None:
    """When which stream was not heard."""
    st.markdown("**Gaps: when a stream was not heard**")
    st.html(_gaps(asked, now, reader_clock()))


@shared
def _gaps(asked: Asked, now: datetime, clock: Clock) -> str:
    tally = read_tally(asked, now)
    return parts.gaps_part(tally.gaps, tally.stretch.start, now, clock)
