"""Changing alert rules, through the same functions as the Rules page."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from core.alerts.definition import LONGEST_EXPRESSION, definition_faults
from core.errors import RuleError
from core.operations.own.alerts import Severity
from core.operations.own.rules import (
    DURATION,
    EXPRESSION,
    NAME,
    Rule,
    RuleAsked,
    no_rule,
    rule_fields,
    rule_operation,
)
from core.operations.registry import Context, Operation, Parameters, WrongParameters
from core.operations.values import (
    MODE,
    Id,
    Line,
    Mode,
    Symbol,
    Text,
)
from core.store.alerts import changing
from core.store.alerts import rules as store


class Written(Parameters):
    """What a rule is to say; as on the Rules page."""

    name: Line = Field(min_length=1, max_length=100, description=NAME)
    expression: Text = Field(min_length=1, max_length=LONGEST_EXPRESSION, description=EXPRESSION)
    severity: Severity = Field("warning", description="info, warning or critical.")
    description: Text = Field("", max_length=2000, description="For people.")
    for_: Line | None = Field(
        None,
        alias="for",
        max_length=40,
        description=f"How long the condition must hold before it fires. {DURATION}",
    )
    keep_firing: Line | None = Field(
        None, max_length=40, description=f"How long it must be over before it ends. {DURATION}"
    )
    cooldown: Line | None = Field(
        None, max_length=40, description=f"How long nothing new fires after an end. {DURATION}"
    )
    rearm: Line | None = Field(
        None, max_length=40, description=f"How long it must be false in between. {DURATION}"
    )
    repeat: Line | None = Field(
        None, max_length=40, description=f"How often a firing is told again. {DURATION}"
    )
    expires_at: Line | None = Field(
        None, max_length=40, description="When it ends by itself, ISO 8601; null: never."
    )
    weekdays: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        (), max_length=7, description="Of the active hours; none: every day."
    )
    active_from: Line | None = Field(
        None, max_length=5, description="Beginning of the active hours, UTC, as in 22:00."
    )
    active_until: Line | None = Field(
        None, max_length=5, description="Their end; before the beginning it is on the next day."
    )
    group: Literal["rule", "symbol"] = Field(
        "rule", description="One message per bar, or one per market."
    )
    symbols: tuple[Symbol, ...] = Field((), max_length=1000, description="Markets; none: all.")
    profile_name: Mode = Field("balanced", description=MODE)
    channels: tuple[Id, ...] = Field((), max_length=50, description="Shared channels to tell.")
    title: Line | None = Field(
        None, max_length=200, description="Template of the title; null: the built-in one."
    )
    body: Text | None = Field(
        None, max_length=4000, description="Template of the message; null: the built-in one."
    )
    muted: bool = Field(False, description="Judge it without telling.")
    enabled: bool = Field(True, description="Judge it.")
    note: Line = Field("", max_length=500, description="Why it is made or changed, for the log.")

    def definition(self) -> dict[str, Any]:
        """The data of a rule's definition; `WrongParameters` names every fault."""
        other = {"note", "weekdays", "active_from", "active_until", "rule_id", "based_on"}
        body = self.model_dump(mode="json", by_alias=True, exclude=other)
        body["active_hours"] = None
        if self.active_from is not None and self.active_until is not None:
            body["active_hours"] = {
                "weekdays": list(self.weekdays),
                "start": self.active_from,
                "end": self.active_until,
            }
        elif self.active_from or self.active_until or self.weekdays:
            raise WrongParameters({"active_from": "active hours need a beginning and an end"})
        if faults := definition_faults(body):
            raise WrongParameters(faults)
        return body


class Rewritten(Written):
    rule_id: Id = Field(description="Number of the rule.")
    based_on: Id = Field(
        description="The version that this was made from; refused where somebody saved one since."
    )


def create(context: Context, asked: Written) -> Rule:
    return _save(context, None, asked, based_on=0)


def change(context: Context, asked: Rewritten) -> Rule:
    return _save(context, asked.rule_id, asked, based_on=asked.based_on)


def _save(context: Context, rule_id: int | None, asked: Written, *, based_on: int) -> Rule:
    body = asked.definition()
    with context.engine.begin() as conn:
        if rule_id is not None:
            _find(conn, rule_id)
        saved = changing.save(
            conn,
            rule_id,
            body,
            based_on=based_on,
            note=asked.note,
            by=context.caller,
            now=context.now,
        )
    return Rule(**rule_fields(saved))


def _find(conn: Any, rule_id: int) -> store.StoredRule:
    try:
        return store.load_rule(conn, rule_id)
    except RuleError as error:
        raise no_rule(rule_id) from error


class SwitchAsked(Parameters):
    rule_id: Id = Field(description="Number of the rule.")
    switch: Literal["enabled", "muted"] = Field(description="What is to be turned.")
    to: bool = Field(description="What it is to be.")


def switch(context: Context, asked: SwitchAsked) -> Rule:
    with context.engine.begin() as conn:
        _find(conn, asked.rule_id)
        saved = changing.switch(
            conn, asked.rule_id, asked.switch, to=asked.to, by=context.caller, now=context.now
        )
    return Rule(**rule_fields(saved))


def delete(context: Context, asked: RuleAsked) -> Rule:
    with context.engine.begin() as conn:
        _find(conn, asked.rule_id)
        gone = store.delete_rule(conn, asked.rule_id, by=context.caller, now=context.now)
    return Rule(**rule_fields(gone))


_RULE = {"name": "Hot funding", "expression": "funding_rate_8h > 0.0005", "for": "2h"}
OPERATIONS: tuple[Operation[Any], ...] = (
    rule_operation(
        "alerts_create_rule",
        "Make an alert rule",
        "Save a new rule; it is judged from the next bar on.",
        Written,
        create,
        Rule,
        "rules",
        (_RULE,),
        writes=True,
    ),
    rule_operation(
        "alerts_change_rule",
        "Change an alert rule",
        "Save a further version of a rule, whole; earlier ones stay.",
        Rewritten,
        change,
        Rule,
        "rules/change",
        ({**_RULE, "rule_id": 1, "based_on": 1, "note": "Less noise"},),
        writes=True,
    ),
    rule_operation(
        "alerts_switch_rule",
        "Enable, disable, mute or unmute a rule",
        "Turn one switch of a rule, whatever version it has by now.",
        SwitchAsked,
        switch,
        Rule,
        "rules/switch",
        ({"rule_id": 1, "switch": "muted", "to": True},),
        writes=True,
    ),
    rule_operation(
        "alerts_delete_rule",
        "Delete an alert rule",
        "Take a rule out of use; its versions and events stay.",
        RuleAsked,
        delete,
        Rule,
        "rules/delete",
        ({"rule_id": 1},),
        writes=True,
    ),
)
