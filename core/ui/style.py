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
    """Keep the account at the bottom of the sidebar, where the menu leaves room, and have the tab that
    is open and the value of a slider in the ink of text: the accent is too dark for words on dark ground."""
    st.html(
        """<style>
        [data-testid="stMain"] [role="tab"][aria-selected="true"],
        [data-testid="stMain"] [role="tab"][aria-selected="true"] p,
        [data-testid="stSliderThumbValue"] { color: inherit; }
        [data-testid="stSidebarContent"] { display: flex; flex-direction: column; }
        [data-testid="stSidebarUserContent"] { margin-top: auto; }
        [data-testid="stSidebarNavSeparator"] { display: none; }
        </style>"""
    )


def style_people() -> None:
    """Set the lines of the list of people below each other as in a table, and on a phone as cards."""
    colours = palette()
    st.html(
        f"""<style>
        .st-key-people > div:not(:last-child) {{ border-bottom: 1px solid {colours.line}; }}
        .st-key-people > div, .st-key-people > div > div {{ flex-wrap: nowrap; }}
        .st-key-people .stElementContainer:has(.cx-person) {{ flex: 1 1 0; min-width: 0; }}
        .st-key-people [data-testid="stHtml"] {{ width: 100%; }}
        .cx-person {{
            display: grid; grid-template-columns: 3fr 1fr 2fr 1.5fr; gap: 0.25rem 1rem;
            align-items: center; line-height: 1.35; padding: 0.375rem 0; overflow-wrap: anywhere; }}
        .cx-person small {{ color: {colours.muted}; }}
        .cx-person em {{
            margin-left: 0.5rem; padding: 0 0.375rem; border-radius: 4px; font-style: normal;
            font-size: 0.8125rem; background: {colours.panel}; color: {colours.muted}; }}
        @media (max-width: 640px) {{
            .cx-person {{ grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }}
            .cx-person > div:first-child {{ grid-column: 1 / -1; }}
            .st-key-people button, .st-key-sessions button {{ min-height: 44px; }} }}
        </style>"""
    )
