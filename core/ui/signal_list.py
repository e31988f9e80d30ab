"""A list of past signals: a table on a wide screen, cards on a narrow one; a row leads to its signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from core.outcomes import HORIZONS
from core.ui.claims import hours
from core.ui.controls import SHARED, shared_query
from core.ui.formats import DASH, Clock, known, number, percent, r_multiple, times
from core.ui.palette import direction_sign, verdict_sign

_HERE = Path(__file__).parent
_LIST = st.components.v2.component(
    "cryptosatx_signals",
    html='<div class="list"></div>',
    css=(_HERE / "signal_list.css").read_text(encoding="utf-8"),
    js=(_HERE / "signal_list.js").read_text(encoding="utf-8"),
)
_BARRIERS = {"stop": "stop", "target": "target", "horizon": "neither"}
_TONES = {1: "long", -1: "short"}

Cell = str | dict[str, str]


@dataclass(frozen=True)
class Column:
    """A column of the list: its title, what it means, and how a row fills it."""

    title: str
    hint: str
    fill: Callable[[Mapping[str, Any], Clock], Cell]
    number: bool = False


def _direction(row: Mapping[str, Any], _: Clock) -> Cell:
    sign = direction_sign(row["direction"])
    return {"text": f"{sign.glyph} {sign.word}", "tone": _TONES.get(int(row["direction"]), "")}


def _verdict(whose: str) -> Callable[[Mapping[str, Any], Clock], Cell]:
    def fill(row: Mapping[str, Any], _: Clock) -> Cell:
        sign = verdict_sign(row[f"{whose}verdict"])
        size = row[f"{whose}multiplier"]
        return f"{sign.glyph} {sign.word} {times(size) if known(size) and size else ''}".strip()

    return fill


def _result(horizon: str) -> Column:
    return Column(
        f"R after {hours(horizon)}",
        "net, in units of the risk; – where not finished",
        lambda row, _: r_multiple(row[f"r_{horizon}"]),
        number=True,
    )


COLUMNS: Mapping[str, Column] = {
    "time": Column("Bar closed", "close of the signal's bar", lambda r, c: c.stamp(r["time"])),
    "symbol": Column("Market", "perpetual future", lambda r, _: str(r["symbol"])),
    "direction": Column("Direction", "LONG or SHORT", _direction),
    "score": Column("Score", "0 to 100", lambda r, _: number(r["score"], 1), number=True),
    "verdict": Column("Rules", "the rules' verdict, and how much of the full risk", _verdict("")),
    "model_verdict": Column(
        "Model", "the model's verdict, where one answered, and its size", _verdict("model_")
    ),
    "r_multiple": Column(
        "Net R", "in units of the risk", lambda r, _: r_multiple(r["r_multiple"]), number=True
    ),
    "net_return": Column(
        "Net return",
        "after fees, slippage and funding",
        lambda r, _: percent(r["net_return"], 2, sign=True),
        number=True,
    ),
    "barrier": Column(
        "Touched first",
        "stop or target within the horizon",
        lambda r, _: _BARRIERS.get(str(r["barrier"]), DASH),
    ),
    **{f"r_{horizon}": _result(horizon) for horizon in HORIZONS},
}


def draw_signals(signals: pd.DataFrame, version: str, clock: Clock, *, key: str) -> None:
    """Draw signals of one version of a profile: rows with symbol and time, and any of `COLUMNS`."""
    _LIST(key=key, data=list_data(signals, version, clock))
    st.caption(f"Newest first. Times in {clock.label}. Choose a row to see the signal as it was.")


def draw_linked_rows(
    caption: str,
    columns: Sequence[tuple[str, bool]],
    rows: Sequence[tuple[str, Sequence[Cell]]],
    *,
    key: str,
) -> None:
    """Draw rows of any kind that lead to signals: columns with title and whether they are numbers, rows
    with their address and cells."""
    heads = [{"title": title, "hint": "", "number": numeric} for title, numeric in columns]
    given = [{"href": href, "cells": list(cells)} for href, cells in rows]
    _LIST(
        key=key, data={"caption": caption, "shared": list(SHARED), "columns": heads, "rows": given}
    )


def list_data(signals: pd.DataFrame, version: str, clock: Clock) -> dict[str, Any]:
    """Everything the browser needs, as JSON."""
    shown = {
        name: column
        for name, column in COLUMNS.items()
        if name in signals.columns and not (name == "model_verdict" and signals[name].isna().all())
    }
    rows = [{str(name): value for name, value in row.items()} for row in signals.to_dict("records")]
    return {
        "caption": "Signals, newest first",
        "shared": list(SHARED),
        "columns": [
            {"title": column.title, "hint": column.hint, "number": column.number}
            for column in shown.values()
        ],
        "rows": [
            {
                "href": signal_link(row, version),
                "cells": [column.fill(row, clock) for column in shown.values()],
            }
            for row in rows
        ],
    }


def signal_link(row: Mapping[str, Any], version: str) -> str:
    """The address at which a signal is open as it was."""
    query = {
        "symbol": row["symbol"],
        "time": f"{pd.Timestamp(row['time']).tz_convert('UTC'):%Y-%m-%dT%H:%MZ}",
        "version": version,
    }
    return f"symbol?{urlencode(query | shared_query())}"
