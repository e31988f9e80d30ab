"""What is open on the Rules page: ``?rule=`` a number or "new", and ``?view=`` of it."""

from __future__ import annotations

import streamlit as st

from core.ui.callbacks import of_page
from core.ui.rules.drafts import NEW

RULE, VIEW = "rule", "view"
NOW, PAST, TIMES, MESSAGE, VERSIONS = (
    "Newest data",
    "On history",
    "When and where",
    "Message",
    "Versions",
)
_SWITCH = "rule_view"
VIEWS = (NOW, PAST, TIMES, MESSAGE, VERSIONS)


def open_rule(key: str | None) -> None:
    """Put a rule into the address; None for the list."""
    if key is None:
        st.query_params.pop(RULE, None)
        st.query_params.pop(VIEW, None)
        return
    st.query_params[RULE] = key


def opened_rule() -> int | str | None:
    """The id of the rule that is open, "new", None for the list; any other text as it is."""
    asked = st.query_params.get(RULE)
    if not asked:
        return None
    # More digits than an id can have are a text like any other.
    return int(asked) if asked.isdecimal() and asked.isascii() and len(asked) < 10 else asked


def is_new(asked: object) -> bool:
    """Whether a rule is being written that is not saved yet."""
    return asked == NEW


def choose_view(*, new: bool) -> str:
    """The switch between the views of a rule, ``?view=`` in the address.

    The address is written here and not by the widget, so that a rule can be left with its view.
    """
    views = [view for view in VIEWS if not (new and view == VERSIONS)]
    asked = st.query_params.get(VIEW)
    st.session_state[_SWITCH] = asked if asked in views else views[0]
    chosen = st.segmented_control(
        "View of the rule",
        views,
        required=True,
        key=_SWITCH,
        label_visibility="collapsed",
        on_change=of_page(_open_view),
        wrap=True,
    )
    return chosen or views[0]


def _open_view() -> None:
    st.query_params[VIEW] = st.session_state[_SWITCH] or VIEWS[0]
