"""Alert rules: what they say, how they fare, and changing them, for administrators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from core.alerts.definition import to_body
from core.operations.own.alerts import Severity
from core.operations.own.ledger import Nothing
from core.operations.registry import Context, NotThere, Operation, Parameters
from core.operations.values import (
    Id,
    Result,
    Time,
    Word,
)
from core.store.alerts import rules as store
from core.store.alerts.overview import count_firing_by_rule, load_last_fired
from core.store.alerts.states import load_progress

DURATION = "A duration such as 30m, 4h, 2d or 1h30m; null: none."
NAME, EXPRESSION = "Name of the rule, unique.", "Condition in the language of rules."


class Definition(Result):
    """What a rule says; durations are texts such as 1h30m."""

    name: str = Field(description=NAME)
    expression: str = Field(description=EXPRESSION)
    severity: Severity = Field(description="info, warning or critical.")
    description: str = Field(description="For people.")
    for_: Word = Field(
        alias="for", description=f"How long the condition must hold before it fires. {DURATION}"
    )
    keep_firing: Word = Field(description=f"How long it must be over before it ends. {DURATION}")
    cooldown: Word = Field(description=f"How long nothing new fires after an end. {DURATION}")
    rearm: Word = Field(description=f"How long it must be false in between. {DURATION}")
    repeat: Word = Field(description=f"How often a firing is told again. {DURATION}")
    expires_at: Time = Field(description="When the rule ends by itself, UTC; null: never.")
    active_hours: dict[str, Any] | None = Field(
        description="Weekdays, start and end, UTC, outside of which nothing fires; null: always."
    )
    group: Literal["rule", "symbol"] = Field(description="One message per bar, or per market.")
    symbols: list[str] = Field(description="Markets that it is about; empty: all.")
    profile_name: str = Field(description="Mode whose scores and verdicts it sees.")
    channels: list[int] = Field(description="Shared channels that hear of it.")
    title: Word = Field(description="Template of the message's title; null: the built-in one.")
    body: Word = Field(description="Template of the message; null: the built-in one.")
    muted: bool = Field(description="Whether it is judged but not told.")
    enabled: bool = Field(description="Whether it is judged.")


class Rule(Result):
    """A rule as it stands."""

    id: int = Field(description="Its number.")
    version: int = Field(description="Its newest version; changes have to be based on it.")
    author: str = Field(description="Who made this version.")
    note: str = Field(description="What they wrote of it.")
    made_at: datetime = Field(description="When this version was made, UTC.")
    created_at: datetime = Field(description="When the first one was, UTC.")
    definition: Definition = Field(description="What it says.")


class RuleNow(Rule):
    """A rule and how it fares."""

    firing: int = Field(description="For how many markets it fires now.")
    last_fired: Time = Field(description="Bar at which it fired last, UTC; null: never.")
    health: Word = Field(description="ok, no data or error; null: not judged yet.")
    message: Word = Field(description="What is wrong where something is.")
    judged_bar: Time = Field(description="Newest bar that it was judged at, UTC.")
    unknown: int = Field(description="Markets for which the condition was unknown then.")


class RulesNow(Result):
    """Every rule in use."""

    items: list[RuleNow] = Field(description="By name.")


class RuleVersion(Result):
    """A version that a rule has or had."""

    version: int = Field(description="Its number.")
    author: str = Field(description="Who made it.")
    note: str = Field(description="What they wrote of it.")
    made_at: datetime = Field(description="When, UTC.")
    definition: Definition = Field(description="What it said.")


class RuleWhole(RuleNow):
    """A rule, how it fares, and all its versions."""

    versions: list[RuleVersion] = Field(description="The newest first.")


def list_rules(context: Context, _: Nothing) -> RulesNow:
    return RulesNow(items=[RuleNow(**row) for row in _rows_now(context)])


class RuleAsked(Parameters):
    rule_id: Id = Field(description="Number of the rule.", examples=[1])


def one(context: Context, asked: RuleAsked) -> RuleWhole:
    found = [row for row in _rows_now(context) if row["id"] == asked.rule_id]
    if not found:
        raise no_rule(asked.rule_id)
    with context.reading() as conn:
        versions = store.list_versions(conn, asked.rule_id)
    told = [
        RuleVersion(
            version=each.version,
            author=each.author,
            note=each.note,
            made_at=each.made_at,
            definition=definition_of(each),
        )
        for each in versions
    ]
    return RuleWhole(**found[0], versions=told)


def _rows_now(context: Context) -> list[dict[str, Any]]:
    with context.reading() as conn:
        progress, firing = load_progress(conn), count_firing_by_rule(conn)
        fired, found = load_last_fired(conn), store.list_rules(conn)
    rows = []
    for rule in found:
        at = progress.get(rule.id)
        judged = {
            "health": None if at is None else at.health,
            "message": None if at is None else at.message,
            "judged_bar": None if at is None else at.bar,
            "unknown": 0 if at is None else at.unknown,
        }
        told = {"firing": firing.get(rule.id, 0), "last_fired": fired.get(rule.id)}
        rows.append(rule_fields(rule) | told | judged)
    return rows


def rule_fields(rule: store.StoredRule) -> dict[str, Any]:
    names = ("id", "version", "author", "note", "made_at", "created_at")
    return {name: getattr(rule, name) for name in names} | {"definition": definition_of(rule)}


def definition_of(rule: store.StoredRule | store.Version) -> Definition:
    return Definition(**to_body(rule.definition))


def no_rule(rule_id: int) -> NotThere:
    return NotThere(f"There is no rule of number {rule_id}: alerts_rules lists all.")


def rule_operation(
    name: str,
    title: str,
    description: str,
    parameters: type[Parameters],
    run: Any,
    result: type[Any],
    path: str,
    examples: Sequence[Mapping[str, Any]] = ({},),
    *,
    writes: bool = False,
) -> Operation[Any]:
    """An operation of the Rules page, which is for administrators."""
    return Operation(
        name,
        title,
        description,
        "rules",
        "admin",
        "rules.write" if writes else "rules.read",
        parameters,
        run,
        result=result,
        examples=tuple(examples),
        path=f"/alerts/{path}",
        writes=writes,
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    rule_operation(
        "alerts_rules",
        "Alert rules",
        "Every rule in use: what it says, who made it, whether it fires and how judging it goes.",
        Nothing,
        list_rules,
        RulesNow,
        "rules",
    ),
    rule_operation(
        "alerts_rule",
        "One alert rule with its versions",
        "A rule, how it fares, and every version that it had.",
        RuleAsked,
        one,
        RuleWhole,
        "rules/{rule_id}",
        ({"rule_id": 1},),
    ),
)
