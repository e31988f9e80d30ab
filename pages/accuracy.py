"""How good the verdicts are: every rate with its count, its interval and its baselines."""

import pandas as pd
import streamlit as st

from core.outcomes import HORIZONS
from core.ui import loaders
from core.ui.charts import TimeAxis
from core.ui.charts.curves import curves_figure
from core.ui.charts.rates import rates_figure
from core.ui.claims import claim, headline, hours, luck
from core.ui.controls import chosen_mode, reader_clock
from core.ui.draw import draw_figure
from core.ui.formats import percent
from core.ui.method import draw_method
from core.ui.palette import palette
from core.ui.record_table import draw_record
from core.ui.session import require_user
from core.ui.states import draw_nothing_stored, store_failures_shown
from core.ui.track_record import SIDES, cells, chosen, curves, unfinished
from core.ui.viewport import is_narrow, watch_viewport

require_user("analyst")

ALL = "all"
LABELS = {ALL: HORIZONS, **{hours(horizon): (horizon,) for horizon in HORIZONS}}


def main() -> None:
    with store_failures_shown():
        mode = chosen_mode()
        outcomes = loaders.load_outcomes(mode)
        if outcomes.empty:
            draw_nothing_stored("finished outcomes")
            return
        with st.container(horizontal=True, vertical_alignment="center", key="choices"):
            asked = _choose(sorted(outcomes.index.get_level_values("symbol").unique()))
        found = chosen(outcomes, **asked)
        waiting = _count_unfinished(outcomes, mode, asked)
        if found.empty:
            _draw_nothing_chosen(waiting)
        else:
            _draw_record(found, asked["horizons"], waiting)
    watch_viewport()


def _choose(symbols: list[str]) -> dict[str, object]:
    horizon = st.segmented_control(
        "Horizon",
        list(LABELS),
        default=ALL,
        required=True,
        key="horizon",
        bind="query-params",
        label_visibility="collapsed",
    )
    side = st.segmented_control(
        "Direction",
        list(SIDES),
        default=next(iter(SIDES)),
        required=True,
        key="side",
        bind="query-params",
        label_visibility="collapsed",
    )
    named = st.multiselect(
        "Symbols",
        symbols,
        key="symbols",
        placeholder="All symbols",
        bind="query-params",
        label_visibility="collapsed",
        width=260,
    )
    # An empty value in the address is no choice, whatever the widget requires.
    return {"horizons": LABELS[horizon or ALL], "side": SIDES.get(side), "symbols": named}


def _count_unfinished(
    outcomes: pd.DataFrame, mode: str, asked: dict[str, object]
) -> dict[str, int]:
    _, through = loaders.load_span()
    longest = max(pd.Timedelta(horizon) for horizon in HORIZONS)
    directions = loaders.load_directions_since(mode, through - longest)
    return unfinished(directions, outcomes, through=pd.Timestamp(through), **asked)


def _draw_nothing_chosen(waiting: dict[str, int]) -> None:
    with st.container(border=True, key="no_match", gap="small"):
        st.markdown(":material/filter_alt_off: **No finished outcome passes these filters.**")
        st.markdown(f"{_waiting(waiting)} Choose more symbols, both directions or all horizons.")


def _draw_record(found: pd.DataFrame, horizons: tuple[str, ...], waiting: dict[str, int]) -> None:
    trades, shadows = cells(found)
    narrow, colours = is_narrow(), palette()
    st.markdown(f"#### {headline(trades)}")
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(
            "**How often verdicts won**  \nAn edge would be a band wholly to the right of its bar. "
            "● won, in its 95 % interval; | the raw signal; ◇ always long."
        )
        draw_figure(rates_figure(trades, shadows, colours, compact=narrow), key="rates")
    with right:
        _draw_claims(trades)
        st.caption(_waiting(waiting))
    st.markdown(
        "**What the verdicts added up to**  \nA line that rises steadily would be an edge; one that "
        "jumps is luck on few days. Every signal counts 1 R at its exit, overlapping ones too: a "
        "record of decisions, not of an account."
    )
    figure = curves_figure(
        curves(found, traded=True),
        curves(found, traded=False),
        horizons[:1] if narrow else horizons,
        TimeAxis(reader_clock()),
        colours,
        compact=narrow,
    )
    draw_figure(figure, key="curves")
    if narrow and len(horizons) > 1:
        st.caption(f"This is {hours(horizons[0])}; choose another horizon on top.")
    draw_record(trades, "Trades", "CONFIRM and DOWNSIZE with a plan", traded=True)
    draw_record(shadows, "Not traded", "counterfactuals, never mixed with trades", traded=False)
    draw_method()


def _draw_claims(trades: pd.DataFrame) -> None:
    lines = [
        f"- {claim(row.to_dict(), verdict, horizon)}"
        for (verdict, horizon), row in trades.iterrows()
    ]
    st.markdown("\n".join(lines) or "No trades among these outcomes.")
    if len(lines) > 1:
        st.caption(
            f"Of {len(lines)} such intervals at least one misses by luck alone in "
            f"{percent(luck(len(lines)), 0)} of cases; the sentence on top allows for that."
        )


def _waiting(waiting: dict[str, int]) -> str:
    if not any(waiting.values()):
        return "Every outcome is finished."
    parts = [f"{amount} at {hours(horizon)}" for horizon, amount in waiting.items() if amount]
    return f"Not finished yet and not counted: {', '.join(parts)}."


main()
