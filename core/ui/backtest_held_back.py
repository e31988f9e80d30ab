"""The last third of a history: seen once for every saved version, each look noted and paid for."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.errors import CryptoSatXError
from core.store.backtests import Look, Run
from core.ui import backtest_actions, loaders
from core.ui.backtest_results import draw_cells, widened_record
from core.ui.backtest_words import LOOKING, name_of, open_run
from core.ui.claims import headline
from core.ui.controls import reader_clock
from core.ui.formats import count, number


def draw_held_back(run: Run, *, guest: bool) -> None:
    """What the run holds back: a way to look, or what was seen."""
    looks, runs = loaders.load_looks(run.asked.history)
    st.subheader("The held-back third", anchor=False)
    st.markdown(
        f"Days from {run.held_back_from:%-d %b %Y} on decide whether what the days before showed was "
        f"more than choice. On this history {count(runs, 'run')} ended and {count(len(looks), 'look')} "
        f"{'was' if len(looks) == 1 else 'were'} taken at them; every look widens the intervals of all."
    )
    held_back = loaders.load_held_back(run.id)
    if held_back is not None:
        _draw_seen(held_back["tallies"], looks, run)
        return
    profile = run.asked.profile
    other = [one for one in looks if one.profile_version == profile.version]
    if other:
        seen = other[0]
        st.markdown(
            f":material/visibility: {seen.looked_by} has looked at {name_of(profile)} on this history "
            f"already, {reader_clock().stamp(seen.looked_at)}{_under(seen, run)}: there is one look "
            "for each version."
        )
        st.button("Open that run", on_click=open_run, args=(seen.backtest_id,), key="bt_seen")
        return
    stored = {(one.profile.name, one.profile.version) for one in loaders.load_versions()}
    saved = (profile.name, profile.version) in stored
    if not saved:
        st.markdown(
            ":material/bookmark: Save the profile as a version first; a look is at one that stays."
        )
    _draw_way(run, disabled=guest or not saved, guest=guest)


def _draw_way(run: Run, *, disabled: bool, guest: bool) -> None:
    """Two steps, so that nobody looks by accident."""
    sure = st.checkbox(
        "Look now, once: it is noted with my name and cannot be undone",
        key="bt_sure",
        disabled=disabled,
    )
    if st.button(
        "Look at the held-back third",
        icon=":material/visibility:",
        disabled=disabled or not sure,
        help=LOOKING if guest else None,
        key="bt_look",
    ):
        try:
            backtest_actions.look(run.id)
        except CryptoSatXError as error:
            st.error(str(error), icon=":material/error:")
            return
        st.rerun()


def _draw_seen(tallies: pd.DataFrame, looks: Sequence[Look], run: Run) -> None:
    own = next(one for one in looks if one.backtest_id == run.id)
    st.caption(
        f"{own.looked_by} looked {reader_clock().stamp(own.looked_at)}. Intervals are widened for "
        f"{count(len(looks), 'look')} at this history (Bonferroni), so they hold for all of them "
        f"together; what else was tried on it, {number(len(looks))} or more profiles, is in nobody's "
        "numbers but your judgement."
        if len(looks) > 1
        else f"{own.looked_by} looked {reader_clock().stamp(own.looked_at)}. It is the first look at this "
        "history; the intervals are as they are, and will widen with every further one."
    )
    if tallies.empty:
        st.markdown(":material/filter_alt_off: **No signal of the held-back days has an outcome.**")
        return
    record = widened_record(tallies, len(looks))
    st.markdown(f"#### {headline(record.trades, record.looks)}")
    draw_cells(tallies, record, "held_back")


def _under(seen: Look, run: Run) -> str:
    """Under which mode it was seen, where that is another one."""
    same = seen.profile_name == run.asked.profile.name
    return "" if same else f", as a version of {seen.profile_name} with the same numbers"
