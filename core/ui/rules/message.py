"""The message of a rule: its templates, and what they make of what there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.alerts.delivery.messages import (
    DEFAULT_TEXT,
    DEFAULT_TITLE,
    EXAMPLE,
    VARIABLES,
    compose,
    preview,
)
from core.alerts.delivery.sandbox import FILTER_NAMES
from core.errors import DeliveryError
from core.ui.rules.drafts import Draft
from core.ui.rules.fields import draw_telling, draw_templates
from core.ui.rules.words import plain


def draw_message(draft: Draft, faults: Mapping[str, str], channels: Mapping[int, str]) -> None:
    """Where messages go, how they read, and what can be used in them."""
    draw_telling(draft, faults, channels)
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_templates(draft, faults)
        with st.expander("What can be used in title and text"):
            st.markdown(_usable())
            st.caption("The built-in title and text:")
            st.code(DEFAULT_TITLE, language=None, wrap_lines=True)
            st.code(DEFAULT_TEXT, language=None, wrap_lines=True)
    with right:
        _draw_preview(draft)


def example_of(draft: Draft) -> dict[str, Any]:
    """An example with this rule's own words."""
    return {
        **EXAMPLE,
        "rule": draft.body["name"].strip() or EXAMPLE["rule"],
        "description": draft.body["description"],
        "severity": draft.body["severity"],
    }


def _draw_preview(draft: Draft) -> None:
    values = example_of(draft)
    st.markdown("**How it would read**")
    try:
        title = preview(draft.body["title"] or DEFAULT_TITLE, values, title=True)
        text = preview(draft.body["body"] or DEFAULT_TEXT, values)
    except DeliveryError as error:
        title, text, _ = compose(None, None, values)
        st.markdown(f":material/error: **{plain(str(error))}**")
        st.caption("Such a message would be sent as the built-in one:")
    with st.container(border=True, key="rule_message", gap="xsmall"):
        st.markdown("**Title**")
        st.code(title, language=None, wrap_lines=True)
        st.code(text, language=None, wrap_lines=True)
    st.caption("The markets and values are an example: two markets fire, one has ended.")


def _usable() -> str:
    rows = [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    filters = ", ".join(f"`{name}`" for name in FILTER_NAMES)
    return "\n".join(
        [
            "| Name | what it is |",
            "|---|---|",
            *rows,
            "",
            f"`{{{{ value | number(2) }}}}` writes a number; the filters are {filters}. "
            "`{% if %}` chooses and `{% for one in fired %}` goes through lists.",
        ]
    )
