"""The few places that the theme in .streamlit/config.toml does not reach."""

from __future__ import annotations

import streamlit as st

from core.ui.palette import palette


def style_entrance() -> None:
    """Place the way in below the top, and let its one main button look like one."""
    colours = palette()
    st.html(
        f"""<style>
        [data-testid="stAppViewContainer"] {{ background: {colours.panel}; }}
        [data-testid="stSidebar"], [data-testid="stExpandSidebarButton"] {{ display: none; }}
        .st-key-entrance {{ padding-top: clamp(0rem, 9vh, 6rem); }}
        .st-key-entrance [data-testid="stForm"] {{ background: {colours.ground}; padding: 1.5rem; }}
        .st-key-entrance .stElementContainer:has([data-testid="stFormSubmitButton"]),
        .st-key-entrance [data-testid="stFormSubmitButton"] {{ width: 100% !important; }}
        .st-key-entrance [data-testid="stFormSubmitButton"] button {{
            width: 100%; min-height: 2.75rem; color: #FFFFFF;
            background: {colours.accent}; border-color: {colours.accent}; }}
        .st-key-entrance [data-testid="stFormSubmitButton"] button:hover {{ opacity: 0.9; }}
        .st-key-guest button {{ min-height: 2.75rem; }}
        .st-key-guest [data-testid="stCaptionContainer"] {{ text-align: center; }}
        .market {{
            display: flex; align-items: center; gap: 0.625rem; overflow: hidden;
            border: 1px solid {colours.line}; border-radius: 6px;
            background: {colours.ground}; color: {colours.ink}; font-weight: 600; }}
        .market i {{ align-self: stretch; width: 2.75rem; min-height: 2.25rem; background: {colours.neutral}; }}
        .market.simulated i {{ background: repeating-linear-gradient(
            135deg, {colours.simulated} 0 7px, #14181F 7px 14px); }}
        .market small {{ color: {colours.muted}; font-weight: 400; }}
        </style>"""
    )


def style_frame() -> None:
    """Keep the account at the bottom of the sidebar, where the menu leaves room."""
    st.html(
        """<style>
        [data-testid="stSidebarContent"] { display: flex; flex-direction: column; }
        [data-testid="stSidebarUserContent"] { margin-top: auto; }
        [data-testid="stSidebarNavSeparator"] { display: none; }
        </style>"""
    )
