"""The table of markets: rows on a wide screen, cards on a narrow one, drawn by the browser.

It gets every text ready to show, follows the link of a row that is chosen, and reports the column
to sort by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from core.market.frame import SOURCES
from core.overview import ORDERS
from core.signals import FACTORS, Profile
from core.signals.factors import BY_NAME
from core.ui import formats
from core.ui.controls import SHARED
from core.ui.formats import Clock
from core.ui.palette import direction_sign, verdict_sign

STALE = timedelta(hours=2)

_HERE = Path(__file__).parent
_TABLE = st.components.v2.component(
    "cryptosatx_markets",
    html='<div class="markets"></div>',
    css=(_HERE / "market_table.css").read_text(encoding="utf-8"),
    js=(_HERE / "market_table.js").read_text(encoding="utf-8"),
)

# Letters over the strip, in the order of FACTORS.
_LETTERS = ("L", "M", "F", "C", "T", "O", "S", "G")
_SOURCE_WORDS = {
    "candles": "prices",
    "funding": "funding",
    "open_interest": "open interest",
    "long_short": "long/short",
    "liquidations": "liquidations",
    "social": "social",
    "fear_greed": "fear & greed",
}
# A column: its titles with their orders (a second click takes the next), and what it means.
COLUMNS: tuple[tuple[dict[str, tuple[str, ...]], str], ...] = (
    ({"Market": ("Symbol A to Z", "Most valuable coin")}, "perpetual future"),
    ({"Direction": ()}, "LONG and SHORT by the thresholds of the mode"),
    (
        {"Score": ("Highest conviction", "Highest score", "Lowest score")},
        "0 to 100, 50 is neutral; conviction is the distance from it",
    ),
    ({"Factors": ()}, "each factor around 50: up is bullish; as wide as its weight"),
    (
        {"Verdict": ("Best verdict",)},
        "what stands: by rules, or lower where the language model says so",
    ),
    (
        {"Agreement": ("Most agreement",), "Coverage": ("Most coverage",)},
        "how far the factors agree, and the weight of those that are known",
    ),
    ({"Price": ()}, "close of the newest bar, in the quote currency"),
    ({"24 h": ("Most risen", "Most fallen")}, "change of the price over 24 h"),
    ({"Last 24 h": ()}, "hourly closes, a gap where none is known"),
    ({"Age": ("Oldest data",)}, "age of the newest bar"),
)


def draw_table(text: str, *, on_sort: Callable[[str], None]) -> None:
    """Draw `table_data` that was made into JSON; choosing a row opens its page.

    ``on_sort`` gets the order that a click on a column's title asks for.
    """
    key = "markets"

    def sort() -> None:
        # A click may come while the page is drawn anew, and then there is no table for a moment.
        table = st.session_state.get(key)
        if table is not None and table.sort in ORDERS:
            on_sort(table.sort)

    # As text: to write hundreds of rows as JSON takes longer than all else on the page, and many
    # readers get the same.
    _TABLE(key=key, data={"text": text}, on_sort_change=sort)


def table_data(
    rows: pd.DataFrame,
    profile: Profile,
    *,
    order: str,
    clock: Clock,
    now: datetime,
    link: Callable[[str], str],
) -> dict[str, Any]:
    """Everything the browser needs: columns, factors with their weights, rows.

    ``rows`` are those of `core.ui.market_rows`, ``now`` is the time by which ages are told, ``link``
    the address of a symbol's page.
    """
    shares = profile.weights.shares()
    return {
        "columns": [
            {
                "parts": [
                    {"title": title, "orders": list(orders)} for title, orders in parts.items()
                ],
                "hint": hint,
            }
            for parts, hint in COLUMNS
        ],
        "order": order,
        "falling": ORDERS[order][1],
        "shared": SHARED,
        "factors": [
            {"title": BY_NAME[name].title, "letter": letter, "share": round(shares[name], 4)}
            for name, letter in zip(FACTORS, _LETTERS, strict=True)
        ],
        "rows": _rows(rows, clock, now, link),
    }


def _rows(
    rows: pd.DataFrame, clock: Clock, now: datetime, link: Callable[[str], str]
) -> list[dict[str, Any]]:
    ages = rows[[f"age_{source}" for source in SOURCES]].to_numpy()
    times = rows["time"].tolist()
    stamps = {time: clock.stamp(time) for time in set(times)}
    directions, verdicts = rows["direction"].tolist(), rows["verdict"].astype(object)
    cells: dict[str, list[Any]] = {
        "symbol": rows.index.tolist(),
        "href": [link(symbol) for symbol in rows.index],
        "direction": [int(value) if formats.known(value) else None for value in directions],
        "word": [direction_sign(value).word for value in directions],
        "score": [formats.number(value, 1) for value in rows["score"]],
        "conviction": [formats.number(value) for value in rows["conviction"]],
        "factors": _whole(rows[[f"factor_{name}" for name in FACTORS]].to_numpy()),
        "verdict": [verdict_sign(value).word for value in verdicts],
        "lowered": [
            f"The language model lowered the rules’ {verdict_sign(by_rules).word}." if less else ""
            for by_rules, less in zip(
                rows["rules_verdict"].astype(object), rows["lowered"], strict=True
            )
        ],
        "why": [reason or "" for reason in rows["no_signal"]],
        # Beside the bar of the coverage its number is not needed again.
        "lacks": [(reason or "").rsplit(": ", 1)[-1] for reason in rows["no_signal"]],
        "reasons": [list(reasons) for reasons in rows["reasons"]],
        "agreement": _whole(100 * rows["agreement"].to_numpy()),
        "coverage": _whole(100 * rows["coverage"].to_numpy()),
        "price": [formats.price(value) for value in rows["last_price"]],
        "change": [formats.percent(value, sign=True) for value in rows["change_24h"]],
        "spark": [spark(closes) for closes in rows["closes"]],
        "age": [_age(now - time) for time in times],
        "stale": [now - time > STALE for time in times],
        "at": [stamps[time] for time in times],
        "sources": [_source_ages(hours) for hours in ages.tolist()],
    }
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def spark(closes: npt.NDArray[np.float64]) -> list[int | None]:
    """Closes as heights from 0 (the lowest) to 100 (the highest), None in gaps.

    >>> spark(np.array([10.0, np.nan, 20.0, 15.0]))
    [0, None, 100, 50]
    """
    known = closes[~np.isnan(closes)]
    if len(known) < 2:
        return []
    low, span = known.min(), np.ptp(known)
    heights = 100 * (closes - low) / span if span else 50 + 0 * closes
    return _whole(heights)


def _whole(values: npt.NDArray[np.float64]) -> list[Any]:
    """Whole numbers in the same nesting, None where unknown."""
    rounded = np.rint(values)
    boxed = np.where(np.isnan(rounded), 0, rounded).astype(np.int64).astype(object)
    boxed[np.isnan(rounded)] = None
    whole: list[Any] = boxed.tolist()
    return whole


def _age(age: timedelta) -> str:
    return formats.duration(age) if age > timedelta(0) else "last bar"


def _source_ages(hours: Sequence[float]) -> str:
    """How old each source's value is at the row's bar, in words."""
    told = [
        f"{_SOURCE_WORDS[source]} {formats.duration(age) if formats.known(age) else 'unknown'}"
        for source, age in zip(SOURCES, hours, strict=True)
    ]
    return ", ".join(told)


def draw_key(profile: Profile, clock: Clock, *, shown: int, of: int) -> None:
    """How to read the table, and what it leaves out, once below it."""
    number = f"{of} markets" if shown == of else f"{shown} of {of} markets"
    st.caption(
        f"{number}. LONG from a score of {profile.long_threshold:g}, SHORT from "
        f"{profile.short_threshold:g}. Factors: a bar up is bullish, down is bearish, as wide as its "
        "weight; hatched is not known. Shares are of all weight. "
        f"Times in {clock.label}. Not investment advice."
    )
