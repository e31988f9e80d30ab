"""Verdict by horizon: every cell with its rate, interval, counts and baselines; a click opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.accuracy.record import Place, row_name
from core.ui.claims import hours
from core.ui.formats import DASH, interval, known, number, percent

_HERE = Path(__file__).parent
_MATRIX = st.components.v2.component(
    "cryptosatx_matrix",
    html='<div class="matrix"></div>',
    css=(_HERE / "verdict_matrix.css").read_text(encoding="utf-8"),
    js=(_HERE / "verdict_matrix.js").read_text(encoding="utf-8"),
)
_KEY = "matrix"
ABOVE, BELOW = "▲ above raw", "▼ below raw"


def draw_matrix(
    trades: pd.DataFrame,
    shadows: pd.DataFrame,
    horizons: Sequence[str],
    opened: Place | None,
    on_open: Callable[[Place], None],
) -> None:
    """Draw two summaries, index (verdict, horizon); ``on_open`` gets the cell that is chosen."""

    def chosen() -> None:
        place = Place.parse(st.session_state[_KEY].open)
        if place is not None:
            on_open(place)

    _MATRIX(key=_KEY, data=matrix_data(trades, shadows, horizons, opened), on_open_change=chosen)


def matrix_data(
    trades: pd.DataFrame, shadows: pd.DataFrame, horizons: Sequence[str], opened: Place | None
) -> dict[str, Any]:
    """Everything the browser needs, as JSON; trades and what was not traded stand apart."""
    blocks = (("Trades", trades, True), ("Not traded: what would have been", shadows, False))
    return {
        "caption": "Win rates by verdict and horizon. Choose a cell to list its signals.",
        "columns": [hours(horizon) for horizon in horizons],
        "opened": str(opened) if opened else "",
        "blocks": [
            {"title": title, "rows": _rows(summary, horizons, traded=traded)}
            for title, summary, traded in blocks
        ],
    }


def _rows(summary: pd.DataFrame, horizons: Sequence[str], *, traded: bool) -> list[dict[str, Any]]:
    cells = {
        (str(verdict), str(horizon)): {str(name): value for name, value in row.items()}
        for (verdict, horizon), row in zip(summary.index, summary.to_dict("records"), strict=True)
    }
    verdicts = dict.fromkeys(verdict for verdict, _ in cells)
    return [
        {
            "verdict": verdict,
            "title": row_name(verdict, traded=traded),
            "cells": [
                _cell(Place(verdict, horizon, traded), cells[verdict, horizon])
                if (verdict, horizon) in cells
                else None
                for horizon in horizons
            ],
        }
        for verdict in verdicts
    ]


def _cell(place: Place, row: Mapping[str, Any]) -> dict[str, Any]:
    mark = (ABOVE if row["lift"] > 0 else BELOW) if row["flagged"] else ""
    band = interval(row["low"], row["high"], 1)
    beside = [("raw", "baseline"), ("long", "baseline_long"), ("coin", "baseline_coin")]
    cell = {
        "key": str(place),
        "rate": percent(row["win_rate"]),
        "interval": band if known(row["low"]) else str(row["note"]).split(":")[0],
        "thin": not known(row["low"]),
        "mark": mark,
        "lift": f"lift {number(100 * row['lift'], 1, sign=True)}" if known(row["lift"]) else "",
        "liftInterval": f"({_points(row)})" if known(row["lift_low"]) else "",
        "count": f"n {number(row['n'])}"
        + (f" ≈ {number(row['n_eff'])}" if known(row["n_eff"]) else ""),
        "baselines": " · ".join(f"{word} {_bare(row[name])}" for word, name in beside),
        "why": str(row["note"] or "Choose to list its signals"),
    }
    words = [
        f"{row_name(place.verdict, traded=place.traded)} at {hours(place.horizon)}",
        f"{cell['rate']} of {number(row['n'])} won",
        f"95 % interval {band}" if known(row["low"]) else f"no interval, {row['note']}",
        f"{cell['lift']} points on the raw signal",
    ]
    return cell | {"said": ", ".join([*words, *([mark.split(" ", 1)[1]] if mark else [])])}


def _points(row: Mapping[str, Any]) -> str:
    ends = (number(100 * row[name], 1, sign=True) for name in ("lift_low", "lift_high"))
    return " to ".join(ends)


def _bare(share: float) -> str:
    return number(100 * share, 1) if known(share) else DASH
