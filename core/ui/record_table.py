"""A summary of outcomes as a table: units in the titles, what each number means on hover."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from core.outcomes import HORIZONS
from core.ui.claims import hours
from core.ui.formats import DASH, interval
from core.ui.palette import verdict_sign
from core.ui.track_record import row_name
from core.verdicts.rules import VERDICTS

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
    (
        "baseline_coin",
        "Coin toss, %",
        "%.1f",
        "Win rate of a fair coin choosing the direction there",
    ),
    ("lift", "Lift, points", "%+.1f", "Won minus raw signal, in percentage points"),
    ("lift_interval", "Lift, 95 %", "", "Where the lift may lie: t interval over ten eras"),
    (
        "q_value",
        "q",
        "%.3f",
        "Chance that a lift marked at this level is luck, after allowing for every cell shown",
    ),
    ("expectancy_r", "Mean net R", "%+.3f", "Mean result after costs in units of the risk taken"),
    (
        "expectancy_interval",
        "Mean R, 95 %",
        "",
        "Where the mean R may lie: t interval over ten eras",
    ),
    ("mean_net_return", "Mean net, %", "%+.3f", "Mean return after costs, unleveraged"),
    ("profit_factor", "Profit factor", "%.2f", "Sum of gains over sum of losses, after costs"),
    ("drawdown_r", "Drawdown, R", "%.1f", "Largest fall of the cumulative R by exit day"),
    ("mae_r", "Worst, R", "%+.2f", "Mean of the worst excursion on the way"),
    ("mfe_r", "Best, R", "%+.2f", "Mean of the best excursion on the way"),
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
    ("value_r", "Worth, R", "%+,.1f", "Loss avoided minus gain missed, at equal cost"),
    ("interval", "Worth, 95 %", "", "Where the worth may lie: t interval over ten eras"),
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
    "interval": ("low", "high", 1, "%"),
    "lift_interval": ("lift_low", "lift_high", 1, "%"),
    "expectancy_interval": ("expectancy_low", "expectancy_high", 2, "R"),
}


# What a page with other things beside shows at first; about as wide as a laptop's page.
_FIRST = (
    *("n", "n_eff", "win_rate", "interval", "baseline", "lift", "lift_interval", "q_value"),
    *("expectancy_r", "expectancy_interval"),
)


def draw_record_in_two(summary: pd.DataFrame, title: str, meaning: str, *, traded: bool) -> None:
    """`draw_record` without a column cut off: what matters most, and the rest to be opened."""
    titles = {name: title for name, title, _, _ in _COLUMNS}
    keys, first = ["Verdict", "Horizon"], [titles[name] for name in _FIRST]
    draw_record(summary, title, meaning, traded=traded, columns=[*keys, *first])
    if summary.empty:
        return
    rest = [each for each in titles.values() if each not in first]
    with st.expander(f"{title}: other measures", key=f"rest_{title}"):
        draw_record(
            summary, f"{title}, other measures", meaning, traded=traded, columns=[*keys, *rest]
        )


def draw_record(
    summary: pd.DataFrame,
    title: str,
    meaning: str,
    *,
    traded: bool,
    columns: Sequence[str] | None = None,
) -> None:
    """Draw rows of `core.accuracy.summarise_tallies` with index (verdict, horizon) under a title.

    ``columns`` are titles; None is all of them.
    """
    st.markdown(f"**{title}**: {meaning}")
    if summary.empty:
        st.caption("None among these outcomes.")
        return
    st.dataframe(
        record_rows(summary, traded=traded),
        hide_index=True,
        key=f"record_{title}",
        column_order=columns,
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
            f"{verdict_sign(name).glyph} {row_name(name, traded=traded)}" for name in verdicts
        ],
        "Horizon": [hours(str(name)) for name in rows["horizon"]],
    }
    for name, title, _, _ in _COLUMNS:
        if name in _INTERVALS:
            cells[title] = _intervals(rows, *_INTERVALS[name])
        else:
            cells[title] = (rows[name] * 100 if name in _SHARES else rows[name]).tolist()
    return pd.DataFrame(cells)


def draw_caution(found: pd.DataFrame, key: str = "rules") -> None:
    """Draw rows of `core.accuracy.value_of_caution` with index (verdict, horizon)."""
    if found.empty:
        st.caption("Nothing was taken smaller or left out among these outcomes.")
        return
    st.dataframe(
        caution_rows(found),
        hide_index=True,
        key=f"caution_{key}",
        alt="What DOWNSIZE, WAIT and SKIP were worth, by horizon",
        placeholder=DASH,
        column_config={
            "Verdict": st.column_config.TextColumn(pinned=True, width=130),
            "Horizon": st.column_config.TextColumn(pinned=True, width=70, alignment="right"),
            **{title: _config(title, form, meaning) for _, title, form, meaning in _CAUTION},
        },
    )


def caution_rows(found: pd.DataFrame) -> pd.DataFrame:
    """The table's cells under their titles, in R of the full size."""
    ranks = {name: rank for rank, name in enumerate((*VERDICTS, *HORIZONS))}
    rows = found.reset_index()
    order = rows[["horizon", "verdict"]].apply(lambda column: column.map(ranks))
    rows = rows.loc[order.sort_values(["horizon", "verdict"]).index]
    cells = {
        "Verdict": [f"{verdict_sign(name).glyph} {name}" for name in rows["verdict"]],
        "Horizon": [hours(str(name)) for name in rows["horizon"]],
    }
    for name, title, _, _ in _CAUTION:
        if name == "interval":
            cells[title] = _intervals(rows, "low", "high", 1, "R")
        else:
            cells[title] = rows[name].tolist()
    return pd.DataFrame(cells)


def _intervals(rows: pd.DataFrame, low: str, high: str, digits: int, unit: str) -> list[str]:
    ends = zip(rows[low], rows[high], strict=True)
    return [
        interval(one, other, digits, unit=unit).removesuffix(f"\u00a0{unit}") for one, other in ends
    ]


def _config(title: str, form: str, meaning: str) -> ColumnConfig:
    if title == "Note":
        return st.column_config.TextColumn(help=meaning, width="medium")
    if not form:
        return st.column_config.TextColumn(help=meaning, alignment="right")
    return st.column_config.NumberColumn(help=meaning, format=form)
