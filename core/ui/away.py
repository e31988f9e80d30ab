"""What a reader sees while the database does not answer: since when, and the way back by itself."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from core.ui.controls import reader_clock
from core.ui.freshness import away_words
from core.ui.pulse import is_away, read_pulse

LOOK_SECONDS = 2
# Where the database answers and the page still failed, the fault is in the page's own question.
LOOK_AGAIN_SECONDS = 10


def draw_away() -> None:
    """In place of a page that cannot be drawn: nobody can be told from anybody else meanwhile."""
    with st.container(border=True, key="away", gap="small"):
        st.markdown(":material/database_off: **The database does not answer.**")
        _draw_since()
    draw_way_back()


def draw_way_back() -> None:
    """Run the page again as soon as the database answers, without the reader's doing."""
    drawn: list[bool] = []

    def look() -> None:
        if drawn and not is_away():
            st.rerun()
        drawn.append(True)

    st.fragment(look, run_every=LOOK_SECONDS if is_away() else LOOK_AGAIN_SECONDS)()


@st.fragment(run_every=LOOK_SECONDS)
def _draw_since() -> None:
    reading, now = read_pulse(), datetime.now(UTC)
    if reading.away_since is not None:
        st.markdown(away_words(reading.away_since, reading.known_at, now, reader_clock()))
        st.caption("What is stored is not affected. The server's terminal says more.")
