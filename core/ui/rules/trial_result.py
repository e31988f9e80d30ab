"""What a rule would have done: the sentence, the charts, the list, and against what is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from core.alerts.history import RuleHistory, minutes_words
from core.alerts.names import BY_NAME
from core.ui import loaders
from core.ui.charts import TimeAxis
from core.ui.controls import reader_clock, shared_query
from core.ui.draw import Ready, draw_figure
from core.ui.formats import DASH, Clock, count, known, number, percent
from core.ui.palette import palette
from core.ui.rules.charts import days_figure, hours_figure, lanes_figure, price_figure
from core.ui.rules.trials import Trial
from core.ui.signal_list import draw_linked_rows

_ROWS = 25
_HELD = {"cooldown": "by the cooldown", "active_hours": "by active hours", "rearm": "by re-arming"}


def draw_result(trial: Trial, saved: Trial | None) -> None:
    """Draw a trial that is done, beside that of what is saved where the draft differs from it."""
    history = trial.history
    assert history is not None
    with st.container(border=True, key="rule_result", gap="small"):
        st.markdown(f"#### {summary_words(history)}")
        st.caption(_basis(history, trial))
        if saved is not None:
            _draw_comparison(history, saved)
    if not len(history):
        _draw_never(history)
        return
    _draw_figures(history)
    st.markdown("**Over time**  \nAre the firings spread out, or do they come all at once?")
    draw_figure(Ready.of(days_figure(history, palette())), key="rule_days_chart")
    axis = TimeAxis(reader_clock())
    st.markdown(
        "**By market**  \nA lane for each market that fired, with how often; a bar is as long as it fired."
    )
    draw_figure(Ready.of(lanes_figure(history, axis, palette())), key="rule_lanes")
    if len(history.by_symbol) > 40:
        st.caption("The 40 markets that fired most are drawn.")
    _draw_price(history, axis)
    st.markdown("**By hour**  \nThree hours are drawn stronger where they stand out beyond chance.")
    draw_figure(Ready.of(hours_figure(history, palette())), key="rule_hours")
    _draw_list(history, reader_clock())


def summary_words(history: RuleHistory) -> str:
    """The one sentence, as it begins on the page."""
    said = history.summary
    return said[0].upper() + said[1:]


def _basis(history: RuleHistory, trial: Trial) -> str:
    clock = reader_clock()
    symbols = count(len(history.symbols), "market")
    return (
        f"{symbols}, {count(history.bars, 'bar')} each, {clock.stamp(history.start)} to "
        f"{clock.stamp(history.end)}. The same code judges it live. Took {trial.seconds:.1f} s."
    )


def _draw_figures(history: RuleHistory) -> None:
    judged = history.judged_days
    weekly = 7 * history.messages / judged if judged >= 1 else float("nan")
    held = sum(history.held_back.values())
    why = ", ".join(f"{amount} {_HELD[name]}" for name, amount in history.held_back.items())
    median = history.median_minutes
    figures = (
        ("Firings", number(len(history)), f"of {count(len(history.by_symbol), 'market')}"),
        ("Messages a week", number(weekly, 1), f"{number(history.messages)} in all"),
        ("Median length", minutes_words(median) if known(median) else DASH, "from fired to ended"),
        ("Not known", percent(history.unknown_share), "of all bars of all markets"),
        ("Held back", number(held), why or "nothing would have fired otherwise"),
    )
    grid = st.grid(5, min_column_width=150, gap="small")
    for title, value, about in figures:
        with grid.container(gap=None):
            st.caption(title)
            st.markdown(f"**{value}**")
            st.caption(about)


def _draw_never(history: RuleHistory) -> None:
    missing = [BY_NAME[name].title if name in BY_NAME else name for name in history.missing]
    if missing:
        st.markdown(
            f":material/help: Nothing is stored of **{', '.join(missing)}**, without which the rule "
            "cannot be judged. What is not known neither fires nor ends."
        )
    elif history.unknown_share > 0.5:
        st.markdown(
            ":material/help: At most bars something that the rule needs was not known. The view "
            "“Newest data” says what."
        )
    else:
        st.markdown(
            ":material/block: It would never have fired. Loosen a condition, or look under “Newest "
            "data” at how far each one is from holding."
        )


def _draw_comparison(history: RuleHistory, saved: Trial) -> None:
    if saved.history is None:
        said = "is being tried too" if saved.under_way else "could not be tried"
        st.caption(f":material/compare_arrows: The version that is saved {said}.")
        return
    before = saved.history
    rows = {
        "": ["Firings", "Markets that fired", "Messages", "Median length", "Not known"],
        "Saved": _figures(before),
        "As written": _figures(history),
    }
    st.caption(":material/compare_arrows: Against the version that is saved")
    st.table(pd.DataFrame(rows).set_index(""), border="horizontal", width=420)
    if not len(before) and not len(history):
        return
    both = before.firings.merge(history.firings, on=["symbol", "fired_at"])
    st.caption(
        f"{count(len(both), 'firing')} of the same market at the same bar in both; "
        f"{number(len(before) - len(both))} would be gone and {number(len(history) - len(both))} new."
    )


def _figures(history: RuleHistory) -> list[str]:
    median = history.median_minutes
    return [
        number(len(history)),
        number(len(history.by_symbol)),
        number(history.messages),
        minutes_words(median) if known(median) else DASH,
        percent(history.unknown_share),
    ]


def _draw_price(history: RuleHistory, axis: TimeAxis) -> None:
    symbols = [str(name) for name in history.by_symbol.index]
    st.markdown(
        "**On the price**  \nDid something happen where it fired? ▽ fired; grey for as long as it did."
    )
    chosen = st.selectbox(
        "Market", symbols, key="rule_symbol", label_visibility="collapsed", width=230
    )
    symbol = chosen if chosen in symbols else symbols[0]
    bars = loaders.load_bars(symbol, history.start, history.end)
    if bars.empty:
        st.caption("No prices of this market are stored for these days.")
        return
    figure = price_figure(symbol, bars["close"], history, axis, palette())
    draw_figure(Ready.of(figure), key="rule_price")


def _draw_list(history: RuleHistory, clock: Clock) -> None:
    firings = history.firings.iloc[::-1]
    st.markdown(f"**Every firing**  \n{count(len(firings), 'firing')}, newest first.")
    pages = -(-len(firings) // _ROWS)
    page = st.pagination(pages, key="rule_page") if pages > 1 else 1
    part = firings.iloc[_ROWS * (page - 1) : _ROWS * page]
    draw_linked_rows(
        "Firings, newest first",
        [("Market", False), ("Fired", False), ("Held since", False), ("Ended", False),
         ("Lasted", True)],
        [_row(row, clock) for row in part.to_dict("records")],
        key="rule_firings",
    )  # fmt: skip
    st.caption(f"Times in {clock.label}. Choose a row to see the market as it was then.")


def _row(row: Mapping[Any, Any], clock: Clock) -> tuple[str, list[str]]:
    query = {"symbol": row["symbol"], "time": f"{row['fired_at']:%Y-%m-%dT%H:%MZ}"}
    ended = known(row["minutes"])
    cells = [
        str(row["symbol"]),
        clock.stamp(row["fired_at"]),
        clock.stamp(row["began_at"]),
        clock.stamp(row["ended_at"]) if ended else "still firing at the end",
        minutes_words(row["minutes"]) if ended else DASH,
    ]
    return f"symbol?{urlencode(query | shared_query())}", cells
