"""The tape: single liquidations as they are reported, the newest on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.ui.formats import Clock, compact, price, quantity
from core.ui.venues import venue_name

_HERE = Path(__file__).parent
_TAPE = st.components.v2.component(
    "cryptosatx_tape",
    html='<ol class="tape" tabindex="0" aria-label="Liquidations, the newest first"></ol><p class="none" hidden></p>',
    css=(_HERE / "tape.css").read_text(encoding="utf-8"),
    js=(_HERE / "tape.js").read_text(encoding="utf-8"),
)
# From here on an amount is drawn bold.
LARGE_USD = 100_000.0


def draw_tape(
    rows: Sequence[Mapping[str, Any]], *, height: int, nothing: str, key: str = "tape"
) -> None:
    """Draw rows of `tape_rows` in a list of fixed height that scrolls by itself."""
    _TAPE(key=key, data={"rows": rows, "height": height, "nothing": nothing})


def tape_rows(events: pd.DataFrame, clock: Clock) -> list[dict[str, Any]]:
    """Every text of every event as the store gives them, and which it is."""
    return [
        {
            "id": f"{event['venue']} {event['identity']}",
            "time": clock.second(event["occurred_at"]),
            "stamp": f"{clock.stamp(event['occurred_at'])}, {clock.label}",
            "side": event["liquidated_side"],
            "word": event["liquidated_side"],
            "symbol": event["symbol"],
            "venue": venue_name(event["venue"]),
            "price": price(event["price"]),
            "quantity": quantity(event["quantity"]),
            "usd": compact(event["usd"]),
            "large": bool(event["usd"] >= LARGE_USD),
        }
        for event in events.to_dict("records")
    ]
