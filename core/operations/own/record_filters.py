"""Which outcomes are asked for: the filters of the Accuracy page as parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy import Connection, select

from core.accuracy.tallies import RULES
from core.operations.own.shared import record_state
from core.operations.registry import Operation, Parameters, WrongParameters
from core.operations.values import (
    MODE,
    VERSION,
    Day,
    Line,
    Mode,
    RiskMode,
    Symbol,
    Verdict,
    Version,
    check_symbols,
)
from core.store.record import MOST_SYMBOLS, Filters, settled
from core.store.tables import tally_cells

Horizon = Literal["1h", "4h", "24h"]
NOTE = "Why there is no interval; null where there is one."
LOW, HIGH = "Lower end of its 95 % interval.", "Upper end of its 95 % interval."
# An example of whom the rules are compared with.
MODEL = ({"judge": "gpt-a / 1"},)


class Population(Parameters):
    """Whose record it is."""

    mode: Mode = Field("balanced", description=MODE)
    version: Version | None = Field(
        None,
        description=VERSION.replace("the one recorded first", "the one with the newest signals"),
    )
    judge: Line = Field(
        RULES,
        min_length=1,
        max_length=160,
        description='Whose verdicts: "rules", or a model as accuracy_options names it.',
    )
    recorded: Literal["live", "later"] | None = Field(
        None,
        description="live: stored within two hours of the bar; later: filled in by a replay; both "
        "by default.",
    )
    direction: Literal["LONG", "SHORT"] | None = Field(None, description="Only these signals.")
    least_coverage: float | None = Field(
        None, ge=0, le=1, description="Only signals with so much coverage, in whole tenths."
    )
    symbol: tuple[Symbol, ...] = Field(
        (), max_length=MOST_SYMBOLS, description="Only these markets; none: all."
    )
    start: Day | None = Field(None, description="First day, UTC, of the exits.")
    end: Day | None = Field(None, description="Last day, UTC, of the exits.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start and self.end and self.start > self.end:
            raise ValueError("start must not lie after end")
        return self

    def filters(self, conn: Connection) -> Filters:
        """The same for the store, with the version that is meant."""
        check_symbols(conn, self.symbol)
        _check_judge(conn, self.mode, self.judge)
        sides = {"LONG": 1, "SHORT": -1}
        found = Filters(
            profile_name=self.mode,
            profile_version=self.version,
            judge=self.judge,
            recorded=self.recorded,
            direction=None if self.direction is None else sides[self.direction],
            least_coverage=self.least_coverage,
            symbols=tuple(sorted(set(self.symbol))),
            start=self.start,
            end=self.end,
        )
        return settled(conn, found)


class RecordAsked(Population):
    """The filters of the Accuracy page."""

    verdict: tuple[Verdict, ...] = Field((), max_length=4, description="Only these; none: all.")
    risk_mode: tuple[RiskMode, ...] = Field((), max_length=4, description="Only these; none: all.")
    horizon: tuple[Horizon, ...] = Field((), max_length=3, description="Only these; none: all.")
    traded: bool | None = Field(
        None, description="Only trades, or only counterfactuals; both by default."
    )

    def filters(self, conn: Connection) -> Filters:
        return replace(
            super().filters(conn),
            verdicts=tuple(sorted(set(self.verdict))),
            risk_modes=tuple(sorted(set(self.risk_mode))),
            horizons=tuple(sorted(set(self.horizon))),
            traded=self.traded,
        )


def judges(conn: Connection, mode: str) -> Sequence[str]:
    """Who has a record in a mode: the rules first, then each model with what was asked of it."""
    query = select(tally_cells.c.judge).where(tally_cells.c.profile_name == mode).distinct()
    return [RULES, *sorted(set(conn.scalars(query)) - {RULES})]


def _check_judge(conn: Connection, mode: str, judge: str) -> None:
    if judge == RULES:
        return
    known = judges(conn, mode)
    if judge not in known:
        near = get_close_matches(judge, known, n=3, cutoff=0.3) or known
        raise WrongParameters({"judge": f"has no record in {mode}; there is {' or '.join(near)}"})


def record_operation(
    name: str,
    title: str,
    description: str,
    parameters: type[Parameters],
    run: Any,
    result: type[Any],
    path: str,
    examples: Sequence[Mapping[str, Any]] = ({"mode": "balanced"},),
) -> Operation[Any]:
    """An operation of the Accuracy page, which is for analysts."""
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
