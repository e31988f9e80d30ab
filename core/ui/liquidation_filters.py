"""What the reader of the page of liquidations can choose, all of it in the address."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.market.liquidation_windows import OF_BARS, USUAL, USUAL_OF_BARS, WINDOWS, usual_venues
from core.ui.liquidation_view import SIZES, Asked
from core.ui.venues import venue_name


def ask(venues: Sequence[str], symbols: Sequence[str]) -> Asked:
    """Window, venues, symbols and the smallest event, of a market whose single events are known."""
    with _row():
        window = _ask_window(tuple(WINDOWS), USUAL)
        named = st.multiselect(
            "Venues",
            venues,
            key="venues",
            format_func=venue_name,
            placeholder="All venues",
            bind="query-params",
            label_visibility="collapsed",
            width=200,
        )
        chosen = _ask_symbols(symbols)
        size = st.selectbox(
            "Smallest event",
            list(SIZES),
            key="smallest",
            bind="query-params",
            label_visibility="collapsed",
            help="For the tape, the largest events and the map; sums hold events of every size.",
            width=150,
        )
    usual, left_out = usual_venues(venues)
    least = SIZES.get(size or "", 0.0)
    if named:
        return Asked(window, tuple(sorted(named)), (), chosen, least)
    return Asked(window, usual, left_out, chosen, least)


def ask_of_bars(symbols: Sequence[str]) -> Asked:
    """Window and symbols, of a market of which only hourly totals are known."""
    with _row():
        window = _ask_window(OF_BARS, USUAL_OF_BARS)
        return Asked(window, (), (), _ask_symbols(symbols))


def ask_symbol(symbols: Sequence[str], usual: str) -> str:
    """The market of the map."""
    chosen = st.selectbox(
        "Market of the map",
        symbols,
        index=symbols.index(usual),
        key="map",
        bind="query-params",
        icon=":material/search:",
        label_visibility="collapsed",
        width=230,
    )
    return chosen if chosen in symbols else usual


def ask_part(parts: Sequence[str]) -> str:
    """Which of the charts a narrow screen shows."""
    chosen = st.segmented_control(
        "Chart",
        parts,
        default=parts[0],
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
        wrap=True,
    )
    return chosen if chosen in parts else parts[0]


def _row() -> DeltaGenerator:
    return st.container(horizontal=True, vertical_alignment="center", key="filters")


def _ask_window(windows: Sequence[str], usual: str) -> str:
    chosen = st.segmented_control(
        "Window",
        windows,
        default=usual,
        required=True,
        key="window",
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen if chosen in windows else usual


def _ask_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    named = st.multiselect(
        "Symbols",
        symbols,
        key="symbols",
        placeholder="All symbols",
        bind="query-params",
        label_visibility="collapsed",
        width=230,
    )
    return tuple(sorted(named))
