"""Every run of a page as operators see it: whose it is, how long it took, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException, StopException

from core.observing.context import begin_run, new_id
from core.observing.instruments import PAGE_RUNS, PAGE_SECONDS
from core.observing.spans import span
from core.ui.browser import page_name
from core.ui.navigation import ENTRIES, HOME
from core.ui.session import session_mark
from core.ui.turns import TURNS

_NAMES = frozenset(entry.path for entry in ENTRIES)
_RUN = "_run"


def observed(run: Callable[[], None]) -> None:
    """Run a page; what is logged meanwhile has the run's id and the session's."""
    page = known_page(page_name())
    st.session_state[_RUN] = new_id()
    begin_run(request=st.session_state[_RUN], session=session_mark())
    began, outcome = perf_counter(), "done"
    try:
        with TURNS.taken(), span(f"page {page}", page=page):
            run()
    except (StopException, RerunException):
        outcome = "stopped"
        raise
    except Exception:
        outcome = "failed"
        raise
    finally:
        PAGE_RUNS.labels(page, outcome).inc()
        PAGE_SECONDS.labels(page).observe(perf_counter() - began)


def latest_run() -> str:
    """The id of the run that drew the page which is open; parts that are drawn again later keep it."""
    return str(st.session_state.get(_RUN, ""))


def known_page(name: str) -> str:
    """A page's name, of which there are few.

    >>> known_page(""), known_page("system"), known_page("../../x")
    ('signals', 'system', 'other')
    """
    return name if name in _NAMES else "other" if name else HOME
