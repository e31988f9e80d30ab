"""Trying an expression: what the language says to it, and how often it would have fired."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from pydantic import Field

from core.alerts.advice import check_text
from core.alerts.definition import LONGEST_EXPRESSION, definition_faults, parse_definition
from core.errors import Cancelled, TookTooLong
from core.operations.own.market import stored_symbols
from core.operations.own.rules import DURATION, EXPRESSION, rule_operation
from core.operations.registry import Context, NotThere, Operation, Parameters, WrongParameters
from core.operations.values import (
    MODE,
    SYMBOL,
    Line,
    Mode,
    Number,
    Result,
    Symbol,
    Text,
    Time,
    known,
)
from core.store.alerts import newest, trials
from core.store.signals import market_range


class CheckAsked(Parameters):
    expression: Text = Field(max_length=LONGEST_EXPRESSION, description=EXPRESSION)
    mode: Mode = Field("balanced", description=MODE)


class Judged(Result):
    """What the condition is for a market at its newest bar."""

    symbol: str = Field(description=SYMBOL)
    time: datetime = Field(description="Close of that bar, UTC.")
    truth: bool | None = Field(description="Null: unknown.")


class Check(Result):
    """What the language says to an expression, and what it is now."""

    valid: bool = Field(description="Whether it can be a rule.")
    reason: str = Field(description='What is wrong; "" where nothing is.')
    hint: str = Field(description="What would be right.")
    start: int = Field(description="First character of what is wrong, from 0.")
    end: int = Field(description="Behind its last character.")
    fixes: list[str] = Field(description="Each may be put in the place of what is wrong.")
    needs: list[str] = Field(description="Columns that it looks at.")
    lookback_hours: int = Field(description="How far back it looks, hours.")
    missing: list[str] = Field(description="Columns that nothing is stored of.")
    markets: list[Judged] = Field(description="The condition at the newest bar of every market.")


def check(context: Context, asked: CheckAsked) -> Check:
    text = asked.expression.strip()
    found = check_text(text)
    rule = found.rule
    told = newest.NewestRows((), ())
    if rule is not None:
        with context.reading() as conn:
            told = newest.load_newest_rows(conn, text, (), asked.mode)
    return Check(
        valid=rule is not None,
        reason=found.reason,
        hint=found.hint,
        start=found.start,
        end=found.end,
        fixes=list(found.fixes),
        needs=[] if rule is None else list(rule.needs),
        lookback_hours=0 if rule is None else rule.lookback_hours,
        missing=list(told.missing),
        markets=[Judged(symbol=one.symbol, time=one.time, truth=one.truth) for one in told.markets],
    )


class PreviewAsked(CheckAsked):
    days: int = Field(30, ge=1, le=365, description="How many days up to the newest bar.")
    for_: Line | None = Field(
        None,
        alias="for",
        max_length=40,
        description=f"How long the condition must hold before it fires. {DURATION}",
    )
    cooldown: Line | None = Field(
        None, max_length=40, description=f"How long nothing new fires after an end. {DURATION}"
    )
    symbol: tuple[Symbol, ...] = Field((), max_length=1000, description="Markets; none: all.")


class Firing(Result):
    """A firing that would have been."""

    symbol: str = Field(description=SYMBOL)
    began_at: Time = Field(description="Since which bar the condition held, UTC.")
    fired_at: datetime = Field(description="The bar at which it fired, UTC.")
    ended_at: Time = Field(description="When it ended, UTC; null: it fires still.")
    minutes: Number = Field(description="How long it fired.")


class Preview(Result):
    """How often a rule would have fired."""

    start: datetime = Field(description="First bar that was judged, UTC.")
    end: datetime = Field(description="Last one, UTC.")
    summary: str = Field(description="The same in a sentence.")
    firings: int = Field(description="How many there were.")
    per_week: Number = Field(description="In a week of what could be judged.")
    messages: int = Field(description="How many messages would have told of them.")
    median_minutes: Number = Field(description="Median length of those that ended.")
    unknown_share: Number = Field(description="Share of bars that could not be judged.")
    held_back: dict[str, int] = Field(description="What would have fired but for this.")
    missing: list[str] = Field(description="Columns that nothing is stored of.")
    newest: list[Firing] = Field(description="The last firings, up to 100, the newest first.")


def preview(context: Context, asked: PreviewAsked) -> Preview:
    body = {
        "name": "-",
        "expression": asked.expression,
        "for": asked.for_,
        "cooldown": asked.cooldown,
        "symbols": list(asked.symbol),
        "profile_name": asked.mode,
    }
    if faults := definition_faults(body):
        raise WrongParameters(faults)
    with context.reading() as conn:
        span, symbols = market_range(conn), stored_symbols(conn)
    if span is None:
        raise NotThere("No bar is stored yet, so there is no history.")
    start = max(span[1] - timedelta(days=asked.days), span[0] - timedelta(hours=1))
    wanted = trials.Asked("", parse_definition(body), start, span[1], tuple(symbols))
    try:
        found = trials.run(context.engine, wanted, cancelled=lambda: monotonic() > context.until)
    except Cancelled as error:
        raise TookTooLong("Judging so many days took too long: ask for fewer.") from error
    firings = found.firings.sort_values(["fired_at", "symbol"], ascending=[False, True]).head(100)
    return Preview(
        start=found.start,
        end=found.end,
        summary=found.summary,
        firings=len(found),
        per_week=found.per_week,
        messages=found.messages,
        median_minutes=found.median_minutes,
        unknown_share=found.unknown_share,
        held_back=dict(found.held_back),
        missing=list(found.missing),
        newest=[
            Firing(**{name: known(row[name]) for name in Firing.model_fields})
            for row in firings.to_dict("records")
        ],
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    rule_operation(
        "alerts_check_expression",
        "Check an expression",
        "What the language of rules says to an expression, what would be right, and what the condition "
        "is for every market at its newest bar. Nothing is saved.",
        CheckAsked,
        check,
        Check,
        "check",
        ({"expression": "score >= 62"},),
    ),
    rule_operation(
        "alerts_preview_rule",
        "How often a rule would have fired",
        "A condition judged over the stored history by the machine that runs live. Nothing is saved.",
        PreviewAsked,
        preview,
        Preview,
        "preview",
        ({"expression": "score >= 62", "days": 30, "cooldown": "4h"},),
    ),
)
