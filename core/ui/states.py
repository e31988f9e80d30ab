"""What a page shows when it has nothing to show: it says what is missing and what can be done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import StoreError
from core.instance import instance
from core.ui import loaders
from core.ui.away import draw_way_back

_logger = logging.getLogger(__name__)


@contextmanager
def store_failures_shown() -> Iterator[None]:
    """Show a database that does not answer as a sentence with a way on, and end the page."""
    try:
        yield
    except StoreError as error:
        _logger.exception("The database could not be read.")
        with st.container(border=True, key="failed"):
            st.markdown(f":material/database_off: **{error}**")
            st.button("Try again", icon=":material/refresh:")
        draw_way_back()
        st.stop()


def draw_nothing_stored(what: str) -> None:
    """Say why there is no ``what`` yet, and what will bring it."""
    replays = loaders.load_progress()
    with st.container(border=True, key="empty", horizontal_alignment="center", gap="small"):
        st.markdown(f":material/hourglass_empty: **No {what} yet**")
        if any(row["state"] in ("waiting", "running") for row in replays):
            st.markdown("The first ones appear here by themselves in a few seconds.")
            st.skeleton(height=220)
        elif instance().market.kind == "live":
            st.markdown(
                "No bar of the live market has been collected yet; the first start takes minutes. "
                "If none comes, this asks every source on the server and says what is wrong:"
            )
            st.code("python -m core doctor", language="bash")
        else:
            # The folder of a recording is the operator's to know, not every reader's.
            source = "demo" if instance().market.kind == "demo" else "PATH"
            st.markdown("This market's past has not been worked through. On the server, run")
            st.code(f"python -m core replay {source}", language="bash")


def draw_unheard() -> None:
    """Say why no liquidation is known on the live market, and what will bring the first."""
    with st.container(border=True, key="empty", horizontal_alignment="center", gap="small"):
        st.markdown(":material/hearing_disabled: **Nobody has listened to liquidations yet**")
        st.markdown(
            "A worker follows every exchange's stream as soon as it knows the exchange's markets, "
            "within a minute of its start; this page then fills by itself. Where no worker runs, "
            "start one on the server:"
        )
        st.code("python -m core worker", language="bash")


def draw_no_match(reset: str) -> None:
    """Say that the filters leave nothing, and where to loosen them."""
    with st.container(border=True, key="no_match", horizontal_alignment="center"):
        st.markdown(f":material/filter_alt_off: **No market passes these filters.** {reset}")
