"""The one line on top of every page: which market, how old its data, the mode, the zone, what runs."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path

import streamlit as st

from core.accounts import Person
from core.market.choice import Market
from core.ui import loaders
from core.ui.auto_banner import draw_auto_banner
from core.ui.controls import draw_mode, draw_zone, reader_clock
from core.ui.formats import Clock, duration
from core.ui.instance import instance
from core.ui.replaying import draw_replays, is_running

_STYLE = (Path(__file__).parent / "header.css").read_text(encoding="utf-8")
_REFRESH_SECONDS = 30


def draw_header(person: Person) -> None:
    """Draw the line; call it before the page, which then finds mode and zone chosen."""
    market = instance().market
    st.html(f"<style>{_STYLE}</style>")
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key="header", wrap=True
    ):
        demo = market.kind == "demo"
        with st.container(width="stretch" if demo else "content", key="market"):
            st.html(badge_html(market))
        # Filled last: its words are in the zone that is chosen beside it.
        age = st.container(width="content" if demo else "stretch", key="data_age")
        draw_mode()
        draw_zone()
    with age:
        _draw_age(market)
    draw_auto_banner(person)
    draw_replays()


def market_now(market: Market, through: datetime | None) -> datetime:
    """The time by which ages are told: now for a live market, else the market's last bar."""
    if market.kind == "live" or through is None:
        return datetime.now(UTC)
    return through


def _draw_age(market: Market) -> None:
    def draw() -> None:
        span = loaders.load_span()
        through = span[1] if span else None
        now, running = datetime.now(UTC), is_running()
        words = age_html(market, through, reader_clock(), now, running=running)
        st.html(f'<span class="cx-note">{words}</span>')

    st.fragment(draw, run_every=_REFRESH_SECONDS if market.kind == "live" else None)()


def badge_html(market: Market) -> str:
    """Which market this is; a simulated one in a striped band that cannot be missed."""
    if market.kind == "demo":
        return (
            '<div class="cx-badge simulated" role="note"><b>SIMULATED MARKET</b>'
            "<span>Made-up prices: nothing of this happened.</span></div>"
        )
    if market.kind == "recording":
        return f'<div class="cx-badge recording" title="{escape(market.label)}">RECORDING</div>'
    return '<div class="cx-badge live"><i></i>LIVE</div>'


def age_html(
    market: Market, through: datetime | None, clock: Clock, now: datetime, *, running: bool = False
) -> str:
    """How far the data goes. A market that has ended is not called old, but ended; one whose past
    is still being worked through has come so far."""
    if through is None:
        return "no data yet"
    at = f"<b>{clock.stamp(through)}</b>"
    if running:
        return f"worked through up to {at}"
    if market.kind == "demo":
        return f"simulation ends {at}"
    if market.kind == "recording":
        return f"recording ends {at}"
    return f"data up to {at}, {duration(now - through)} ago"
