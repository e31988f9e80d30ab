"""What a run gave: a sentence, rates, courses, and whether it holds over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.accuracy import summarise_tallies
from core.accuracy.record import Record, curves, record_of
from core.backtest.looking import widened
from core.backtest.walk import in_fold
from core.outcomes import Costs
from core.ui.backtest_panes import horizon_panes
from core.ui.charts.curves import curves_figure
from core.ui.charts.folds import folds_figure
from core.ui.charts.rates import rates_figure
from core.ui.claims import claims, headline, looked_at
from core.ui.draw import Ready, draw_figure
from core.ui.formats import count, number, percent
from core.ui.palette import palette
from core.ui.record_table import draw_record
from core.ui.viewport import is_narrow

Fold = tuple[pd.Timestamp, pd.Timestamp]


def draw_results(result: Mapping[str, Any]) -> None:
    """The days that are shown."""
    tallies: pd.DataFrame = result["tallies"]
    _draw_extent(result)
    if tallies.empty:
        st.markdown(":material/filter_alt_off: **No signal of these days has an outcome.**")
        return
    record = record_of(tallies, tallies)
    st.markdown(f"#### {headline(record.trades, record.looks)}")
    st.caption(looked_at(record.looks, record.flagged, "profile tried"))
    draw_cells(tallies, record, "shown")
    _draw_folds(tallies, result)
    _draw_method(result)


def draw_cells(tallies: pd.DataFrame, record: Record, key: str) -> None:
    """Rates, courses and the table of a record."""
    narrow, colours = is_narrow(), palette()
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(
            "**How often verdicts won**  \nAn edge would be a band wholly to the right of its bar. "
            "● won, in its 95 % interval; | the raw signal; ◇ always long; × a coin toss."
        )
        figure = rates_figure(record.trades, record.shadows, colours, compact=narrow)
        draw_figure(Ready.of(figure), key=f"rates_{key}")
    with right:
        lines = [f"- {said}" for said in claims(record.trades)]
        st.markdown("\n".join(lines) or "No trades among these outcomes.")
    st.markdown(
        "**What the verdicts added up to**  \nA line that rises steadily would be an edge; one that "
        "jumps is luck on few days. Every signal counts 1 R at the end of its exit's day, overlapping "
        "ones too."
    )
    shown = horizon_panes(key)
    figure = curves_figure(
        curves(tallies, traded=True), curves(tallies, traded=False), shown, colours, compact=narrow
    )
    draw_figure(Ready.of(figure), key=f"curves_{key}")
    with st.container(key=f"tables_{key}"):
        suffix = "" if key == "shown" else ", held-back days"
        draw_record(
            record.trades, f"Trades{suffix}", "CONFIRM and DOWNSIZE with a plan", traded=True
        )
        draw_record(
            record.shadows,
            f"Not traded{suffix}",
            "counterfactuals, never mixed with trades",
            traded=False,
        )


def widened_record(tallies: pd.DataFrame, looks: int) -> Record:
    """`record_of`, as one of so many looks at its history."""
    found = record_of(tallies, tallies)
    return Record(widened(found.trades, looks), widened(found.shadows, looks), found.looks)


def _draw_extent(result: Mapping[str, Any]) -> None:
    counts, first = result["counts"], pd.Timestamp(result["first_day"])
    last = min(pd.Timestamp(result["held_back_from"]), pd.Timestamp(result["end"]))
    spoken = counts["long"] + counts["short"]
    st.markdown(
        f"{count(counts['bars'], 'bar')} of {count(len(result['symbols']), 'market')} from "
        f"{first:%-d %b} to {last - pd.Timedelta('1D'):%-d %b %Y}: {number(spoken)} signals "
        f"({number(counts['long'])} long, {number(counts['short'])} short), "
        f"{number(counts['neutral'])} neutral, {number(counts['no_signal'])} without enough data."
    )


def _draw_folds(tallies: pd.DataFrame, result: Mapping[str, Any]) -> None:
    folds = [_fold(ends) for ends in result["folds"]]
    parts = {
        at: summarise_tallies(_trades(in_fold(tallies, fold)), "horizon")
        for at, fold in enumerate(folds)
    }
    rows = pd.concat(parts, names=["fold", "horizon"])
    st.markdown(
        f"**Does it hold over time?**  \nThe same profile on {len(folds)} parts of the days, one after "
        "the other: a result that is real is on the same side of zero in most of them. Nothing was "
        "fitted to any of them; what may be fitted is your choice among runs, and for that the last "
        "third is held back. ○ has no interval."
    )
    if rows.empty:
        st.caption("No trades in these days.")
        return
    names = [f"{a:%-d %b}" for a, _ in folds]
    shown = horizon_panes("folds")
    draw_figure(Ready.of(folds_figure(rows, names, shown, palette())), key="folds")


def _fold(ends: list[str]) -> Fold:
    first, last = (pd.Timestamp(day, tz="UTC") for day in ends)
    return first, last


def _trades(tallies: pd.DataFrame) -> pd.DataFrame:
    return tallies[tallies.index.get_level_values("traded").to_numpy(dtype=bool)]


def _draw_method(result: Mapping[str, Any]) -> None:
    costs = Costs.model_validate(result["costs"])
    purged = result["counts"]["purged"]
    with st.expander("What was run, and what was not", key="bt_method"):
        st.markdown(
            f"""
- **The same functions as live** scored, judged, planned and resolved every bar, each by what was known
  at its close. The profile was fixed beforehand.
- **Nothing is fitted**: the {len(result["folds"])} parts are not training and test, they show one fixed
  profile at different times. The first days of a history have no signals, as factors need a past.
- **Held back** is the last third of the history's days, whatever period a run has, so that no other
  period can show it. {count(purged, "outcome")} that reach from the shown days into the held-back ones
  belong to neither.
- **Costs**: {percent(costs.taker_fee, 2)} fee and {costs.slippage_bps:g} basis points of slippage at
  entry and at exit, and the funding of the hours held.
- **Not in it**: what a model would have said, because a model asked about the past may remember it.
- Profiles in force have decided the held-back days too, where they were live: whoever has read their
  record on the Accuracy page knows part of what is held back.
"""
        )
