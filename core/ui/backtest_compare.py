"""Two runs on the same hours: what the one profile made more than the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.backtest.looking import widening
from core.backtest.paired import daily_difference, paired
from core.outcomes import HORIZONS
from core.store.backtests import Run
from core.ui import loaders
from core.ui.backtest_fields import differences
from core.ui.backtest_opened import run_as
from core.ui.backtest_words import LOOKING, about, open_run
from core.ui.charts.difference import difference_figure
from core.ui.claims import hours
from core.ui.controls import reader_clock
from core.ui.draw import draw_figure
from core.ui.formats import DASH, count, interval, known, number, percent, r_multiple
from core.ui.palette import palette
from core.ui.viewport import is_narrow


def draw_comparison(run_id: str, other_id: str, *, guest: bool) -> None:
    """The first run against the other, on the days that both cover."""
    run, other = loaders.load_run(run_id), loaders.load_run(other_id)
    result, against = loaders.load_result(run_id), loaders.load_result(other_id)
    if run is None or other is None or result is None or against is None:
        with st.container(border=True, key="lost"):
            st.markdown(":material/search_off: **One of these two runs is not here, or not done.**")
            st.button("All runs", on_click=open_run, args=(None,))
        return
    _draw_head(run, other)
    start = max(_day(result["first_day"]), _day(against["first_day"]))
    end = min(_end(result), _end(against))
    problem = _not_alike(run, other, result, against)
    if problem or start >= end:
        _draw_not_alike(run, other, problem or "They have no shown day in common.", guest=guest)
        return
    tallies, others = result["tallies"], against["tallies"]
    found = paired(tallies, others, start, end)
    st.markdown(f"#### {_headline(found)}")
    st.caption(
        f"{count(int(found['days'].iloc[0]), 'day')} that both cover, {start:%-d %b} to "
        f"{end - pd.Timedelta('1D'):%-d %b %Y} (UTC), the same markets and bars; held-back days are in "
        "neither. Differences are within each day, so what the market did to both is not in them."
    )
    _draw_table(found)
    st.markdown(
        "**The difference, added up**  \nA line that rises steadily is a first profile that makes more "
        "than the second; net R of all trades, each of the same risk."
    )
    shown = HORIZONS[:1] if is_narrow() else HORIZONS
    daily = {at: daily_difference(tallies, others, start, end, at) for at in shown}
    draw_figure(difference_figure(daily, palette()), key="difference")
    if len(shown) == 1:
        st.caption(f"This is {hours(shown[0])}; a wider screen shows all horizons.")


def _draw_head(run: Run, other: Run) -> None:
    st.subheader(f"{run.asked.name} against {other.asked.name}", anchor=False)
    clock = reader_clock()
    st.caption(f"First: {about(run, clock)}  \nSecond: {about(other, clock)}")
    with st.container(horizontal=True, gap="small", key="run_actions"):
        st.button("All runs", icon=":material/arrow_back:", on_click=open_run, args=(None,))
        st.button("Open the first", on_click=open_run, args=(run.id,))
        st.button("Open the second", on_click=open_run, args=(other.id,))
        st.button("Swap", icon=":material/swap_horiz:", on_click=open_run, args=(other.id, run.id))
    found = differences(other.asked.profile, run.asked.profile)
    title = f"{count(len(found), 'number')} of the first other than of the second"
    if found:
        with st.expander(title):
            st.markdown("  \n".join(found))
    else:
        st.caption("Both ran the same numbers.")


def _not_alike(
    run: Run, other: Run, result: Mapping[str, Any], against: Mapping[str, Any]
) -> str | None:
    """Why two runs cannot be compared hour by hour; None where they can."""
    if run.asked.history != other.asked.history:
        return "They ran on different histories."
    if set(result["symbols"]) != set(against["symbols"]):
        return "They ran on different markets."
    return None


def _draw_not_alike(run: Run, other: Run, why: str, *, guest: bool) -> None:
    with st.container(border=True, key="not_alike"):
        st.markdown(f":material/compare_arrows: **{why}** Only the same hours can be compared.")
        if run.asked.history == other.asked.history and st.button(
            "Run the second on the markets and days of the first",
            icon=":material/play_arrow:",
            disabled=guest,
            help=LOOKING if guest else None,
            key="bt_alike",
        ):
            run_as(other, run)


def _headline(found: pd.DataFrame) -> str:
    """What is beyond chance, after allowing for every horizon that was looked at."""
    judged = int(found["low"].notna().sum())
    if not judged:
        return f"No interval yet: {found['note'].iloc[0]}."
    half = widening(judged) * (found["high"] - found["low"]) / 2
    sure = found[found["difference"].abs() > half]
    if sure.empty:
        return f"No difference beyond chance, {count(judged, 'horizon')} allowed for."
    said = [
        f"{'more' if row['difference'] > 0 else 'less'} at {hours(str(horizon))} "
        f"({r_multiple(row['difference'])} a day)"
        for horizon, row in sure.iterrows()
    ]
    return (
        f"The first made {', '.join(said)} than the second, beyond chance, "
        f"{count(judged, 'horizon')} allowed for."
    )


def _draw_table(found: pd.DataFrame) -> None:
    rows = [
        {
            "Horizon": hours(str(horizon)),
            "Difference, R a day": number(row["difference"], 2, sign=True),
            "95 % interval": interval(row["low"], row["high"], 2, unit="R")
            if known(row["low"])
            else DASH,
            "R a day, first": number(row["r_per_day"], 2, sign=True),
            "second": number(row["r_per_day_other"], 2, sign=True),
            "R a trade, first": number(row["mean_r"], 3, sign=True),
            "second ": number(row["mean_r_other"], 3, sign=True),
            "Trades, first": number(row["n"]),
            "second  ": number(row["n_other"]),
            "Won, first": percent(row["win_rate"]),
            "second   ": percent(row["win_rate_other"]),
            "Note": row["note"] or "",
        }
        for horizon, row in found.iterrows()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="paired",
        alt="Trades of both runs by horizon, and the difference of net R a day with its interval",
        column_config={
            name: st.column_config.TextColumn(alignment="right")
            for name in rows[0]
            if name != "Note"
        },
    )
    st.caption(
        "Where trades lose on average, a profile that trades less makes more a day without being any "
        "better: look at R a trade too."
    )


def _day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def _end(result: Mapping[str, Any]) -> pd.Timestamp:
    return min(_day(result["held_back_from"]), _day(result["end"]))
