"""The tape: single liquidations as they are reported, the newest on top."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
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
_TOLD = (
    "venue",
    "identity",
    "occurred_at",
    "liquidated_side",
    "symbol",
    "price",
    "quantity",
    "usd",
)


def draw_tape(rows: str, *, height: int, nothing: str, key: str = "tape") -> None:
    """Draw `tape_rows` in a list of fixed height that scrolls by itself."""
    _TAPE(key=key, data={"rows": rows, "height": height, "nothing": nothing})


def tape_rows(events: pd.DataFrame, clock: Clock) -> str:
    """Every text of every event as the store gives them, and which it is, as JSON.

    As one text, because what a component is given is written and hashed for each of its readers.
    """
    rows = zip(*(events[name].tolist() for name in _TOLD), strict=True)
    return orjson.dumps([_row(clock, *row) for row in rows]).decode()


# Of a hundred rows a few are new each time, and readers see the same.
@lru_cache(maxsize=4096)
def _row(
    clock: Clock,
    venue: str,
    identity: str,
    at: datetime,
    side: str,
    symbol: str,
    price_usd: float,
    amount: float,
    usd: float,
) -> dict[str, Any]:
    return {
        "id": f"{venue} {identity}",
        "time": clock.second(at),
        "stamp": f"{clock.stamp(at)}, {clock.label}",
        "side": side,
        "word": side,
        "symbol": symbol,
        "venue": venue_name(venue),
        "price": price(price_usd),
        "quantity": quantity(amount),
        "usd": compact(usd),
        "large": usd >= LARGE_USD,
    }
