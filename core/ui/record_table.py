"""A summary of outcomes as a table: units in the titles, what each number means on hover."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler
from streamlit.elements.lib.column_types import ColumnConfig

from core.accuracy.record import row_name
from core.outcomes import HORIZONS
from core.ui.claims import hours
from core.ui.formats import DASH, interval, known, number
from core.ui.palette import verdict_sign
from core.verdicts.rules import VERDICTS

# Column of the summary or made here, title, format, meaning. A format that starts with a sign is of
# `formats.number`, whose minus is a real one; the others are of numbers that are never negative.
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
    ("interval", "95 %", "", "Where the rate may lie: t interval over ten eras"),
    (
        "baseline",
        "Raw, %",
        "%.1f",
        "Win rate of every signal of the horizon, whatever its verdict",
    ),
    ("baseline_long", "Long, %", "%.1f", "Win rate of buying at the same moments instead"),
    (
        "baseline_coin",
        "Coin, %",
        "%.1f",
        "Win rate of a fair coin choosing the direction there",
    ),
    ("lift", "Lift, points", "+.1f", "Won minus raw signal, in percentage points"),
    ("lift_interval", "Lift, 95 %", "", "Where the lift may lie: t interval over ten eras"),
    (
        "q_value",
        "q",
        "%.3f",
        "p value of the lift, adjusted for every cell that was looked at (Benjamini and Hochberg); a "
        "cell is marked at 0.05 or below",
    ),
    ("expectancy_r", "Mean net R", "+.3f", "Mean result after costs in units of the risk taken"),
    (
        "expectancy_interval",
        "Mean R, 95 %",
        "",
        "Where the mean R may lie: t interval over ten eras",
    ),
    ("mean_net_return", "Mean net, %", "+.3f", "Mean return after costs, unleveraged"),
    ("profit_factor", "Profit factor", "%.2f", "Sum of gains over sum of losses, after costs"),
    ("drawdown_r", "Drawdown, R", "%.1f", "Largest fall of the cumulative R by exit day"),
    ("mae_r", "Worst, R", "+.2f", "Mean of the worst excursion on the way"),
    ("mfe_r", "Best, R", "+.2f", "Mean of the best excursion on the way"),
    ("stop_share", "Stop first, %", "%.1f", "Share that reached the stop before the target"),
    ("target_share", "Target first, %", "%.1f", "Share that reached the target before the stop"),
    (
        "beyond_1pct",
        "Moved 1 %, %",
        "%.1f",
        "Share that went more than 1 % the right way, before costs",
    ),
    ("note", "Note", "", "Why there is no interval"),
)
_CAUTION: tuple[tuple[str, str, str, str], ...] = (
    ("n", "n", "%,d", "Finished outcomes"),
    ("loss_avoided_r", "Loss avoided, R", "%,.1f", "Losses of what was not taken of the full size"),
    ("gain_missed_r", "Gain missed, R", "%,.1f", "Gains of what was not taken of the full size"),
    ("value_r", "Worth, R", "+.1f", "Loss avoided minus gain missed, at equal cost"),
    ("interval", "Worth, 95 %", "", "Where the worth may lie: t interval over ten eras"),
    (
        "lift_interval",
        "Lift, 95 %",
        "",
        "How much more often these won than the raw signal, in percentage points",
    ),
    (
        "choice",
        "Choice",
        "",
        "Whether what was taken smaller or left out won less often than the raw signal, beyond chance "
        "for as many cells as were looked at",
    ),
    ("note", "Note", "", "Why there is no interval"),
)
_SHARES = (
    "win_rate",
    "baseline",
    "baseline_long",
    "baseline_coin",
    "lift",
    "mean_net_return",
    "stop_share",
    "target_share",
    "beyond_1pct",
)


# Columns that are intervals: their ends in the summary, and the digits and the unit they are in.
_INTERVALS = {
    "interval": ("low", "high", 1, "%", False),
    "lift_interval": ("lift_low", "lift_high", 1, "%", True),
    "expectancy_interval": ("expectancy_low", "expectancy_high", 3, "R", True),
}
# Two tables, so that a screen holds each: how often it won, and what came of it.
_WON = ("n", "n_eff", "win_rate", "interval", "baseline", "baseline_long", "baseline_coin")
_LIFTED = ("lift", "lift_interval", "q_value")
_NO_BETTER, _WORSE = "chose no better beyond chance", "chose what won less often"


def draw_record(summary: pd.DataFrame, title: str, meaning: str, *, traded: bool) -> None:
    """Draw rows of `core.accuracy.summarise_tallies` with index (verdict, horizon) under a title."""
    st.markdown(f"**{title}**: {meaning}")
    if summary.empty:
        st.caption("None among these outcomes.")
        return
    rows = record_rows(summary, traded=traded)
    won = {name for name, *_ in _COLUMNS if name in (*_WON, *_LIFTED)}
    for key, what, wanted in (
        ("record", "win rates, intervals and baselines", won),
        ("results", "mean results", {name for name, *_ in _COLUMNS} - won - {"note"}),
    ):
        columns = [column for column in _COLUMNS if column[0] in wanted]
        titles = ["Verdict", "Horizon", *(title for _, title, _, _ in columns)]
        st.dataframe(
            _with_minus(rows[titles], columns),
            hide_index=True,
            key=f"{key}_{title}",
            alt=f"{title}: {what} by verdict and horizon",
            placeholder=DASH,
            column_config={
                "Verdict": st.column_config.TextColumn(pinned=True, width=110 if traded else 155),
                "Horizon": st.column_config.TextColumn(pinned=True, width=65, alignment="right"),
                **{title: _config(form, meaning) for _, title, form, meaning in columns},
            },
        )
    _draw_notes(rows)


def record_rows(summary: pd.DataFrame, *, traded: bool) -> pd.DataFrame:
    """The table's cells under their titles, shares in percent.

    A verdict for a trade that was not traded had its plan refused.
    """
    rows = summary.reset_index()
    verdicts = rows["verdict"].astype(object)
    cells = {
        "Verdict": [
            f"{verdict_sign(name).glyph} {row_name(name, traded=traded)}" for name in verdicts
        ],
        "Horizon": [hours(str(name)) for name in rows["horizon"]],
    }
    for name, title, _, _ in _COLUMNS:
        if name in _INTERVALS:
            cells[title] = _intervals(rows, *_INTERVALS[name][:4], sign=_INTERVALS[name][4])
        else:
            cells[title] = (rows[name] * 100 if name in _SHARES else rows[name]).tolist()
    return pd.DataFrame(cells)


def draw_caution(found: pd.DataFrame, record: pd.DataFrame, key: str = "rules") -> None:
    """Draw rows of `core.accuracy.value_of_caution` with index (verdict, horizon), and how each chose:
    its lift in ``record``, the summary with the same index."""
    if found.empty:
        st.caption("Nothing was taken smaller or left out among these outcomes.")
        return
    rows = caution_rows(found, record)
    shown = [column for column in _CAUTION if column[0] != "note"]
    st.dataframe(
        _with_minus(rows.drop(columns="Note"), shown),
        hide_index=True,
        key=f"caution_{key}",
        alt="What DOWNSIZE, WAIT and SKIP were worth, by horizon",
        placeholder=DASH,
        column_config={
            "Verdict": st.column_config.TextColumn(pinned=True, width=110),
            "Horizon": st.column_config.TextColumn(pinned=True, width=70, alignment="right"),
            **{title: _config(form, meaning) for _, title, form, meaning in shown},
        },
    )
    _draw_notes(rows)


def caution_rows(found: pd.DataFrame, record: pd.DataFrame) -> pd.DataFrame:
    """The table's cells under their titles, in R of the full size and lifts in points.

    Caution chose well where what it was cautious about won less often than the raw signal: where its
    lift is below 0 and flagged, beyond chance for as many cells as were looked at.
    """
    ranks = {name: rank for rank, name in enumerate((*VERDICTS, *HORIZONS))}
    rows = found.reset_index()
    order = rows[["horizon", "verdict"]].apply(lambda column: column.map(ranks))
    rows = rows.loc[order.sort_values(["horizon", "verdict"]).index]
    cells = {
        "Verdict": [f"{verdict_sign(name).glyph} {name}" for name in rows["verdict"]],
        "Horizon": [hours(str(name)) for name in rows["horizon"]],
    }
    lifts = record.reindex(pd.MultiIndex.from_frame(rows[["verdict", "horizon"]].astype(object)))
    for name, title, _, _ in _CAUTION:
        if name == "interval":
            cells[title] = _intervals(rows, "low", "high", 1, "R", sign=True)
        elif name == "lift_interval":
            cells[title] = _intervals(lifts, *_INTERVALS[name][:4], sign=True)
        elif name == "choice":
            cells[title] = [_choice(row) for row in lifts.to_dict("records")]
        else:
            cells[title] = rows[name].tolist()
    return pd.DataFrame(cells)


def _choice(row: Mapping[Hashable, Any]) -> str:
    if not known(row["lift_high"]):
        return DASH
    return _WORSE if row["flagged"] and row["lift"] < 0 else _NO_BETTER


def _with_minus(rows: pd.DataFrame, columns: Sequence[tuple[str, str, str, str]]) -> Styler:
    """The rows with signed numbers as `formats.number` says them; they still sort as numbers."""
    digits = {title: int(form[2]) for _, title, form, _ in columns if form.startswith("+")}
    shown: dict[Any, str | Callable[[object], str] | None] = {
        title: partial(number, digits=amount, sign=True) for title, amount in digits.items()
    }
    return rows.style.format(shown)


def _draw_notes(rows: pd.DataFrame) -> None:
    """Why rows have no interval, a line for each reason, below the table and not cut by it."""
    noted = rows.dropna(subset=["Note"])
    for note, part in noted.groupby("Note", sort=False):
        places = [f"{row['Verdict'][2:]} at {row['Horizon']}" for _, row in part.iterrows()]
        st.caption(f"No interval for {', '.join(places)}: {note}.")


def _intervals(
    rows: pd.DataFrame, low: str, high: str, digits: int, unit: str, *, sign: bool
) -> list[str]:
    ends = zip(rows[low], rows[high], strict=True)
    return [
        interval(one, other, digits, unit=unit, sign=sign).removesuffix(f"\u00a0{unit}")
        for one, other in ends
    ]


def _config(form: str, meaning: str) -> ColumnConfig:
    if not form:
        return st.column_config.TextColumn(help=meaning, alignment="right")
    if form.startswith("+"):
        return st.column_config.NumberColumn(help=meaning)
    return st.column_config.NumberColumn(help=meaning, format=form)
