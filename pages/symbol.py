"""One market: what it did, what its signal rests on, and the plan for the reader's own account."""

from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.instance import instance
from core.plan import plan_row
from core.store.tracing import Origin
from core.ui import decision, loaders
from core.ui.account_inputs import ask_account
from core.ui.charts import PANES, bar_of, levels_of
from core.ui.controls import chosen_mode, reader_clock
from core.ui.draw import draw_figure
from core.ui.opened import choose_symbol, choose_time, load_opened, lost_symbol, open_clicked
from core.ui.palette import palette
from core.ui.session import renewed, require_user
from core.ui.states import draw_nothing_stored, store_failures_shown
from core.ui.symbol_view import Charted, read_chart, read_history
from core.ui.viewport import is_narrow, watch_viewport
from core.verdicts import settle_row

require_user("trader")

RANGES = {"24 h": pd.Timedelta("1D"), "7 d": pd.Timedelta("7D"), "30 d": pd.Timedelta("30D")}
USUAL_RANGE = "7 d"


def main() -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="choices"):
        market_at = st.container(width="content")
        mode = chosen_mode()
        chosen = _choose_range()
    with store_failures_shown():
        newest = loaders.load_newest(mode)
        if newest.empty:
            draw_nothing_stored("signals")
            return
        with market_at:
            symbol = choose_symbol(newest.index.get_level_values("symbol").tolist())
        if symbol is None:
            _draw_lost()
        else:
            _draw_symbol(newest.xs(symbol, drop_level=False).iloc[0], mode, chosen)
    watch_viewport()


def _choose_range() -> str:
    chosen = st.segmented_control(
        "Range",
        [*RANGES, "all"],
        default=USUAL_RANGE,
        required=True,
        key="range",
        bind="query-params",
        label_visibility="collapsed",
    )
    # An empty value in the address is no choice, whatever the widget requires.
    return chosen or USUAL_RANGE


def _draw_lost() -> None:
    with st.container(border=True, key="lost", gap="small"):
        st.markdown(f":material/search_off: **There is no market “{lost_symbol()}” here.**")
        st.markdown("Search for one above, or look through all of them.")
        st.page_link("signals.py", label="All markets", icon=":material/candlestick_chart:")


def _draw_symbol(row: pd.Series, mode: str, chosen: str) -> None:
    narrow = is_narrow()
    head, chart_at, rest = _places(narrow)
    symbol, _ = bar_of(row)
    history = read_history(symbol, mode)
    with head:
        opened = choose_time(history, reader_clock())
        version = None
        if opened is not None:
            row, version = load_opened(symbol, mode, opened.to_pydatetime())
        time = bar_of(row)[1].to_pydatetime()
        origin, model = (
            loaders.load_origin(symbol, mode, time, version),
            loaders.load_verdict(symbol, mode, time, version),
        )
        row = settle_row(row, model)
        _draw_head(row, origin, past=opened is not None)
    with rest:
        _draw_rest(row, origin, model)
    with chart_at, st.skeleton(height=300 if narrow else 900):
        profile = origin.profile
        charted = Charted(
            symbol,
            mode,
            RANGES.get(chosen),
            opened,
            levels_of(row),
            profile.long_threshold,
            profile.short_threshold,
        )
        _draw_chart(charted, narrow, keep=f"{symbol} {mode} {chosen} {opened}")


def _places(narrow: bool) -> list[DeltaGenerator]:
    """Where the head of the decision, the chart and the rest of the decision go."""
    if narrow:
        return [st.container() for _ in range(3)]
    left, right = st.columns([2, 1], gap="medium")
    return [right.container(gap=None), left, right.container(gap=None)]


def _draw_chart(of: Charted, narrow: bool, keep: str) -> None:
    if not narrow:
        figure = read_chart(of, reader_clock(), palette(), (), False, keep)
        draw_figure(figure, key="chart", on_click=open_clicked)
        st.caption("Drag to zoom, double-click to return. Click a mark to open that signal.")
        return
    pane = st.segmented_control(
        "Pane",
        list(PANES),
        default="price",
        required=True,
        key="pane",
        bind="query-params",
        label_visibility="collapsed",
        wrap=True,
    )
    panes = (pane or "price",)
    figure = read_chart(of, reader_clock(), palette(), panes, True, f"{keep} {pane}")
    st.markdown(figure.words)
    draw_figure(figure, key="chart", on_click=open_clicked)


def _draw_head(row: pd.Series, origin: Origin, *, past: bool) -> None:
    symbol, at = bar_of(row)
    time, became = at.to_pydatetime(), ""
    if past:
        outcomes = loaders.load_outcomes_of(symbol, origin.profile.name, time, origin.version)
        _, through = loaders.load_span()
        became = decision.outcome_part(row, outcomes, at=time, through=through)
    coins = loaders.load_coins()
    coin = coins.loc[symbol] if symbol in coins.index else None
    st.html(
        decision.style(palette())
        + decision.coin_part(coin, reader_clock())
        + decision.score_part(row, origin.profile)
        + became
    )


def _draw_rest(row: pd.Series, origin: Origin, model: dict[str, Any] | None) -> None:
    market, clock = instance().market.label, reader_clock()
    symbol, at = bar_of(row)
    asked = instance().settings
    without = decision.why_no_model(
        row, at.to_pydatetime(), origin, asked.model_modes if asked.model else None
    )
    st.html(
        decision.why_part(row, origin.profile)
        + decision.against_part(row)
        + decision.verdict_part(row, model, reader_clock(), without)
        + decision.plan_title()
    )
    _draw_plan(row)
    published = loaders.load_provenance(symbol, at.to_pydatetime(), origin.recorded_at)
    st.html(
        decision.inputs_part(row, origin.profile)
        + decision.unknown_part(row, origin.profile, published, clock)
        + decision.trace_part(row, origin, market, clock)
    )


@renewed()
def _draw_plan(row: pd.Series) -> None:
    account = ask_account()
    st.html(decision.plan_part(plan_row(row, account)))


main()
