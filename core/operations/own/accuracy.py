"""Accuracy: how good the verdicts were, with what they are measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, Field, create_model

from core.accuracy import (
    brier,
    confusion,
    correlations,
    information,
    reliability,
    summarise_tallies,
    value_of_caution,
)
from core.accuracy.record import KEYS, record_of
from core.accuracy.tallies import DAILY, RULES
from core.operations.cursors import read_cursor, write_cursor
from core.operations.own.record_filters import Population, RecordAsked, judges
from core.operations.own.shared import record_state
from core.operations.registry import Context, Operation, Parameters, WrongParameters
from core.operations.values import (
    MODE,
    SYMBOL,
    Cursor,
    Day,
    Direction,
    Id,
    Limit,
    Mode,
    Moment,
    Number,
    Page,
    Result,
    Time,
    Verdict,
    Word,
    direction_of,
    known,
    page_of,
)
from core.outcomes import HORIZONS
from core.signals import FACTORS
from core.store import record
from core.store.tracing import load_stored_profile

Split = Literal["none", "symbol", "direction", "risk_mode", "recorded"]
_CLAIMED = ("n", "wins", "sum_claimed", "sum_claimed_squared", "sum_claimed_wins")
NOTE = "Why there is no interval; null where there is one."
LOW, HIGH = "Lower end of its 95 % interval.", "Upper end of its 95 % interval."


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


class Bin(Result):
    """Five points of the score."""

    score_from: int = Field(description="The score, or its mirror for SHORT, from here on.")
    n: int = Field(description="Finished outcomes.")
    claimed: Number = Field(description="Mean probability that the scores claimed, 0..1.")
    win_rate: Number = Field(description="Share that won.")
    low: Number = Field(description=LOW)
    high: Number = Field(description=HIGH)
    note: Word = Field(description=NOTE)


class Brier(Result):
    """Mean squared distance of what was claimed from what came, and its parts."""

    score: Number = Field(description="reliability - resolution + uncertainty + within; 0 is best.")
    reliability: Number = Field(description="Miscalibration.")
    resolution: Number = Field(description="What telling likelier from less likely gains.")
    uncertainty: Number = Field(description="Score of always saying the share that won.")
    within: Number = Field(description="Spread within bins.")
    n: int = Field(description="Finished outcomes.")


class Calibration(Result):
    """A horizon."""

    horizon: str = Field(description="1h, 4h or 24h after the entry.")
    bins: list[Bin] = Field(description="From 50 to 95 by five points; n 0: nothing there.")
    brier: Brier = Field(description="How far off in one number.")


class Calibrations(Result):
    """Was a score right as often as it claimed?"""

    horizons: list[Calibration] = Field(description="By horizon; empty: no outcome passes.")


def scores(context: Context, asked: RecordAsked) -> Calibrations:
    with context.reading() as conn:
        tallies = record.load_tallies(conn, asked.filters(conn), ("horizon", "score_bin"), _CLAIMED)
    names = tallies.index.get_level_values("horizon")
    found = []
    for horizon in HORIZONS:
        part = tallies[names == horizon]
        if part.empty:
            continue
        bins = reliability(part).reset_index().to_dict("records")
        found.append(
            Calibration(
                horizon=horizon,
                bins=[
                    Bin(
                        score_from=row["score_bin"],
                        **{name: known(row[name]) for name in Bin.model_fields if name in row},
                    )
                    for row in bins
                ],
                brier=Brier(**vars(brier(part))),
            )
        )
    return Calibrations(horizons=found)


class FactorsAsked(Parameters):
    mode: Mode = Field("balanced", description=MODE)
    start: Day | None = Field(None, description="First UTC day of the bars.")
    end: Day | None = Field(None, description="Last UTC day of the bars.")


class Information(Result):
    """How a factor went with the return after it."""

    factor: str = Field(description="Name of the factor.")
    horizon: str = Field(description="1h, 4h or 24h after the bar.")
    ic: Number = Field(description="Uncentred correlation with the return, -1..1.")
    low: Number = Field(description=LOW)
    high: Number = Field(description=HIGH)
    n: int = Field(description="Bars of all markets.")
    note: Word = Field(description=NOTE)


_correlated: dict[str, Any] = {
    name: (Number, Field(description=f"With {name}; null: never known together."))
    for name in FACTORS
}
Correlated: type[BaseModel] = create_model(
    "Correlated",
    __base__=Result,
    __doc__="Uncentred correlations of one factor, -1..1.",
    factor=(str, Field(description="Name of the factor.")),
    **_correlated,
)


class Factors(Result):
    """What each factor knew, and which say the same."""

    information: list[Information] = Field(description="By factor and horizon.")
    correlations: list[Correlated] = Field(description="A row for each factor.")


def factors(context: Context, asked: FactorsAsked) -> Factors:
    with context.reading() as conn:
        filters = record.settled(conn, record.Filters(asked.mode))
        profile = load_stored_profile(conn, asked.mode, filters.profile_version or "")
        windows = profile.windows_version if profile else ""
        days = record.load_factor_days(conn, windows, asked.start, asked.end)
    if days.empty:
        return Factors(information=[], correlations=[])
    matrix = correlations(days)
    return Factors(
        information=[
            Information(**{str(name): known(value) for name, value in row.items()})
            for row in information(days).to_dict("records")
        ],
        correlations=[
            Correlated.model_validate(
                {"factor": name} | {other: known(matrix.loc[name, other]) for other in FACTORS}
            )
            for name in FACTORS
        ],
    )


class Pair(Result):
    """How often the rules and the model met with these verdicts."""

    rules: Verdict = Field(description="What the rules said.")
    model: Verdict = Field(description="What the model said.")
    n: int = Field(description="Signals.")


class Agreement(Result):
    """How often the rules and a model said the same."""

    judge: str = Field(description="The model.")
    n: int = Field(description="Signals that both judged.")
    share: Number = Field(description="Share on which they agreed.")
    kappa: Number = Field(description="Cohen's kappa: 0 is chance, 1 always.")
    low: Number = Field(description=LOW)
    high: Number = Field(description=HIGH)
    pairs: list[Pair] = Field(description="All sixteen combinations.")


class PairsAsked(Population):
    judge: str = Field(
        min_length=1,
        max_length=160,
        description="The model that is compared with the rules, as accuracy_options names it.",
        examples=["gpt-a / 1"],
    )


def agreement(context: Context, asked: PairsAsked) -> Agreement:
    with context.reading() as conn:
        found = confusion(record.load_pairs(conn, _of_model(asked).filters(conn)))
    return Agreement(
        judge=asked.judge,
        n=found.n,
        share=found.share,
        kappa=found.kappa,
        low=found.low,
        high=found.high,
        pairs=[
            Pair(rules=rules, model=model, n=int(found.table.loc[rules, model]))
            for rules in found.table.index
            for model in found.table.columns
        ],
    )


def _of_model(asked: Population) -> Population:
    if asked.judge == RULES:
        raise WrongParameters({"judge": "must be a model: the rules are what it is compared with"})
    return asked


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


class OutcomesAsked(RecordAsked):
    limit: Limit = 100
    cursor: Cursor = None


class Followed(Result):
    """One outcome of one signal."""

    signal_id: int = Field(description="Number of the signal, as in the ledger.")
    symbol: str = Field(description=SYMBOL)
    time: datetime = Field(description="Close of the signal's bar, UTC.")
    horizon: str = Field(description="1h, 4h or 24h after the entry.")
    exit_at: datetime = Field(description="End of the horizon, UTC.")
    direction: Direction | None = Field(description="Direction of the signal.")
    score: Number = Field(description="0..100.")
    verdict: Verdict | None = Field(description="By the rules.")
    multiplier: Number = Field(description="Size by the rules.")
    model_verdict: Verdict | None = Field(description="By a model, where one answered.")
    model_multiplier: Number = Field(description="Size by the model.")
    traded: bool = Field(description="Whether the asked judge traded it.")
    net_return: Number = Field(description="Return after costs, fraction.")
    r_multiple: Number = Field(description="Net result in R.")
    barrier: Word = Field(description="What was touched first: stop, target or horizon.")


def outcomes(context: Context, asked: OutcomesAsked) -> dict[str, Any]:
    place = read_cursor("accuracy_outcomes", asked, asked.cursor, tuple[Moment, str, str, Id])
    with context.reading() as conn:
        found = record.list_signals_behind(
            conn,
            asked.filters(conn),
            asked.limit + 1,
            None if place is None else record.SignalPlace(*place),
        )
    return page_of(
        found.to_dict("records"),
        asked.limit,
        lambda row: write_cursor(
            "accuracy_outcomes",
            asked,
            (row["exit_at"].to_pydatetime(), row["symbol"], row["horizon"], int(row["signal_id"])),
        ),
        lambda row: Followed(**_followed(row, Followed)),
    )


def _followed(row: Mapping[Any, Any], model: type[Result]) -> dict[str, Any]:
    fields = {name: known(row[name]) for name in model.model_fields if name in row}
    return fields | {"direction": direction_of(row["direction"])}


class DisagreementsAsked(PairsAsked):
    limit: Limit = 100
    cursor: Cursor = None


class Disagreement(Result):
    """A signal on which the rules and the model gave different verdicts."""

    signal_id: int = Field(description="Number of the signal, as in the ledger.")
    symbol: str = Field(description=SYMBOL)
    time: datetime = Field(description="Close of the bar, UTC.")
    direction: Direction | None = Field(description="Direction of the signal.")
    score: Number = Field(description="0..100.")
    verdict: Verdict = Field(description="By the rules.")
    multiplier: Number = Field(description="Size by the rules.")
    model_verdict: Verdict = Field(description="By the model.")
    model_multiplier: Number = Field(description="Size by the model.")
    r_1h: Number = Field(description="Net result after 1 h in R; null: not finished.")
    r_4h: Number = Field(description="The same after 4 h.")
    r_24h: Number = Field(description="The same after 24 h.")


def disagreements(context: Context, asked: DisagreementsAsked) -> dict[str, Any]:
    place = read_cursor("accuracy_disagreements", asked, asked.cursor, tuple[Moment, str, Id])
    with context.reading() as conn:
        found = record.list_disagreements_behind(
            conn,
            _of_model(asked).filters(conn),
            asked.limit + 1,
            None if place is None else record.BarPlace(*place),
        )
    return page_of(
        found.to_dict("records"),
        asked.limit,
        lambda row: write_cursor(
            "accuracy_disagreements",
            asked,
            (row["time"].to_pydatetime(), row["symbol"], int(row["signal_id"])),
        ),
        lambda row: Disagreement(**_followed(row, Disagreement)),
    )


def _operation(
    name: str,
    title: str,
    description: str,
    parameters: type[Parameters],
    run: Any,
    result: type[Any],
    path: str,
    examples: Sequence[Mapping[str, Any]] = ({"mode": "balanced"},),
) -> Operation[Any]:
    return Operation(
        name,
        title,
        description,
        "accuracy",
        "analyst",
        "accuracy.read",
        parameters,
        run,
        result=result,
        examples=tuple(examples),
        path=f"/accuracy/{path}",
        state=record_state,
    )


_MODEL = ({"judge": "gpt-a / 1"},)
OPERATIONS: tuple[Operation[Any], ...] = (
    _operation(
        "accuracy_options",
        "What there is a record of",
        "Judges, versions of the mode's profile, and the days on which outcomes ended.",
        OptionsAsked,
        options,
        Options,
        "options",
    ),
    _operation(
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
    _operation(
        "accuracy_scores",
        "Was a score right as often as it claimed?",
        "The score read as a probability: what it claimed and what came, by five points, and the Brier "
        "score with its parts.",
        RecordAsked,
        scores,
        Calibrations,
        "scores",
    ),
    _operation(
        "accuracy_factors",
        "What each factor knew",
        "Correlation of each factor with the return after it, with intervals, and of the factors with "
        "each other, over every bar of every market.",
        FactorsAsked,
        factors,
        Factors,
        "factors",
    ),
    _operation(
        "accuracy_agreement",
        "How often rules and model agreed",
        "Verdicts of the rules against those of one model: counts of every pair, share and kappa.",
        PairsAsked,
        agreement,
        Agreement,
        "agreement",
        _MODEL,
    ),
    _operation(
        "accuracy_caution",
        "What caution was worth",
        "Losses avoided less gains missed by DOWNSIZE, WAIT and SKIP, in R of the full size.",
        RecordAsked,
        caution,
        Cautions,
        "caution",
    ),
    _operation(
        "accuracy_outcomes",
        "Single outcomes",
        "The outcomes behind the rates, those that ended last first.",
        OutcomesAsked,
        outcomes,
        Page[Followed],
        "outcomes",
    ),
    _operation(
        "accuracy_disagreements",
        "Where rules and model disagreed",
        "Signals on which the rules and one model gave different verdicts, and what became of them; the "
        "newest first.",
        DisagreementsAsked,
        disagreements,
        Page[Disagreement],
        "disagreements",
        _MODEL,
    ),
)
