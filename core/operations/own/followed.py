"""The single outcomes behind the rates, and the signals on which rules and model disagreed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from core.operations.cursors import read_cursor, write_cursor
from core.operations.own.knowledge import PairsAsked, of_model
from core.operations.own.record_filters import (
    MODEL,
    RecordAsked,
    record_operation,
)
from core.operations.registry import Context, Operation
from core.operations.values import (
    SYMBOL,
    Cursor,
    Direction,
    Id,
    Limit,
    Moment,
    Number,
    Page,
    Result,
    Verdict,
    Word,
    direction_of,
    known,
    page_of,
)
from core.store import record_lists


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
        found = record_lists.list_signals_behind(
            conn,
            asked.filters(conn),
            asked.limit + 1,
            None if place is None else record_lists.SignalPlace(*place),
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
        found = record_lists.list_disagreements_behind(
            conn,
            of_model(asked).filters(conn),
            asked.limit + 1,
            None if place is None else record_lists.BarPlace(*place),
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


OPERATIONS: tuple[Operation[Any], ...] = (
    record_operation(
        "accuracy_outcomes",
        "Single outcomes",
        "The outcomes behind the rates, those that ended last first.",
        OutcomesAsked,
        outcomes,
        Page[Followed],
        "outcomes",
    ),
    record_operation(
        "accuracy_disagreements",
        "Where rules and model disagreed",
        "Signals on which the rules and one model gave different verdicts, and what became of them; the "
        "newest first.",
        DisagreementsAsked,
        disagreements,
        Page[Disagreement],
        "disagreements",
        MODEL,
    ),
)
