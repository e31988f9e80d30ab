"""What a reader sees while a database does not answer, and the way back that needs no click."""

from __future__ import annotations

import streamlit as st

from core.ui.pulse import away_now
from core.ui.session import redraw, renewed

LOOK_SECONDS = 2
# Where the databases answer and a page still failed, the fault is in the page's own question.
LOOK_AGAIN_SECONDS = 10


def draw_way_back() -> None:
    """Run the page again as soon as every database answers, without the reader's doing."""
    drawn: list[bool] = []

    def look() -> None:
        if drawn and away_now() is None:
            redraw()
        drawn.append(True)

    renewed(LOOK_SECONDS if away_now() else LOOK_AGAIN_SECONDS)(look)()


def draw_nobody_known() -> None:
    """In place of every page while the database of people is away: no reader can be told from
    another, and so none is shown anything."""
    with st.container(border=True, key="away", gap="small"):
        st.markdown(":material/database_off: **Nobody can be let in meanwhile.**")
        st.markdown(
            "This page comes by itself as soon as the database answers. What is stored is not "
            "affected; the server's terminal says more."
        )
    draw_way_back()
