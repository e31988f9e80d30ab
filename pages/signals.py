"""Every market at a glance: what its newest signal says, and what it rests on."""

import streamlit as st

from core.instance import instance
from core.overview import ALL, BY_CONVICTION, ORDERS, SHOWN
from core.ui.controls import chosen_mode, reader_clock, shared_query
from core.ui.formats import count
from core.ui.header import market_now
from core.ui.loaders.shared import moment
from core.ui.market_table import draw_key, draw_table
from core.ui.market_view import Wanted, read_rows, read_summary, read_table
from core.ui.session import require_user
from core.ui.states import draw_no_match, draw_nothing_stored, store_failures_shown
from core.verdicts.rules import VERDICTS

require_user("trader")

# Ages are told in minutes.
LOOK_SECONDS = 60


def main() -> None:
    mode = chosen_mode()
    with store_failures_shown():
        rows = read_rows(mode)
    if rows.empty:
        draw_nothing_stored("signals")
        return
    st.subheader(read_summary(mode), anchor=False)
    wanted = _ask()
    now = moment(market_now(instance().market, rows["time"].max()), LOOK_SECONDS)
    with store_failures_shown():
        table = read_table(mode, wanted, reader_clock(), now, tuple(shared_query().items()))
    if not table.shown:
        draw_no_match(f"{count(len(rows), 'market')} are hidden. Show “{ALL}” or clear the search.")
        return
    draw_table(table.text, on_sort=_sort)
    draw_key(table.profile, reader_clock(), shown=table.shown, of=len(rows))


def _ask() -> Wanted:
    """What the reader filters by, and in which order they want it."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        search = st.text_input(
            "Search",
            key="find",
            placeholder="Symbol or coin",
            icon=":material/search:",
            bind="query-params",
        )
        show = st.selectbox("Show", list(SHOWN), key="show", bind="query-params")
        verdicts = st.multiselect(
            "Verdict", VERDICTS, key="verdict", placeholder="Any verdict", bind="query-params"
        )
        order = st.selectbox("Sort by", list(ORDERS), key="sort", bind="query-params")
    return Wanted(show or ALL, tuple(verdicts), search or "", order or BY_CONVICTION)


def _sort(order: str) -> None:
    st.session_state["sort"] = order


main()
