"""The view of the verdicts: is there an edge, where, how it came about, and what is not finished."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from core.accuracy import value_of_caution
from core.accuracy.record import KEYS, Record, curves, record_of, row_name, spreads
from core.accuracy.tallies import DAILY, R_COUNTS
from core.outcomes import HORIZONS
from core.store.record import Filters
from core.ui import loaders
from core.ui.accuracy_opened import draw_opened, open_chosen, opened_place
from core.ui.accuracy_words import (
    CAUTION_CAVEAT,
    draw_nothing_left,
    finished_words,
    unfinished_words,
)
from core.ui.charts.curves import curves_figure
from core.ui.charts.rates import rates_figure
from core.ui.charts.spread_of_r import spread_figure
from core.ui.claims import claims, headline, hours, looked_at
from core.ui.draw import Ready, draw_figure
from core.ui.loaders.drawn import drawn_once
from core.ui.loaders.shared import shared
from core.ui.palette import Palette, palette
from core.ui.record_table import draw_caution, draw_record
from core.ui.verdict_matrix import draw_matrix
from core.ui.viewport import is_narrow


def draw_verdicts(filters: Filters) -> None:
    """Everything about the outcomes that the filters leave."""
    if _tallies(filters).empty:
        draw_nothing_left(filters)
        return
    record = _record(filters)
    horizons = filters.horizons or HORIZONS
    st.markdown(f"#### {headline(record.trades, record.looks)}")
    waiting = unfinished_words(loaders.load_unfinished(filters))
    kinds = loaders.load_totals(filters, ("recorded",), ("n",))["n"].astype(int)
    names = kinds.index.get_level_values("recorded")
    finished = finished_words(dict(zip(names, kinds, strict=True)))
    st.caption(f"{finished} {waiting}")
    _draw_cells(record, horizons)
    draw_opened(filters, record)
    _draw_rates(filters)
    _draw_courses(filters, horizons)
    _draw_spread(filters, horizons)
    _draw_tables(filters)


# What follows from the filters is made once for all readers who look at the same.


def _tallies(filters: Filters) -> pd.DataFrame:
    return loaders.load_tallies(filters, KEYS, DAILY)


@shared
def _record(filters: Filters) -> Record:
    return record_of(_tallies(filters), _tallies(replace(filters, verdicts=(), risk_modes=())))


@shared
def _rates(filters: Filters, colours: Palette, narrow: bool) -> Ready:
    record = _record(filters)
    return Ready.of(rates_figure(record.trades, record.shadows, colours, compact=narrow))


@shared
def _courses(filters: Filters, shown: tuple[str, ...], colours: Palette, narrow: bool) -> Ready:
    tallies = _tallies(filters)
    traded, not_traded = curves(tallies, traded=True), curves(tallies, traded=False)
    return Ready.of(curves_figure(traded, not_traded, shown, colours, compact=narrow))


@shared
def _spread(filters: Filters, shown: tuple[str, ...], colours: Palette) -> Ready:
    counts = loaders.load_totals(filters, ("horizon", "traded"), R_COUNTS)
    traded, not_traded = spreads(counts, traded=True), spreads(counts, traded=False)
    return Ready.of(spread_figure(traded, not_traded, shown, colours))


def _draw_cells(record: Record, horizons: tuple[str, ...]) -> None:
    st.markdown(
        f"**Verdict by horizon**  \n{looked_at(record.looks, record.flagged)} In a cell: share that "
        "won after costs with its 95 % interval; lift over the raw signal in points; n, and how many "
        "independent outcomes it is like. Choose a cell to list its signals."
    )
    if any(row_name(str(name), traded=False) != name for name, _ in record.shadows.index):
        st.caption(
            "“CONFIRM, no plan” and “DOWNSIZE, no plan”: the verdict was for a trade, but no plan "
            "could be made of it (the signal says why), so nothing was traded."
        )
    draw_matrix(record.trades, record.shadows, horizons, opened_place(), open_chosen)


def _draw_rates(filters: Filters) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(
            "**How often verdicts won**  \nAn edge would be a band wholly to the right of its bar. "
            "● won, in its 95 % interval; | the raw signal; ◇ always long; × a coin toss."
        )
        draw_figure(_rates(filters, palette(), is_narrow()), key="rates")
    with right:
        lines = [f"- {said}" for said in claims(_record(filters).trades)]
        st.markdown("\n".join(lines) or "No trades among these outcomes.")


def _draw_courses(filters: Filters, horizons: tuple[str, ...]) -> None:
    narrow = is_narrow()
    shown = horizons[:1] if narrow else horizons
    st.markdown(
        "**What the verdicts added up to**  \nA line that rises steadily would be an edge; one that "
        "jumps is luck on few days. Every signal counts 1 R at the end of its exit's day, overlapping "
        "ones too: a record of decisions, not of an account."
    )
    draw_figure(_courses(filters, shown, palette(), narrow), key="curves")


def _draw_spread(filters: Filters, horizons: tuple[str, ...]) -> None:
    narrow = is_narrow()
    shown = horizons[:1] if narrow else horizons
    st.markdown(
        "**How far apart results were**  \nA few bars far out on one side decide a mean; a hump at "
        "−1 R are stops. Hatched: everything beyond. After costs, in units of the risk taken."
    )
    draw_figure(_spread(filters, shown, palette()), key="spread")
    if narrow and len(horizons) > 1:
        st.caption(f"These are {hours(horizons[0])}; choose another horizon on top.")


@drawn_once
def _draw_tables(filters: Filters) -> None:
    record = _record(filters)
    st.markdown(
        "**What caution was worth**  \nLosses avoided less gains missed by not taking the full size, "
        "both after the same costs. Caution was worth having only where the whole interval is above 0. "
        f"{CAUTION_CAVEAT}"
    )
    draw_caution(value_of_caution(_tallies(filters)), record.cautious)
    draw_record(record.trades, "Trades", "CONFIRM and DOWNSIZE with a plan", traded=True)
    draw_record(
        record.shadows, "Not traded", "counterfactuals, never mixed with trades", traded=False
    )
