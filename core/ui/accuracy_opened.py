"""The cell of the matrix that is open, ``?cell=`` in the address, and the signals behind it."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import streamlit as st

from core.accuracy.record import Place, Record, row_name
from core.store.record import Filters
from core.ui import loaders
from core.ui.claims import hours
from core.ui.controls import reader_clock
from core.ui.formats import count, number
from core.ui.signal_list import draw_signals

ROWS = 20
# Far back the database has to pass over everything newer; the period leads there faster.
_MOST_PAGES = 250


def opened_place() -> Place | None:
    """The cell that is open; None for none, and for nonsense."""
    return Place.parse(st.query_params.get("cell"))


def open_chosen(place: Place) -> None:
    """Open a cell at its first page, or close it if it is open."""
    if place == opened_place():
        _close()
    else:
        st.query_params["cell"] = str(place)
    st.session_state["page"] = 1


def draw_opened(filters: Filters, record: Record) -> None:
    """The signals of the open cell, a page at a time, if one is open and has any."""
    place = opened_place()
    n = record.count_of(place) if place else 0
    if place is None or not n:
        return
    name = row_name(place.verdict, traded=place.traded)
    with st.container(border=True, key="opened"):
        with st.container(horizontal=True, vertical_alignment="center", key="opened_head"):
            st.markdown(f"**{name} at {hours(place.horizon)}**: {count(n, 'signal')}")
            st.button("Close", icon=":material/close:", type="tertiary", on_click=_close)
        page = draw_pages(n, "page")
        wanted = replace(
            filters, verdicts=(place.verdict,), horizons=(place.horizon,), traded=place.traded
        )
        found = loaders.load_signals_behind(wanted, ROWS, (page - 1) * ROWS)
        draw_signals(found, filters.profile_version or "", reader_clock(), key="signals_behind")


def draw_pages(n: int, key: str) -> int:
    """Which page of so many rows is shown; nothing to choose where one holds them all."""
    pages = ceil(n / ROWS)
    if pages <= 1:
        return 1
    page = st.pagination(min(pages, _MOST_PAGES), key=key, bind="query-params")
    if pages > _MOST_PAGES:
        st.caption(
            f"The newest {number(_MOST_PAGES * ROWS)} of {number(n)}; choose a period for older ones."
        )
    return page


def is_page(text: str) -> bool:
    """Whether a text can be the number of a page.

    >>> is_page("3"), is_page("0"), is_page("9999"), is_page("x")
    (True, False, False, False)
    """
    return text.isdecimal() and 1 <= int(text[:9]) <= _MOST_PAGES


def _close() -> None:
    st.query_params.pop("cell", None)
