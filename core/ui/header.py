"""On top of every page: which market, how fresh its data, the mode, the zone, and what is amiss."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import streamlit as st

from core.accounts import Person
from core.errors import StoreError
from core.instance import instance, serving_since
from core.market.choice import Market
from core.store.vitals import Vitals
from core.ui import loaders
from core.ui.alerts.bell import bell_now, draw_bell
from core.ui.auto_banner import draw_auto_banner
from core.ui.controls import draw_mode, draw_zone, reader_clock
from core.ui.formats import UTC_CLOCK, Clock, duration
from core.ui.freshness import Circumstances, Freshness, away_words, freshness
from core.ui.pulse import away_now, newest_round, read_pulse
from core.ui.replaying import draw_replays, is_running
from core.ui.session import renewed
from core.ui.watched import watch, watched

_STYLE = (Path(__file__).parent / "header.css").read_text(encoding="utf-8")
_ROUND = "_newest_round"


def draw_header(person: Person) -> None:
    """Draw the line; call it before the page, which then finds mode and zone chosen."""
    market = instance().market
    st.html(f"<style>{_STYLE}</style>")
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key="header", wrap=True
    ):
        if market.kind == "live":
            st.session_state[_ROUND] = newest_round()
            with st.container(width="stretch", key="moving"):
                _move()
        else:
            with st.container(
                width="stretch" if market.simulated else "content", key="which_market"
            ):
                st.html(badge_html(market))
            # Filled last: its words are in the zone that is chosen beside it.
            age = st.container(width="content" if market.simulated else "stretch", key="data_age")
            with st.container(width="content", key="bells"):
                draw_bell(market, datetime.now(UTC))
        draw_mode()
        draw_zone()
    if market.kind != "live":
        with age:
            _draw_end(market)
    _draw_amiss()
    draw_auto_banner(person)
    draw_replays()


def draw_bare_header() -> None:
    """Only which market it is and what is amiss, for whoever looks."""
    market = instance().market
    st.html(f"<style>{_STYLE}</style>")
    with st.container(key="which_market"):
        st.html(badge_html(market, "stale"))
    _draw_amiss(shown=False)


def market_now(market: Market, through: datetime | None) -> datetime:
    """The time by which ages are told: now for a live market, else the market's last bar."""
    if market.kind == "live" or through is None:
        return datetime.now(UTC)
    return through


def freshness_now(now: datetime, clock: Clock, *, shown: bool = True) -> Freshness:
    """How fresh what is shown is; of a market that has ended only whether the database answers.

    ``shown`` is whether anything is, beside this.
    """
    away, vitals = away_now(), read_pulse().vitals
    if away is not None and away.away_since is not None:
        known_at = away.known_at if shown else None
        return Freshness("stale", away_words(away.away_since, known_at, now, clock))
    if vitals is None:
        return Freshness("live")
    settings = instance().settings
    around = Circumstances(serving_since(), settings.exchanges, settings.worker)
    return freshness(vitals, around, now, clock)


@renewed()
def _move() -> None:
    """Badge and age of a live market, which count by themselves, and the bell; a new round renews the
    page."""
    market, now = instance().market, datetime.now(UTC)
    if newest_round() != st.session_state.get(_ROUND):
        st.rerun()
    with (
        watch("round", "head", spread="round"),
        st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=True),
    ):
        with st.container(width="stretch", key="data_age"):
            _draw_live(market, now)
        with st.container(width="content", key="bells"):
            draw_bell(market, now)


@watched("round")
def _round(_now: datetime) -> object:
    return newest_round()


@watched("head")
def _head(now: datetime) -> object:
    """All that `_move` draws, in a clock that is the same for everybody."""
    vitals, market = read_pulse().vitals or Vitals(), instance().market
    return (
        freshness_now(now, UTC_CLOCK).state,
        age_html(market, vitals.newest_bar, UTC_CLOCK, now, running=vitals.catching_up),
        bell_now(market, now),
    )


def _draw_live(market: Market, now: datetime) -> None:
    vitals, clock = read_pulse().vitals or Vitals(), reader_clock()
    badge = badge_html(market, freshness_now(now, clock).state)
    age = age_html(market, vitals.newest_bar, clock, now, running=vitals.catching_up)
    st.html(f'<div class="cx-live">{badge}<span class="cx-note">{age}</span></div>')


def _draw_end(market: Market) -> None:
    try:
        span, running = loaders.load_span(), is_running()
    except StoreError:
        return  # The line below says why nothing is known.
    through = span[1] if span else None
    words = age_html(market, through, reader_clock(), datetime.now(UTC), running=running)
    st.html(f'<span class="cx-note">{words}</span>')


@renewed()
def _draw_amiss(*, shown: bool = True) -> None:
    with watch("amiss"):
        found = freshness_now(datetime.now(UTC), reader_clock(), shown=shown)
        if found.words:
            st.html(amiss_html(found))


@watched("amiss", for_all=True)
def _amiss(now: datetime) -> object:
    return freshness_now(now, UTC_CLOCK)


def amiss_html(found: Freshness) -> str:
    """The sentence under the line; what is stale is hatched, a note is calm.

    >>> amiss_html(Freshness("live", "Ask `doctor`."))
    '<div class="cx-amiss" role="status"><span>Ask <code>doctor</code>.</span></div>'
    """
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(found.words, quote=False))
    kind = " stale" if found.state == "stale" else ""
    hatch = "<i></i>" if kind else ""
    return f'<div class="cx-amiss{kind}" role="status">{hatch}<span>{words}</span></div>'


def badge_html(market: Market, state: str = "live") -> str:
    """Which market this is; a simulated one in a striped band that cannot be missed."""
    if market.kind == "demo":
        return (
            '<div class="cx-badge simulated" role="note"><b>SIMULATED MARKET</b>'
            "<span>Made-up prices: nothing of this happened.</span></div>"
        )
    if market.kind == "recording":
        return f'<div class="cx-badge recording" title="{escape(market.label)}">RECORDING</div>'
    return f'<div class="cx-badge {state}"><i></i>{"STALE" if state == "stale" else "LIVE"}</div>'


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
