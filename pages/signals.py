"""Every market at a glance: what its newest signal says, and what it rests on."""

from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from core.instance import instance
from core.overview import ALL, BY_CONVICTION, ORDERS, SHOWN, chosen, market_rows
from core.ui import loaders
from core.ui.controls import chosen_mode, reader_clock, shared_query
from core.ui.formats import count
from core.ui.header import market_now
from core.ui.market_rows import summary
from core.ui.market_table import draw_key, draw_table
from core.ui.session import require_user
from core.ui.states import draw_no_match, draw_nothing_stored, store_failures_shown
from core.verdicts.rules import VERDICTS

require_user("trader")


def main() -> None:
    mode = chosen_mode()
    with store_failures_shown():
        rows = market_rows(
            loaders.load_newest(mode),
            loaders.load_closes(24),
            loaders.load_coins(),
            loaders.load_newest_verdicts(mode),
        )
        schedule = loaders.load_schedule(mode)
    if rows.empty:
        draw_nothing_stored("signals")
        return
    st.subheader(summary(rows), anchor=False)
    found, order = _filtered(rows)
    if found.empty:
        draw_no_match(f"{count(len(rows), 'market')} are hidden. Show “{ALL}” or clear the search.")
        return
    profile = schedule.at(rows["time"].max())
    draw_table(
        found,
        profile,
        order=order,
        clock=reader_clock(),
        now=market_now(instance().market, rows["time"].max()),
        link=lambda symbol: f"symbol?{urlencode({'symbol': symbol} | shared_query())}",
        on_sort=_sort,
    )
    draw_key(profile, reader_clock(), shown=len(found), of=len(rows))


def _filtered(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows that the reader asked for, and the order they asked for."""
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
    found = chosen(
        rows, show=show or ALL, verdicts=verdicts, search=search or "", order=order or BY_CONVICTION
    )
    return found, order or BY_CONVICTION


def _sort(order: str) -> None:
    st.session_state["sort"] = order


main()
