"""Choices that hold on every page. They are drawn by the header, so that they and their place in
the address stay when the page changes: an address's part belongs to the script that draws it."""

from __future__ import annotations

import streamlit as st

from core.signals import PROFILE_NAMES, load_profile
from core.ui.formats import UTC_CLOCK, Clock

SHARED = ("mode", "tz")


def draw_mode() -> None:
    """The switch between the profiles, ``?mode=`` in the address."""
    st.segmented_control(
        "Mode",
        PROFILE_NAMES,
        default=load_profile().name,
        required=True,
        key="mode",
        bind="query-params",
        label_visibility="collapsed",
    )


def chosen_mode() -> str:
    """The profile by which the reader wants signals made."""
    mode = st.session_state.get("mode")
    return mode if mode in PROFILE_NAMES else load_profile().name


def draw_zone() -> None:
    """The switch between the reader's own zone and UTC, ``?tz=UTC`` in the address."""
    own = Clock.named(st.context.timezone)
    if own == UTC_CLOCK:
        st.html('<span class="cx-note">Times in UTC</span>', width="content")
        return
    st.segmented_control(
        "Time zone",
        [own.place, UTC_CLOCK.label],
        default=own.place,
        required=True,
        key="tz",
        bind="query-params",
        label_visibility="collapsed",
    )


def reader_clock() -> Clock:
    """The zone that the reader chose: the browser's own, or UTC."""
    if st.session_state.get("tz") == UTC_CLOCK.label:
        return UTC_CLOCK
    return Clock.named(st.context.timezone)


def shared_query() -> dict[str, str]:
    """What these choices add to the address of any page, as a link has to carry it."""
    query = {}
    if chosen_mode() != load_profile().name:
        query["mode"] = chosen_mode()
    if st.session_state.get("tz") == UTC_CLOCK.label:
        query["tz"] = UTC_CLOCK.label
    return query
