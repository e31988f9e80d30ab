"""Try a profile on a history before it decides anything: run, compare, save, put in force."""

import streamlit as st

from core.ui.backtest_compare import draw_comparison
from core.ui.backtest_editor import draw_editor
from core.ui.backtest_force import draw_in_force
from core.ui.backtest_opened import draw_run
from core.ui.backtest_runs import draw_form, draw_runs, draw_save
from core.ui.backtest_words import opened_runs
from core.ui.session import require_user
from core.ui.states import store_failures_shown
from core.ui.viewport import watch_viewport

person = require_user("analyst")


def main() -> None:
    with store_failures_shown():
        run_id, other_id = opened_runs()
        if run_id and other_id:
            draw_comparison(run_id, other_id, guest=person.guest)
        elif run_id:
            draw_run(run_id, guest=person.guest)
        else:
            _draw_start()
    watch_viewport()


def _draw_start() -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Try a profile", anchor=False)
        draft = draw_editor()
        draw_save(draft.profile, guest=person.guest, key="save_draft")
        st.subheader("Run it on a history", anchor=False)
        draw_form(draft, guest=person.guest)
    with right:
        draw_runs()
        draw_in_force(person)


main()
