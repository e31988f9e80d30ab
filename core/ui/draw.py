"""Putting a figure on the page, the same way everywhere."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st

from core.ui.live_chart import CONFIG


def draw_figure(figure: go.Figure, *, key: str, on_click: Callable[[], None] | None = None) -> None:
    """Draw a figure of `core.ui.charts` with its alt text; ``on_click`` finds the points under
    ``st.session_state[key]``."""
    alt = figure.layout.meta["alt"]
    if on_click is None:
        st.plotly_chart(figure, key=key, theme=None, config=CONFIG, alt=alt)
        return
    st.plotly_chart(
        figure,
        key=key,
        theme=None,
        config=CONFIG,
        alt=alt,
        on_select=on_click,
        selection_mode="points",
    )
