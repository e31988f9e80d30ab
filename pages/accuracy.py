"""How good the verdicts are: every rate with its count, its interval and its baselines."""

import streamlit as st

from core.accuracy import summarise
from core.ui import loaders
from core.ui.controls import choose_mode
from core.ui.session import require_user
from core.ui.states import draw_nothing_stored, store_failures_shown

require_user("analyst")


def main() -> None:
    mode = choose_mode()
    with store_failures_shown():
        outcomes = loaders.load_outcomes(mode)
    if outcomes.empty:
        draw_nothing_stored("finished outcomes")
        return
    st.dataframe(summarise(outcomes, by=["traded", "verdict", "horizon"]))


main()
