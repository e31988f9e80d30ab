"""How the machinery is doing: sources, workers, streams, freshness, the database."""

import streamlit as st

from core.ui.session import renewed, require_user
from core.ui.states import store_failures_shown
from core.ui.system import REFRESH_SECONDS, refreshes, system_html

require_user("admin")


def main() -> None:
    with store_failures_shown():
        every = REFRESH_SECONDS if refreshes() else None
    renewed(every)(draw)()


def draw() -> None:
    with store_failures_shown():
        st.html(system_html())


main()
