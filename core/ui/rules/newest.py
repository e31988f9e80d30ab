"""What a rule would say now: for which markets its condition holds, and what every part of it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.alerts import Shown
from core.alerts.advice import Check
from core.alerts.names import BY_NAME
from core.errors import RuleError
from core.store.alerts.newest import MarketNow, NewestRows
from core.ui import loaders
from core.ui.controls import reader_clock
from core.ui.formats import DASH, count, known, number
from core.ui.palette import direction_sign
from core.ui.rules.drafts import Draft
from core.ui.rules.wording import conditions
from core.ui.rules.words import plain

_HOLDS = {True: "● holds", False: "○ does not hold", None: "? not known"}
_TRUTHS = {True: "yes", False: "no", None: DASH}


def draw_newest(draft: Draft, check: Check) -> None:
    """Draw the condition on the newest row of every market it is about."""
    if check.rule is None:
        what = "put right" if check.text.strip() else "written"
        st.markdown(f":material/edit: **The expression has to be {what} first.**")
        return
    profile_name = draft.body["profile_name"]
    try:
        found = loaders.load_newest_rows(
            check.text.strip(), tuple(conditions(check.text)), profile_name
        )
    except RuleError as error:
        st.markdown(f":material/error: **{plain(str(error))}**")
        return
    chosen = set(draft.body["symbols"])
    markets = [one for one in found.markets if not chosen or one.symbol in chosen]
    if not markets:
        st.markdown(
            ":material/hourglass_empty: **No market that the rule is about has a bar yet.** "
            "They come with the first bars that a worker stores."
        )
        return
    st.markdown(f"**{headline(markets)}**")
    st.caption(_about(draft, markets))
    _say_missing(found, markets)
    ordered = sorted(markets, key=_order)
    st.dataframe(
        newest_table(ordered),
        hide_index=True,
        key="rule_newest",
        placeholder=DASH,
        alt="The condition and every part of it, by market, at the newest bar",
        column_config=_columns(ordered),
        height="content" if len(ordered) <= 12 else 440,
    )


def headline(markets: Sequence[MarketNow]) -> str:
    """Of how many markets it holds, and of how many that is not known."""
    holding = [one.symbol for one in markets if one.truth]
    unknown = sum(one.truth is None for one in markets)
    shown = (
        f": {', '.join(holding[:6])}{' and more' if len(holding) > 6 else ''}" if holding else ""
    )
    said = f"The condition holds now for {len(holding)} of {count(len(markets), 'market')}{shown}"
    return f"{said}; not known of {unknown}." if unknown else f"{said}."


def newest_table(markets: Sequence[MarketNow]) -> pd.DataFrame:
    """A row per market: the condition, how much of it holds, and every piece that is no condition."""
    many = len(markets[0].conditions) > 1
    cells: dict[str, list[Any]] = {
        "Market": [one.symbol for one in markets],
        "Condition": [_HOLDS[one.truth] for one in markets],
    }
    if many:
        cells["Parts that hold"] = [
            f"{sum(part is True for part in one.conditions)} of {len(one.conditions)}"
            for one in markets
        ]
        cells["What is missing"] = [_lacking(one) for one in markets]
    for place, title in _pieces(markets).items():
        cells[title] = [piece_words(one.pieces[place]) for one in markets]
    return pd.DataFrame(cells)


def piece_words(piece: Shown) -> str:
    """The value of a piece, in a column whose title has its unit."""
    value = piece.value
    if value is None:
        return DASH
    if isinstance(value, bool):
        return _TRUTHS[value]
    if isinstance(value, str):
        return value
    if piece.text.strip() == "direction":
        return direction_sign(value).word
    if not known(value):
        return DASH
    size = abs(value)
    digits = (
        0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4 if size >= 0.01 else 6
    )
    return number(value, digits) if value else "0"


def _lacking(one: MarketNow) -> str:
    """Which parts do not hold or are not known, by their place in the expression."""
    wrong = [str(at + 1) for at, part in enumerate(one.conditions) if part is False]
    unknown = [str(at + 1) for at, part in enumerate(one.conditions) if part is None]
    said = [f"part {', '.join(wrong)}"] if wrong else []
    said += [f"part {', '.join(unknown)} not known"] if unknown else []
    return "; ".join(said) or "nothing"


def _pieces(markets: Sequence[MarketNow]) -> dict[int, str]:
    """The pieces to show, each once, with their titles."""
    found: dict[int, str] = {}
    for place, piece in enumerate(markets[0].pieces):
        if piece.kind == "truth" and not piece.text.rstrip().endswith(")"):
            continue
        if piece.kind == "truth":
            title = piece.text
        else:
            name = BY_NAME.get(piece.text)
            title = piece.title if name is not None else piece.text
            title = f"{title}, {piece.unit}" if piece.unit and piece.unit != "text" else title
        if title not in found.values():
            found[place] = title
    return found


def _columns(markets: Sequence[MarketNow]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Market": st.column_config.TextColumn(pinned=True, width=110),
        "Condition": st.column_config.TextColumn(width=130),
        "Parts that hold": st.column_config.TextColumn(
            width=110, help="Of the conditions that “and” joins"
        ),
        "What is missing": st.column_config.TextColumn(
            width=150, help="Which of them do not hold, in the order of the expression"
        ),
    }
    for place, title in _pieces(markets).items():
        piece = markets[0].pieces[place]
        name = BY_NAME.get(piece.text)
        config[title] = st.column_config.TextColumn(
            alignment="right", help=name.meaning if name else piece.text
        )
    return config


def _order(one: MarketNow) -> tuple[int, int, str]:
    """Those that hold, then those with the most parts that do, then those that are not known."""
    rank = {True: 0, False: 1, None: 2}[one.truth]
    return rank, -sum(part is True for part in one.conditions), one.symbol


def _about(draft: Draft, markets: Sequence[MarketNow]) -> str:
    clock = reader_clock()
    said = (
        f"At the bar that closed {clock.stamp(max(one.time for one in markets))} ({clock.label})."
    )
    if len(markets[0].conditions) > 1:
        said += " Markets with the most parts that hold stand first: they are the closest."
    if draft.body["for"]:
        said += f" The rule fires where it has held for {draft.body['for']}."
    return said


def _say_missing(found: NewestRows, markets: Sequence[MarketNow]) -> None:
    """Why something is not known: what nothing is stored of, and what single markets lack."""
    if found.missing:
        names = [BY_NAME[name].title if name in BY_NAME else name for name in found.missing]
        st.markdown(
            f":material/help: Nothing is stored of **{', '.join(names)}** here, so what rests on it is "
            "not known."
        )
        return
    lacking: dict[str, int] = {}
    for one in markets:
        if one.truth is None:
            pieces = [
                piece for piece in one.pieces if piece.value is None and piece.kind != "truth"
            ]
            for piece in {piece.text: piece for piece in pieces}.values():
                lacking[piece.text] = lacking.get(piece.text, 0) + 1
    if lacking:
        said = ", ".join(
            f"`{text}` of {count(amount, 'market')}" for text, amount in lacking.items()
        )
        st.markdown(f":material/help: Not known: {said}.")
