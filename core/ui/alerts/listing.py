"""The list of alerts in the browser: rows in groups, with ticks and what can be done with a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core.ui.controls import SHARED, shared_query
from core.ui.formats import Clock, duration

_HERE = Path(__file__).parent
_LIST = st.components.v2.component(
    "cryptosatx_alerts",
    html='<div class="alerts"></div>',
    css=(_HERE / "alert_list.css").read_text(encoding="utf-8"),
    js=(_HERE / "alert_list.js").read_text(encoding="utf-8"),
)
# Rows of a group that are shown before the reader asks for the rest.
_MOST = 12

Bit = str | Mapping[str, Any]
Cell = Sequence[Bit]


@dataclass(frozen=True)
class Column:
    """A column: its title and what it means."""

    title: str
    hint: str = ""
    number: bool = False


@dataclass(frozen=True)
class Row:
    """A row by its key. ``tick`` is what its box is called, empty for none; ``acts`` are names of
    actions; ``more`` are lines that open below it."""

    key: str
    cells: Sequence[Cell]
    tick: str = ""
    acts: Sequence[str] = ()
    more: Sequence[Cell] = ()


@dataclass(frozen=True)
class Group:
    """Rows under one head."""

    key: str
    rows: Sequence[Row]
    head: Cell = ()


@dataclass(frozen=True)
class Action:
    """What can be done with a row."""

    title: str
    hint: str = ""


@dataclass(frozen=True)
class Listed:
    """Everything the browser needs; a new ``round`` takes every tick away. With ``pair`` the
    first two columns share a line on a phone."""

    caption: str
    columns: Sequence[Column]
    groups: Sequence[Group]
    actions: Mapping[str, Action] = field(default_factory=dict)
    round: int = 0
    most: int = _MOST
    pair: bool = False


def draw_list(
    listed: Listed, *, key: str, on_act: Callable[[str, str], None] | None = None
) -> list[str]:
    """Draw it; the keys that are ticked. ``on_act`` gets the name of an action and a row's key."""

    def acted() -> None:
        asked = str(st.session_state[key].act or "")
        name, _, of = asked.partition(" ")
        if on_act is not None and name in listed.actions:
            on_act(name, of)

    found = _LIST(
        key=key,
        data=list_data(listed),
        on_act_change=acted,
        on_ticked_change=lambda: None,
    )
    ticked = found.get("ticked") or []
    known = {row.key for group in listed.groups for row in group.rows if row.tick}
    return [str(one) for one in ticked if one in known] if isinstance(ticked, list) else []


def list_data(listed: Listed) -> dict[str, Any]:
    """The same as JSON."""
    rows = [row for group in listed.groups for row in group.rows]
    return {
        "caption": listed.caption,
        "shared": list(SHARED),
        "most": listed.most,
        "pair": listed.pair,
        "round": listed.round,
        "selectable": any(row.tick for row in rows),
        "acting": any(row.acts or row.more for row in rows),
        "actions": {
            name: {"title": one.title, "hint": one.hint} for name, one in listed.actions.items()
        },
        "columns": [
            {"title": one.title, "hint": one.hint, "number": one.number} for one in listed.columns
        ],
        "groups": [
            {
                "key": group.key,
                "head": _cell(group.head),
                "rows": [
                    {
                        "key": row.key,
                        "cells": [_cell(cell) for cell in row.cells],
                        "tick": row.tick,
                        "acts": list(row.acts),
                        "more": [_cell(line) for line in row.more],
                    }
                    for row in group.rows
                ],
            }
            for group in listed.groups
        ],
    }


def bit(text: str, kind: str = "", hint: str = "", **more: str) -> Bit:
    """A piece of a cell; ``shape`` is a severity before it, ``href`` makes it a link."""
    return {"text": text, "kind": kind, "hint": hint, **more}


def together(*bits: Bit, kind: str = "value") -> Bit:
    """Pieces that stay together."""
    return {"bits": [one if isinstance(one, str) else dict(one) for one in bits], "kind": kind}


def muted(text: str, hint: str = "") -> Bit:
    """A piece that is less important."""
    return bit(text, "muted", hint)


def ago(time: datetime | None, now: datetime, clock: Clock) -> Bit:
    """How long ago, and the time itself on hover."""
    if time is None:
        return muted("–")
    return bit(f"{duration(now - time)} ago", "nowrap", f"{clock.stamp(time)} {clock.label}")


def symbol_link(symbol: str, at: datetime | None) -> Bit:
    """A market as it was at a bar."""
    query = {"symbol": symbol}
    if at is not None:
        query["time"] = f"{at:%Y-%m-%dT%H:%MZ}"
    href = f"symbol?{urlencode(query | shared_query())}"
    return bit(symbol, hint="The market at that moment", href=href)


def _cell(cell: Cell) -> list[Any]:
    return [one if isinstance(one, str) else dict(one) for one in cell]
