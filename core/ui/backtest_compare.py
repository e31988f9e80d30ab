"""Two runs on the same hours: what the one profile made more than the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.backtest.looking import widening
from core.backtest.paired import daily_difference, paired
from core.store.backtests import Run
from core.ui import loaders
from core.ui.backtest_fields import differences
from core.ui.backtest_opened import run_as
from core.ui.backtest_panes import horizon_panes
from core.ui.backtest_words import LOOKING, about, open_run
from core.ui.charts.difference import difference_figure
from core.ui.claims import hours
from core.ui.controls import reader_clock
from core.ui.draw import Ready, draw_figure
from core.ui.formats import DASH, count, interval, known, number, percent, r_multiple
from core.ui.palette import palette


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
    st.markdown(f"#### {comparison_headline(found)}")
    st.caption(
        f"{count(int(found['days'].iloc[0]), 'day')} that both cover, {start:%-d %b} to "
        f"{end - pd.Timedelta('1D'):%-d %b %Y} (UTC), the same markets and bars; held-back days are in "
        "neither. Differences are within each day, so what the market did to both is not in them."
    )
    shown = horizon_panes("compared")
    if len(shown) == 1:
        _draw_narrow_table(found, shown[0])
    else:
        _draw_table(found)
    _draw_notes(found)
    st.markdown(
        "**The difference, added up**  \nA line that rises steadily is a first profile that makes more "
        "than the second; net R of all trades, each of the same risk."
    )
    daily = {at: daily_difference(tallies, others, start, end, at) for at in shown}
    draw_figure(Ready.of(difference_figure(daily, palette())), key="difference")


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


def comparison_headline(found: pd.DataFrame) -> str:
    """What is beyond chance, after allowing for every horizon that was looked at.

    ``found`` is of `core.backtest.paired.paired`. More R a day is said to be better trading only where
    R a trade is beyond chance too; else it may come of trading less of what loses.
    """
    judged = int(found["low"].notna().sum())
    if not judged:
        return f"No interval yet: {found['note'].iloc[0]}."
    factor = widening(judged)
    sure = found[_beyond(found, "difference", "low", "high", factor)]
    if sure.empty:
        return f"No difference beyond chance, {count(judged, 'horizon')} allowed for."
    better = _beyond(sure, "per_trade", "per_trade_low", "per_trade_high", factor)
    said: dict[str, list[str]] = {}
    for horizon, row in sure.iterrows():
        words = _why(row, better=bool(better[str(horizon)]))
        at = f"{hours(str(horizon))} ({r_multiple(row['difference'])} a day)"
        said.setdefault(words, []).append(at)
    parts = [words.format(" and ".join(at)) for words, at in said.items()]
    return f"{'; '.join(parts)}. Beyond chance, {count(judged, 'horizon')} allowed for."


def _beyond(found: pd.DataFrame, name: str, low: str, high: str, factor: float) -> pd.Series:
    return found[name].abs() > factor * (found[high] - found[low]) / 2


def _why(row: pd.Series, *, better: bool) -> str:
    """Who was ahead and by what, with a place for the horizons."""
    ahead = "The first" if row["difference"] > 0 else "The second"
    behind = "the second" if row["difference"] > 0 else "the first"
    own, its = ("", "_other") if row["difference"] > 0 else ("_other", "")
    result = "made more" if row[f"r_per_day{own}"] > 0 else "lost less"
    if better and (row["per_trade"] > 0) == (row["difference"] > 0):
        return f"{ahead} {result} than {behind} at {{}}, and its mean trade was better"
    unproven = (
        "its mean trade was worse" if better else "its mean trade was not better beyond chance"
    )
    if row[f"n{own}"] < row[f"n{its}"]:
        return f"{ahead} {result} than {behind} at {{}} because it traded less: {unproven}"
    if row[f"n{own}"] > row[f"n{its}"]:
        return f"{ahead} {result} than {behind} at {{}} because it traded more: {unproven}"
    return f"{ahead} {result} than {behind} at {{}}, but {unproven}"


def _draw_table(found: pd.DataFrame) -> None:
    rows = [
        {
            "Horizon": hours(str(horizon)),
            "R a day, first": number(row["r_per_day"], 2, sign=True),
            "R a day, second": number(row["r_per_day_other"], 2, sign=True),
            "R a day, difference": _with_interval(row, "difference", "low", "high", 2),
            "R a trade, first": number(row["mean_r"], 3, sign=True),
            "R a trade, second": number(row["mean_r_other"], 3, sign=True),
            "R a trade, difference": _with_interval(
                row, "per_trade", "per_trade_low", "per_trade_high", 3
            ),
            "Trades, first": number(row["n"]),
            "Trades, second": number(row["n_other"]),
            "Won, first": percent(row["win_rate"]),
            "Won, second": percent(row["win_rate_other"]),
        }
        for horizon, row in found.iterrows()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="paired",
        alt="Trades of both runs by horizon, and the difference of net R a day with its interval",
        column_config={name: st.column_config.TextColumn(alignment="right") for name in rows[0]},
    )


def _draw_narrow_table(found: pd.DataFrame, horizon: str) -> None:
    """One horizon, a measure a line, which a phone has room for."""
    row = next(row for at, row in found.iterrows() if at == horizon)
    lines = [
        (
            "R a day",
            number(row["r_per_day"], 2, sign=True),
            number(row["r_per_day_other"], 2, sign=True),
        ),
        (
            "R a trade",
            number(row["mean_r"], 3, sign=True),
            number(row["mean_r_other"], 3, sign=True),
        ),
        ("Trades", number(row["n"]), number(row["n_other"])),
        ("Won", percent(row["win_rate"]), percent(row["win_rate_other"])),
    ]
    st.markdown(
        "| | First | Second |\n|:--|--:|--:|\n"
        + "\n".join(f"| {' | '.join(line)} |" for line in lines)
    )
    st.markdown(
        f"Difference a day: {_with_interval(row, 'difference', 'low', 'high', 2)}  \n"
        f"a trade: {_with_interval(row, 'per_trade', 'per_trade_low', 'per_trade_high', 3)}"
    )


def _draw_notes(found: pd.DataFrame) -> None:
    notes = [f"{hours(str(at))}: {note}." for at, note in found["note"].items() if note]
    if notes:
        st.caption("No interval at " + " ".join(notes))
    st.caption(
        "Differences are the first minus the second, with their 95 % intervals in brackets. Where trades "
        "lose on average, a profile that trades less makes more a day without being any better: look at "
        "R a trade too."
    )


def _with_interval(row: pd.Series, name: str, low: str, high: str, digits: int) -> str:
    ends = interval(row[low], row[high], digits, unit="R") if known(row[low]) else DASH
    return f"{number(row[name], digits, sign=True)} ({ends})"


def _day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def _end(result: Mapping[str, Any]) -> pd.Timestamp:
    return min(_day(result["held_back_from"]), _day(result["end"]))
