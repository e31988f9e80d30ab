"""A summary of outcomes as a table: units in the titles, what each number means on hover."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from core.ui.claims import hours
from core.ui.formats import DASH, interval
from core.ui.palette import verdict_sign

# Column of the summary (None: made here), title, format, meaning.
_COLUMNS: tuple[tuple[str, str, str, str], ...] = (
    ("n", "n", "%,d", "Finished outcomes"),
    (
        "n_eff",
        "n eff.",
        "%,.0f",
        "How many independent outcomes would leave the same interval: overlapping hours and symbols "
        "that move together count for less",
    ),
    ("win_rate", "Won, %", "%.1f", "Share with a return above 0 after fees, slippage and funding"),
    ("interval", "95 % interval, %", "", "Where the rate may lie: t interval over ten eras"),
    (
        "baseline",
        "Raw signal, %",
        "%.1f",
        "Win rate of every signal of the horizon, whatever its verdict",
    ),
    ("baseline_long", "Always long, %", "%.1f", "Win rate of buying at the same moments instead"),
    ("lift", "Lift, points", "%+.1f", "Won minus raw signal, in percentage points"),
    ("expectancy_r", "Mean net R", "%+.3f", "Mean result after costs in units of the risk taken"),
    ("mean_net_return", "Mean net, %", "%+.3f", "Mean return after costs, unleveraged"),
    ("profit_factor", "Profit factor", "%.2f", "Sum of gains over sum of losses, after costs"),
    (
        "beyond_1pct",
        "Moved 1 %, %",
        "%.1f",
        "Share that went more than 1 % the right way, before costs",
    ),
    ("note", "Note", "", "Why there is no interval"),
)
_UNTRADED = ("WAIT", "SKIP")
_SHARES = ("win_rate", "baseline", "baseline_long", "lift", "mean_net_return", "beyond_1pct")


def draw_record(summary: pd.DataFrame, title: str, meaning: str, *, traded: bool) -> None:
    """Draw rows of `core.accuracy.summarise` with index (verdict, horizon) under a title."""
    st.markdown(f"**{title}**: {meaning}")
    if summary.empty:
        st.caption("None among these outcomes.")
        return
    st.dataframe(
        record_rows(summary, traded=traded),
        hide_index=True,
        key=f"record_{title}",
        alt=f"{title}: win rates, intervals, baselines and mean results by verdict and horizon",
        placeholder=DASH,
        column_config={
            "Verdict": st.column_config.TextColumn(pinned=True, width=130 if traded else 180),
            "Horizon": st.column_config.TextColumn(pinned=True, width=70, alignment="right"),
            **{title: _config(title, form, meaning) for _, title, form, meaning in _COLUMNS},
        },
    )


def record_rows(summary: pd.DataFrame, *, traded: bool) -> pd.DataFrame:
    """The table's cells under their titles, shares in percent.

    A verdict for a trade that was not traded had its plan refused.
    """
    rows = summary.reset_index()
    verdicts = rows["verdict"].astype(object)
    cells = {
        "Verdict": [
            f"{verdict_sign(name).glyph} {name}{'' if traded or name in _UNTRADED else ', no plan'}"
            for name in verdicts
        ],
        "Horizon": [hours(str(name)) for name in rows["horizon"]],
    }
    for name, title, _, _ in _COLUMNS:
        if name == "interval":
            ends = zip(rows["low"], rows["high"], strict=True)
            cells[title] = [interval(low, high, 1).removesuffix("\u00a0%") for low, high in ends]
        else:
            cells[title] = (rows[name] * 100 if name in _SHARES else rows[name]).tolist()
    return pd.DataFrame(cells)


def _config(title: str, form: str, meaning: str) -> ColumnConfig:
    if title == "Note":
        return st.column_config.TextColumn(help=meaning, width="medium")
    if not form:
        return st.column_config.TextColumn(help=meaning, alignment="right")
    return st.column_config.NumberColumn(help=meaning, format=form)
