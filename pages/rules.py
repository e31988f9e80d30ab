"""Alert rules: written, tried on history, saved in versions."""

import streamlit as st

from core.ui import loaders
from core.ui.rules.editing import draw_lost, draw_rule
from core.ui.rules.listing import draw_list
from core.ui.rules.opened import is_new, opened_rule
from core.ui.session import require_user
from core.ui.states import store_failures_shown
from core.ui.viewport import watch_viewport

person = require_user("admin")


def main() -> None:
    with store_failures_shown():
        asked = opened_rule()
        if asked is None:
            st.subheader("Alert rules", anchor=False)
            draw_list()
        elif is_new(asked):
            draw_rule(None, who=person.username)
        else:
            stored = loaders.load_rule(asked) if isinstance(asked, int) else None
            if stored is None:
                draw_lost(asked)
            else:
                draw_rule(stored, who=person.username)
    watch_viewport()


main()
