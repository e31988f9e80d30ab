"""Which horizons have room: all of them side by side, or on a phone one, with a switch."""

from __future__ import annotations

import streamlit as st

from core.outcomes import HORIZONS
from core.ui.claims import hours
from core.ui.viewport import is_narrow


def horizon_panes(key: str) -> tuple[str, ...]:
    """The horizons to draw here; where only one has room, the switch is drawn first."""
    if not is_narrow():
        return HORIZONS
    chosen = st.segmented_control(
        "Horizon",
        HORIZONS,
        default=HORIZONS[0],
        required=True,
        format_func=hours,
        key=f"bt_pane_{key}",
    )
    return (chosen or HORIZONS[0],)
