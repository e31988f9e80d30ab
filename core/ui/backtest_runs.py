"""Asking for a run, and the runs there are."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pandas as pd
import streamlit as st

from core.backtest.walk import FOLDS
from core.errors import CryptoSatXError
from core.instance import instance
from core.market.histories import histories
from core.signals import Profile
from core.store.backtests import Asked
from core.store.histories import Contents
from core.ui import backtest_actions, loaders
from core.ui.backtest_editor import Draft
from core.ui.backtest_words import LOOKING, STATES, about, name_of, open_run
from core.ui.controls import reader_clock
from core.ui.formats import count

_SHOWN = 12


def draw_form(draft: Draft, *, guest: bool) -> None:
    """Where to run the draft, and the button that does."""
    here = instance()
    known = {one.key: one.label for one in histories(here.settings, here.market)}
    history = st.selectbox("History", list(known), format_func=known.__getitem__, key="bt_history")
    found = _contents(history)
    symbols = st.multiselect(
        "Markets", found.symbols if found else (), key="bt_symbols", placeholder="All markets"
    )
    left, right = st.columns(2)
    first = None if found is None else found.first.date()
    last = None if found is None else found.last.date()
    start = left.date_input("From", value=None, min_value=first, max_value=last, key="bt_start")
    end = right.date_input("To", value=None, min_value=first, max_value=last, key="bt_end")
    refusal = _draw_division(found, start, end)
    usual = "" if draft.profile is None else name_of(draft.profile)
    name = st.text_input("Name", key="bt_name", placeholder=usual, max_chars=128)
    blocked = guest or draft.profile is None or refusal is not None
    if st.button(
        "Run on this history",
        type="primary",
        icon=":material/play_arrow:",
        disabled=blocked,
        help=LOOKING if guest else refusal,
        key="bt_run",
    ):
        assert draft.profile is not None
        asked = Asked(
            name or usual,
            history,
            draft.profile,
            tuple(symbols) or None,
            _midnight(start),
            _midnight(end),
        )
        _ask(asked)


def run_again(asked: Asked) -> None:
    """Ask for the same run once more, and open it."""
    _ask(asked)


def _ask(asked: Asked) -> None:
    try:
        run_id = backtest_actions.ask(asked)
    except CryptoSatXError as error:
        st.error(str(error), icon=":material/error:")
        return
    open_run(run_id)
    st.rerun()


def draw_save(profile: Profile | None, *, guest: bool, key: str) -> None:
    """The button that makes a profile a stored version of its mode."""
    stored = {
        (version.profile.name, version.profile.version) for version in loaders.load_versions()
    }
    if profile is not None and (profile.name, profile.version) in stored:
        st.caption(f":material/bookmark: {name_of(profile)} is a stored version.")
        return
    if st.button(
        "Save as a version" if profile is None else f"Save as a version of {profile.name}",
        icon=":material/bookmark_add:",
        disabled=guest or profile is None,
        help=LOOKING
        if guest
        else "A stored version is never changed. It decides nothing by itself.",
        key=key,
    ):
        assert profile is not None
        try:
            backtest_actions.save(profile)
        except CryptoSatXError as error:
            st.error(str(error), icon=":material/error:")
            return
        st.rerun()


def draw_runs() -> None:
    """The newest runs; each opens."""
    runs, clock = loaders.load_runs(), reader_clock()
    st.markdown(
        "**Runs**  \nEvery run is kept with who asked for it; open one to see what it gave."
    )
    if not runs:
        st.caption(
            "Nothing has been run yet: change a number, or run the profile that is in force."
        )
        return
    many = st.session_state.get("bt_many", _SHOWN)
    for run in runs[:many]:
        with st.container(border=True, gap=None, key=f"run_{run.id}"):
            st.button(
                run.asked.name,
                key=f"open_{run.id}",
                type="tertiary",
                on_click=open_run,
                args=(run.id,),
            )
            result = f": {run.headline}" if run.headline else ""
            st.markdown(f"{STATES[run.state]}{result}")
            st.caption(about(run, clock))
    if len(runs) > many and st.button(f"Show {count(len(runs) - many, 'older run')}"):
        st.session_state["bt_many"] = len(runs)
        st.rerun()


def _contents(history: str) -> Contents | None:
    try:
        found = loaders.load_contents(history)
    except CryptoSatXError as error:
        st.markdown(f":material/error: **{error}**")
        return None
    if found is None:
        st.caption("Nothing of it is here yet; it is made or worked through when it is run.")
    return found


def _draw_division(found: Contents | None, start: date | None, end: date | None) -> str | None:
    """Which days will be shown and which are held back; the sentence where none would be shown."""
    if found is None:
        return None
    of = found.days(_midnight(start), _midnight(end))
    if of.refusal:
        st.markdown(f":material/error: **{of.refusal}**")
        return of.refusal
    until = min(of.held_back_from, of.end) - pd.Timedelta("1D")
    held = (
        f"{count(of.held_back_days, 'day')} from {of.held_back_from:%-d %b} on are held back"
        if of.held_back_days
        else "none of the days that this history holds back is in it"
    )
    st.caption(
        f"{count(of.shown_days, 'day')}, {of.start:%-d %b} to {until:%-d %b %Y} (UTC), are shown in "
        f"{FOLDS} parts; {held}. The last third of a history's days is held back from every run on it."
    )
    return None


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), tzinfo=UTC)
