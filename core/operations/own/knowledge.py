"""What scores and factors knew, and how often rules and model agreed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, create_model

from core.accuracy import (
    brier,
    confusion,
    correlations,
    information,
    reliability,
)
from core.accuracy.tallies import RULES
from core.operations.own.record_filters import (
    HIGH,
    LOW,
    MODEL,
    NOTE,
    Population,
    RecordAsked,
    record_operation,
)
from core.operations.registry import Context, Operation, Parameters, WrongParameters
from core.operations.values import (
    MODE,
    Day,
    Mode,
    Number,
    Result,
    Verdict,
    Word,
    known,
)
from core.outcomes import HORIZONS
from core.signals import FACTORS
from core.store import record
from core.store.tracing import load_stored_profile

_CLAIMED = ("n", "wins", "sum_claimed", "sum_claimed_squared", "sum_claimed_wins")


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


class FactorFindings(Result):
    """What each factor knew, and which say the same."""

    information: list[Information] = Field(description="By factor and horizon.")
    correlations: list[Correlated] = Field(description="A row for each factor.")


def factors(context: Context, asked: FactorsAsked) -> FactorFindings:
    with context.reading() as conn:
        filters = record.settled(conn, record.Filters(asked.mode))
        profile = load_stored_profile(conn, asked.mode, filters.profile_version or "")
        windows = profile.windows_version if profile else ""
        days = record.load_factor_days(conn, windows, asked.start, asked.end)
    if days.empty:
        return FactorFindings(information=[], correlations=[])
    matrix = correlations(days)
    return FactorFindings(
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
        found = confusion(record.load_pairs(conn, of_model(asked).filters(conn)))
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


def of_model(asked: Population) -> Population:
    if asked.judge == RULES:
        raise WrongParameters({"judge": "must be a model: the rules are what it is compared with"})
    return asked


OPERATIONS: tuple[Operation[Any], ...] = (
    record_operation(
        "accuracy_scores",
        "Was a score right as often as it claimed?",
        "The score read as a probability: what it claimed and what came, by five points, and the Brier "
        "score with its parts.",
        RecordAsked,
        scores,
        Calibrations,
        "scores",
    ),
    record_operation(
        "accuracy_factors",
        "What each factor knew",
        "Correlation of each factor with the return after it, with intervals, and of the factors with "
        "each other, over every bar of every market.",
        FactorsAsked,
        factors,
        FactorFindings,
        "factors",
    ),
    record_operation(
        "accuracy_agreement",
        "How often rules and model agreed",
        "Verdicts of the rules against those of one model: counts of every pair, share and kappa.",
        PairsAsked,
        agreement,
        Agreement,
        "agreement",
        MODEL,
    ),
)
