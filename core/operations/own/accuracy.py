"""Accuracy: how good the verdicts were, with what they are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from core.accuracy import (
    summarise_tallies,
    value_of_caution,
)
from core.accuracy.record import KEYS, record_of
from core.accuracy.tallies import DAILY
from core.operations.own.record_filters import (
    HIGH,
    LOW,
    NOTE,
    RecordAsked,
    judges,
    record_operation,
)
from core.operations.registry import Context, Operation, Parameters, WrongParameters
from core.operations.values import (
    MODE,
    Mode,
    Number,
    Result,
    Time,
    Verdict,
    Word,
    direction_of,
    known,
)
from core.store import record

Split = Literal["none", "symbol", "direction", "risk_mode", "recorded"]


class OptionsAsked(Parameters):
    mode: Mode = Field("balanced", description=MODE)


class Options(Result):
    """What there is a record of."""

    judges: list[str] = Field(description="The rules, and models with the version asked.")
    versions: list[str] = Field(description="Versions of the profile, newest outcomes first.")
    first_day: Time = Field(description="First UTC day with an exit.")
    last_day: Time = Field(description="Last UTC day with an exit.")


def options(context: Context, asked: OptionsAsked) -> Options:
    with context.reading() as conn:
        found = record.load_options(conn)
        who = judges(conn, asked.mode)
    own = found[found["profile_name"] == asked.mode]
    last = own.groupby("profile_version", observed=True)["last_day"].max()
    versions = last.sort_values(ascending=False, kind="stable").index
    return Options(
        judges=list(who),
        versions=[str(name) for name in versions],
        first_day=own["first_day"].min(),
        last_day=own["last_day"].max(),
    )


class SummaryAsked(RecordAsked):
    split: Split = Field(
        "none",
        description="A row for each of these besides verdict and horizon; symbol needs named symbols. "
        "The p values allow for every row.",
    )


class Row(Result):
    """Outcomes of one verdict at one horizon; shares are fractions, R is in units of the risk."""

    verdict: Verdict = Field(description="The verdict.")
    horizon: str = Field(description="1h, 4h or 24h after the entry.")
    traded: bool = Field(description="False: counterfactuals, which are never mixed with trades.")
    group: Word = Field(description="What the split is by; null without one.")
    n: int = Field(description="Finished outcomes.")
    n_eff: Number = Field(description="Independent outcomes that would leave the same interval.")
    win_rate: Number = Field(description="Share with a net return above 0.")
    low: Number = Field(description=LOW)
    high: Number = Field(description=HIGH)
    p_value: Number = Field(description="Of the lift being zero.")
    q_value: Number = Field(description="The same after allowing for every row of the table.")
    flagged: bool = Field(description="Whether q_value is 0.05 or less; it can be for the worse.")
    baseline: Number = Field(
        description="Win rate of the raw signal: every outcome of the horizon."
    )
    baseline_long: Number = Field(description="Of always being long at the same moments.")
    baseline_coin: Number = Field(description="Of a fair coin choosing the direction there.")
    lift: Number = Field(description="win_rate - baseline.")
    lift_low: Number = Field(description=LOW)
    lift_high: Number = Field(description=HIGH)
    expectancy_r: Number = Field(description="Mean net result in R.")
    expectancy_low: Number = Field(description=LOW)
    expectancy_high: Number = Field(description=HIGH)
    mean_net_return: Number = Field(description="Mean return after costs, fraction.")
    profit_factor: Number = Field(description="Gains over losses.")
    drawdown_r: Number = Field(description="Largest fall of the cumulative R by exit day.")
    mae_r: Number = Field(description="Mean of the worst excursion, R.")
    mfe_r: Number = Field(description="Mean of the best excursion, R.")
    stop_share: Number = Field(description="Share that reached the stop first.")
    target_share: Number = Field(description="Share that reached the target first.")
    beyond_1pct: Number = Field(description="Share that moved over 1 % the right way before costs.")
    counterfactual: bool = Field(description="Whether nothing of it was traded.")
    note: Word = Field(description=NOTE)


class Unfinished(Result):
    """Followed signals without an outcome."""

    horizon: str = Field(description="1h, 4h or 24h.")
    pending: int = Field(description="The horizon is not over.")
    overdue: int = Field(description="It is over, and bars are missing.")


class Summary(Result):
    """The table of the Accuracy page."""

    judge: str = Field(description="Whose verdicts.")
    mode: str = Field(description="The mode.")
    version: str = Field(description='Version of its profile; "" where there is none.')
    looks: int = Field(description="Rows that could have been flagged, which all are allowed for.")
    rows: list[Row] = Field(description="Trades first; empty: no outcome passes.")
    unfinished: list[Unfinished] = Field(description="What is still to come, by horizon.")


def summary(context: Context, asked: SummaryAsked) -> Summary:
    if asked.split == "symbol" and not asked.symbol:
        raise WrongParameters({"split": "by symbol needs symbols to be named"})
    with context.reading() as conn:
        filters = asked.filters(conn)
        keys = KEYS if asked.split == "none" else (*KEYS, asked.split)
        tallies = record.load_tallies(conn, filters, keys, DAILY)
        wider = replace(filters, verdicts=(), risk_modes=(), traded=None)
        universe = tallies if wider == filters else record.load_tallies(conn, wider, keys, DAILY)
        unfinished = record.count_unfinished(conn, filters)
    looks, rows = rows_of(tallies, universe, asked.split)
    return Summary(
        judge=filters.judge,
        mode=filters.profile_name,
        version=filters.profile_version or "",
        looks=looks,
        rows=rows,
        unfinished=[
            Unfinished(horizon=horizon, pending=one.pending, overdue=one.overdue)
            for horizon, one in unfinished.items()
        ],
    )


def rows_of(
    tallies: pd.DataFrame, universe: pd.DataFrame, split: Split = "none"
) -> tuple[int, list[Row]]:
    """How many rows could have been flagged, and the rows, trades first; see `core.accuracy.record`."""
    if tallies.empty:
        return 0, []
    if split != "none":
        found = summarise_tallies(tallies, (*KEYS, split), universe)
        rows = [_row(row, split) for row in found.reset_index().to_dict("records")]
        return int(found.attrs["cells"]), sorted(rows, key=lambda row: not row.traded)
    told = record_of(tallies, universe)
    rows = [
        _row({**row, "traded": traded}, split)
        for part, traded in ((told.trades, True), (told.shadows, False))
        for row in part.reset_index().to_dict("records")
    ]
    return told.looks, rows


def _row(row: Mapping[Any, Any], split: Split) -> Row:
    group = None if split == "none" else row[split]
    if split == "direction":
        group = direction_of(group)
    fields = {name: known(row[name]) for name in Row.model_fields if name != "group"}
    return Row(**fields, group=None if group is None else str(group))


class Caution(Result):
    """What not taking the full size was worth, in R of the full size."""

    verdict: Verdict = Field(description="DOWNSIZE, WAIT or SKIP.")
    horizon: str = Field(description="1h, 4h or 24h after the entry.")
    n: int = Field(description="Finished outcomes.")
    loss_avoided_r: Number = Field(description="Losses of what was not taken.")
    gain_missed_r: Number = Field(description="Gains of what was not taken.")
    value_r: Number = Field(description="The first minus the second.")
    low: Number = Field(description=LOW)
    high: Number = Field(description=HIGH)
    note: Word = Field(description=NOTE)


class Cautions(Result):
    """What caution was worth."""

    rows: list[Caution] = Field(description="By verdict and horizon.")


def caution(context: Context, asked: RecordAsked) -> Cautions:
    with context.reading() as conn:
        tallies = record.load_tallies(conn, asked.filters(conn), KEYS, DAILY)
    if tallies.empty:
        return Cautions(rows=[])
    found = value_of_caution(tallies).reset_index().to_dict("records")
    return Cautions(
        rows=[Caution(**{str(name): known(value) for name, value in row.items()}) for row in found]
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    record_operation(
        "accuracy_options",
        "What there is a record of",
        "Judges, versions of the mode's profile, and the days on which outcomes ended.",
        OptionsAsked,
        options,
        Options,
        "options",
    ),
    record_operation(
        "accuracy_summary",
        "How good the verdicts were",
        "Win rates by verdict and horizon with intervals that allow for overlapping outcomes, beside the "
        "raw signal, always being long and a coin; mean results in R; what is not finished. Trades and "
        "counterfactuals apart.",
        SummaryAsked,
        summary,
        Summary,
        "summary",
    ),
    record_operation(
        "accuracy_caution",
        "What caution was worth",
        "Losses avoided less gains missed by DOWNSIZE, WAIT and SKIP, in R of the full size.",
        RecordAsked,
        caution,
        Cautions,
        "caution",
    ),
)
