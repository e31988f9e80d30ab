"""Choices that several pages share, each kept in the URL."""

from __future__ import annotations

import streamlit as st

from core.signals import PROFILE_NAMES, load_profile


def choose_mode() -> str:
    """The profile by which signals are read: ``?mode=`` on every page that asks."""
    return st.segmented_control(
        "Mode",
        PROFILE_NAMES,
        default=load_profile().name,
        required=True,
        key="mode",
        bind="query-params",
        label_visibility="collapsed",
    )
