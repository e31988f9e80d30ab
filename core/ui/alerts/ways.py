"""What the Alerts page shows when there is nothing to show, and where to go from there."""

from __future__ import annotations

import streamlit as st

from core.accounts import Person, may
from core.instance import instance
from core.ui.alerts.filters import clear
from core.ui.navigation import ENTRIES

_WANTED = "_alerts_view"


def show_view(name: str) -> None:
    """Have the page show one of its views at its next whole run."""
    # Not by the control's own key: what the browser says of it meanwhile would win.
    st.session_state[_WANTED] = name


def is_view_wanted() -> bool:
    """Whether another view is to be shown."""
    return _WANTED in st.session_state


def turn_to_wanted_view() -> None:
    """Choose the view that is wanted; before the control is drawn."""
    if is_view_wanted():
        st.session_state["view"] = st.session_state.pop(_WANTED)


def draw_ended(person: Person) -> None:
    """Say that rules do not fire on a market that has ended."""
    kind = "simulation" if instance().market.simulated else "recording"
    with _place("ended"):
        st.markdown(":material/notifications_off: **Rules do not fire on this market any more**")
        st.markdown(
            f"This is a {kind}: its last bar is past, and rules are judged at the close of a bar. On a "
            "live market this list shows what fires, since when and why."
        )
        _draw_way_to_rules(person, "See on its history how often rules would have fired")


def draw_no_rules(person: Person) -> None:
    """Say that there are no rules, and who makes them."""
    with _place("no_rules"):
        st.markdown(":material/notification_add: **There are no alert rules yet**")
        st.markdown(
            "A rule is a condition over prices, factors, scores and verdicts. It is judged at the close "
            "of every bar, on every market; what fires is listed here and sent to channels."
        )
        _draw_way_to_rules(person, "Write the first rule")


def draw_all_calm(*, filtered: bool) -> None:
    """Say that nothing fires, or that the filters leave nothing."""
    with _place("calm"):
        if filtered:
            st.markdown(":material/filter_alt_off: **Nothing that fires passes these filters**")
            st.button("Show everything", key="calm_reset", on_click=clear)
        else:
            st.markdown(":material/notifications: **Nothing fires and nothing is pending**")
            st.markdown("What fires appears here by itself. History has what has ended.")


def _draw_way_to_rules(person: Person, words: str) -> None:
    rules = next((entry for entry in ENTRIES if entry.path == "rules"), None)
    if rules is None or not may(person, "admin", write=True):
        st.caption("Administrators write rules, and try them on history before saving.")
    elif st.button(words, icon=":material/rule:", key="to_rules"):
        st.switch_page(rules.file)


def _place(key: str) -> st.delta_generator.DeltaGenerator:
    return st.container(
        border=True, key=f"alerts_{key}", horizontal_alignment="center", gap="small"
    )
