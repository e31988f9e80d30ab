"""Alerts: what fires, what happened, silences, and where messages go."""

from collections.abc import Callable, Mapping

import streamlit as st

from core.accounts import Person, may
from core.ui.alerts.changes import draw_changes
from core.ui.alerts.channels import draw_channels
from core.ui.alerts.deliveries import draw_deliveries
from core.ui.alerts.filters import ask, follow_message
from core.ui.alerts.history import draw_history
from core.ui.alerts.now import draw_now
from core.ui.alerts.silences import draw_silences
from core.ui.alerts.ways import turn_to_wanted_view
from core.ui.session import require_user
from core.ui.states import store_failures_shown
from core.ui.viewport import watch_viewport

PERSON = require_user("trader")

VIEWS: Mapping[str, Callable[[Person], None]] = {
    "Now": draw_now,
    "History": draw_history,
    "Silences": draw_silences,
    "Channels": draw_channels,
}
# What administrators have beside; each view asks for the role itself.
FOR_ADMINS: Mapping[str, Callable[[Person], None]] = {
    "Deliveries": draw_deliveries,
    "Changes": draw_changes,
}
# In which nothing is filtered.
UNFILTERED = ("Silences", "Channels", "Deliveries")


def main() -> None:
    with store_failures_shown():
        follow_message()
        turn_to_wanted_view()
        views = {**VIEWS, **(FOR_ADMINS if may(PERSON, "admin") else {})}
        chosen = st.segmented_control(
            "View",
            list(views),
            default="Now",
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
            wrap=True,
        )
        # An empty value in the address is no choice, whatever the widget requires.
        if chosen in UNFILTERED:
            ask()
        views.get(chosen or "Now", draw_now)(PERSON)
    # Last: it shows nothing, and would still take room above.
    watch_viewport()


main()
