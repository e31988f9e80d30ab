"""The one palette: colours, shapes and words of directions and verdicts, and the chart template.

Colour carries direction and state and nothing else, and never alone: every direction and verdict
has its own shape and word. Blue and orange stay apart for the common colour-vision deficiencies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import streamlit as st

Mode = Literal["light", "dark"]

FONT = '"Source Sans", "Source Sans 3", "Source Sans Pro", system-ui, sans-serif'
LONG, SHORT = "#2A78D6", "#D9662B"


@dataclass(frozen=True)
class Palette:
    """Colours of one appearance.

    ``long`` and ``short`` fill marks (3:1 against the ground); ``long_ink`` and ``short_ink`` are
    for words (4.5:1), as are ``ink``, ``muted``, ``live_ink`` and ``failing``.
    """

    mode: Mode
    ground: str
    panel: str
    line: str
    grid: str
    ink: str
    muted: str
    neutral: str
    accent: str
    long_ink: str
    short_ink: str
    live: str
    live_ink: str
    failing: str
    simulated: str
    long: str = LONG
    short: str = SHORT

    def of(self, direction: float | None) -> str:
        """Fill of a direction's mark: -1, 0, 1, or unknown."""
        return (self.neutral, self.long, self.short)[_code(direction) or 0]


LIGHT = Palette(
    mode="light",
    ground="#FFFFFF",
    panel="#F5F6F8",
    line="#DCE0E6",
    grid="#ECEEF2",
    ink="#14181F",
    muted="#59626F",
    neutral="#7C8693",
    accent="#334155",
    long_ink="#1F66BD",
    short_ink="#B34D14",
    live="#1E8A55",
    live_ink="#17693F",
    failing="#C2362B",
    simulated="#F2C230",
)
DARK = Palette(
    mode="dark",
    ground="#0F1318",
    panel="#171C23",
    line="#2B333E",
    grid="#20262F",
    ink="#E7EAEE",
    muted="#9AA4B1",
    neutral="#7C8693",
    accent="#5B6675",
    long_ink="#6CA9F2",
    short_ink="#F0935F",
    live="#3FBF83",
    live_ink="#3FBF83",
    failing="#F07167",
    simulated="#F2C230",
)


def palette(mode: str | None = None) -> Palette:
    """The palette of an appearance; without one, of the reader's present appearance."""
    return DARK if (mode or reader_mode()) == "dark" else LIGHT


def reader_mode() -> Mode:
    """The appearance in the reader's browser; light where it has not told."""
    return "dark" if st.context.theme.type == "dark" else "light"


@dataclass(frozen=True)
class Sign:
    """How a state is shown without colour: its word, a glyph for text, a Plotly marker symbol."""

    word: str
    glyph: str
    symbol: str


DIRECTIONS: dict[int | None, Sign] = {
    1: Sign("LONG", "▲", "triangle-up"),
    -1: Sign("SHORT", "▼", "triangle-down"),
    0: Sign("NEUTRAL", "–", "line-ew-open"),
    None: Sign("no signal", "○", "circle-open"),
}
VERDICTS: dict[str | None, Sign] = {
    "CONFIRM": Sign("CONFIRM", "●", "circle"),
    "DOWNSIZE": Sign("DOWNSIZE", "◐", "circle-open-dot"),
    "WAIT": Sign("WAIT", "○", "circle-open"),
    "SKIP": Sign("SKIP", "⊗", "circle-x-open"),
    None: Sign("–", "", "circle-open"),
}


def direction_sign(direction: float | None) -> Sign:
    """The sign of -1, 0, 1, or of no signal (None or NaN).

    >>> direction_sign(-1.0).word, direction_sign(float("nan")).glyph
    ('SHORT', '○')
    """
    return DIRECTIONS[_code(direction)]


def verdict_sign(verdict: object) -> Sign:
    """The sign of a verdict's word, or of none.

    >>> verdict_sign("WAIT").glyph, verdict_sign(float("nan")).word
    ('○', '–')
    """
    return VERDICTS[verdict if isinstance(verdict, str) else None]


def theme_tokens(colours: Palette) -> dict[str, str]:
    """What `.streamlit/config.toml` says for this appearance, so that widgets match the charts."""
    return {
        "backgroundColor": colours.ground,
        "secondaryBackgroundColor": colours.panel,
        "textColor": colours.ink,
        "borderColor": colours.line,
        "primaryColor": colours.accent,
        "linkColor": colours.ink,
        "blueColor": colours.long,
        "blueTextColor": colours.long_ink,
        "orangeColor": colours.short,
        "orangeTextColor": colours.short_ink,
        "greenColor": colours.live,
        "greenTextColor": colours.live_ink,
        "redColor": colours.failing,
        "redTextColor": colours.failing,
        "yellowColor": colours.simulated,
        "grayColor": colours.neutral,
        "grayTextColor": colours.muted,
    }


@cache
def template(mode: Mode) -> dict[str, Any]:
    """The Plotly template of an appearance, which nobody may change."""
    colours = palette(mode)
    axis = {
        "gridcolor": colours.grid,
        "linecolor": colours.line,
        "zerolinecolor": colours.line,
        "tickcolor": colours.line,
        "tickfont": {"color": colours.muted, "size": 12},
        "title": {"font": {"color": colours.muted, "size": 12}, "standoff": 8},
        "automargin": True,
        "ticks": "",
    }
    return {
        "layout": {
            "paper_bgcolor": colours.ground,
            "plot_bgcolor": colours.ground,
            "font": {"family": FONT, "size": 13, "color": colours.ink},
            "title": {"font": {"size": 15, "color": colours.ink}, "x": 0, "xanchor": "left"},
            "colorway": [colours.ink, colours.muted, colours.neutral],
            "xaxis": axis | {"showspikes": True, "spikethickness": 1, "spikecolor": colours.muted},
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": colours.panel,
                "bordercolor": colours.line,
                "font": {"family": FONT, "size": 13, "color": colours.ink},
            },
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "margin": {"l": 8, "r": 8, "t": 32, "b": 8},
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": colours.neutral,
                "activecolor": colours.ink,
            },
        }
    }


def _code(direction: float | None) -> int | None:
    if direction is None or math.isnan(direction):
        return None
    return int(direction)
