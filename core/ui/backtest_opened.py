"""A run that is open: how far it is, how it ended, what it gave."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import streamlit as st

from core.errors import CryptoSatXError
from core.signals import Profile
from core.store.backtests import Run
from core.ui import backtest_actions, loaders
from core.ui.backtest_editor import in_force_now, start_from
from core.ui.backtest_fields import differences
from core.ui.backtest_held_back import draw_held_back
from core.ui.backtest_results import draw_results
from core.ui.backtest_runs import draw_save, run_again
from core.ui.backtest_words import LOOKING, about, name_of, open_run, progress_words
from core.ui.callbacks import of_page
from core.ui.controls import reader_clock
from core.ui.formats import count
from core.ui.replaying import remaining
from core.ui.session import redraw, renewed

_POLL_SECONDS = 1.0
_PACE = "bt_pace {}"


def draw_run(run_id: str, *, guest: bool) -> None:
    """Everything about one run."""
    run = loaders.load_run(run_id)
    if run is None:
        with st.container(border=True, key="lost"):
            st.markdown(f":material/search_off: **There is no run “{run_id[:40]}” here.**")
            st.button("All runs", on_click=open_run, args=(None,))
        return
    _draw_head(run, guest=guest)
    if run.under_way:
        _draw_under_way(run, guest=guest)
    elif run.state == "done":
        _draw_done(run, guest=guest)
    else:
        _draw_ended(run, guest=guest)


def _draw_head(run: Run, *, guest: bool) -> None:
    profile = run.asked.profile
    st.subheader(run.asked.name, anchor=False)
    st.caption(about(run, reader_clock()))
    with st.container(horizontal=True, gap="small", key="run_actions", vertical_alignment="center"):
        st.button("All runs", icon=":material/arrow_back:", on_click=open_run, args=(None,))
        st.button("Change this profile", icon=":material/tune:", on_click=_edit, args=(profile,))
        draw_save(profile, guest=guest, key="save_run")
    found = differences(in_force_now(profile.name), profile)
    if found:
        with st.expander(f"{count(len(found), 'number')} other than {profile.name} in force"):
            st.markdown("  \n".join(found))


def _edit(profile: Profile) -> None:
    start_from(profile)
    open_run(None)


def _draw_under_way(run: Run, *, guest: bool) -> None:
    st.session_state[_PACE.format(run.id)] = []

    @renewed(_POLL_SECONDS)
    def progress() -> None:
        now = loaders.load_run(run.id)
        if now is None or not now.under_way:
            redraw()
        _draw_progress(now)
        if st.button(
            "Cancel",
            icon=":material/cancel:",
            key="bt_cancel",
            disabled=guest,
            help=LOOKING if guest else None,
        ):
            try:
                backtest_actions.cancel(run.id)
            except CryptoSatXError as error:
                st.error(str(error), icon=":material/error:")
            else:
                st.rerun()

    progress()
    st.caption(
        "You can leave this page: the run goes on, and its address stays the same. The newest bar of a "
        "live market always goes first."
    )


def _draw_progress(run: Run) -> None:
    seen = st.session_state.setdefault(_PACE.format(run.id), [])
    if run.state == "running":
        seen.append((datetime.now(UTC), run.fraction))
        del seen[1:-1]
    st.progress(run.fraction, text=progress_words(run, remaining(seen) if len(seen) > 1 else None))
    if run.state == "waiting" and not loaders.count_living_workers():
        st.markdown(
            ":material/hourglass_disabled: **No worker is alive, so nothing is run.** Start one on "
            "the server; the run then begins by itself."
        )
        st.code("python -m core worker", language="bash")


def _draw_ended(run: Run, *, guest: bool) -> None:
    words = "It was stopped." if run.state == "cancelled" else "It failed."
    with st.container(border=True, key="ended"):
        st.markdown(f":material/error: **{words}** {run.message or ''}")
        st.markdown("Nothing of it was kept.")
        if st.button(
            "Run it again",
            icon=":material/replay:",
            disabled=guest,
            help=LOOKING if guest else None,
            key="bt_again",
        ):
            run_again(run.asked)


def _draw_done(run: Run, *, guest: bool) -> None:
    result = loaders.load_result(run.id)
    assert result is not None
    _draw_others(run)
    draw_results(result)
    draw_held_back(run, guest=guest)


def _draw_others(run: Run) -> None:
    """Choose a run to compare this one with: of the same history."""
    others = {
        other.id: other
        for other in loaders.load_runs()
        if other.state == "done" and other.id != run.id and other.asked.history == run.asked.history
    }

    def compare() -> None:
        picked = st.session_state["bt_with"]
        if picked:
            open_run(run.id, picked)

    st.selectbox(
        "Compare with",
        list(others),
        index=None,
        key="bt_with",
        placeholder="another run on this history" if others else "no other run on this history yet",
        disabled=not others,
        format_func=lambda key: f"{others[key].asked.name} ({name_of(others[key].asked.profile)})",
        on_change=of_page(compare),
        width=420,
    )


def run_as(other: Run, like: Run) -> None:
    """Run the profile of one run on the markets and days of another."""
    asked = replace(
        other.asked,
        symbols=like.asked.symbols,
        start=like.asked.start,
        end=like.asked.end,
    )
    run_again(asked)
