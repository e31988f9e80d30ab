"""A run of a profile in words: its address, what it is of, how it stands."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from core.instance import instance
from core.market.histories import histories
from core.signals import Profile
from core.store.backtests import Run
from core.ui.formats import Clock, count, duration, percent

RUN, WITH = "run", "with"
STATES = {
    "waiting": ":material/schedule: waiting",
    "running": ":material/play_circle: running",
    "done": ":material/check_circle: done",
    "failed": ":material/error: failed",
    "cancelled": ":material/cancel: cancelled",
}
LOOKING = "A guest looks around; running, saving and looking need an account."


def open_run(run_id: str | None, other: str | None = None) -> None:
    """Put a run, or a comparison of two, into the address; None for the list of runs."""
    for name, value in ((RUN, run_id), (WITH, other)):
        if value:
            st.query_params[name] = value
        else:
            st.query_params.pop(name, None)


def opened_runs() -> tuple[str | None, str | None]:
    """The run that is open, and the one it is compared with."""
    return st.query_params.get(RUN), st.query_params.get(WITH)


def name_of(profile: Profile) -> str:
    """A version of a mode, short.

    >>> from core.signals import load_profile
    >>> name_of(load_profile()) == f"balanced {load_profile().version[:8]}"
    True
    """
    return f"{profile.name} {profile.version[:8]}"


def history_label(key: str) -> str:
    """What a history is called; its key where it is here no longer."""
    here = instance()
    labels = {one.key: one.label for one in histories(here.settings, here.market)}
    return labels.get(key, key)


def about(run: Run, clock: Clock) -> str:
    """What a run is of and who asked for it, in a line."""
    asked = run.asked
    markets = "all markets" if asked.symbols is None else count(len(asked.symbols), "market")
    parts = [name_of(asked.profile), history_label(asked.history), markets]
    if asked.start or asked.end:
        ends = [f"{day:%-d %b %Y}" if day else "…" for day in (asked.start, asked.end)]
        parts.append(" to ".join(ends))
    parts.append(f"asked for by {run.asked_by}, {clock.stamp(run.asked_at)}")
    return " · ".join(parts)


def progress_words(run: Run, left: timedelta | None) -> str:
    """How far a run is, and about how long it will still take."""
    if run.state == "waiting":
        return "Waiting for a worker that is free."
    estimate = f"about {duration(left)} left" if left else "estimating the time left"
    return f"{percent(run.fraction, 0)}, {run.stage}; {estimate}."
