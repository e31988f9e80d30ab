"""Alert rules: what they say, how they fare, and changing them, for administrators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Literal

from pydantic import Field

from core.alerts.advice import check_text
from core.alerts.definition import LONGEST_EXPRESSION, definition_faults, parse_definition, to_body
from core.errors import Cancelled, RuleError, TookTooLong
from core.operations.own.alerts import Severity
from core.operations.own.ledger import Nothing
from core.operations.own.market import stored_symbols
from core.operations.registry import Context, NotThere, Operation, Parameters, WrongParameters
from core.operations.values import (
    MODE,
    SYMBOL,
    Id,
    Line,
    Mode,
    Number,
    Result,
    Symbol,
    Text,
    Time,
    Word,
    known,
)
from core.store.alerts import changing, newest, trials
from core.store.alerts import rules as store
from core.store.alerts.overview import count_firing_by_rule, load_last_fired
from core.store.alerts.states import load_progress
from core.store.signals import market_range

_DURATION = "A duration such as 30m, 4h, 2d or 1h30m; null: none."
NAME, EXPRESSION = "Name of the rule, unique.", "Condition in the language of rules."


class Definition(Result):
    """What a rule says; durations are texts such as 1h30m."""

    name: str = Field(description=NAME)
    expression: str = Field(description=EXPRESSION)
    severity: Severity = Field(description="info, warning or critical.")
    description: str = Field(description="For people.")
    for_: Word = Field(
        alias="for", description=f"How long the condition must hold before it fires. {_DURATION}"
    )
    keep_firing: Word = Field(description=f"How long it must be over before it ends. {_DURATION}")
    cooldown: Word = Field(description=f"How long nothing new fires after an end. {_DURATION}")
    rearm: Word = Field(description=f"How long it must be false in between. {_DURATION}")
    repeat: Word = Field(description=f"How often a firing is told again. {_DURATION}")
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


class Rules(Result):
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


def list_rules(context: Context, _: Nothing) -> Rules:
    return Rules(items=[RuleNow(**row) for row in _rows_now(context)])


class RuleAsked(Parameters):
    rule_id: Id = Field(description="Number of the rule.", examples=[1])


def one(context: Context, asked: RuleAsked) -> RuleWhole:
    found = [row for row in _rows_now(context) if row["id"] == asked.rule_id]
    if not found:
        raise _no_rule(asked.rule_id)
    with context.reading() as conn:
        versions = store.list_versions(conn, asked.rule_id)
    told = [
        RuleVersion(
            version=each.version,
            author=each.author,
            note=each.note,
            made_at=each.made_at,
            definition=_definition(each),
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
        rows.append(_fields(rule) | told | judged)
    return rows


def _fields(rule: store.StoredRule) -> dict[str, Any]:
    names = ("id", "version", "author", "note", "made_at", "created_at")
    return {name: getattr(rule, name) for name in names} | {"definition": _definition(rule)}


def _definition(rule: store.StoredRule | store.Version) -> Definition:
    return Definition(**to_body(rule.definition))


def _no_rule(rule_id: int) -> NotThere:
    return NotThere(f"There is no rule of number {rule_id}: alerts_rules lists all.")


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
        description=f"How long the condition must hold before it fires. {_DURATION}",
    )
    keep_firing: Line | None = Field(
        None, max_length=40, description=f"How long it must be over before it ends. {_DURATION}"
    )
    cooldown: Line | None = Field(
        None, max_length=40, description=f"How long nothing new fires after an end. {_DURATION}"
    )
    rearm: Line | None = Field(
        None, max_length=40, description=f"How long it must be false in between. {_DURATION}"
    )
    repeat: Line | None = Field(
        None, max_length=40, description=f"How often a firing is told again. {_DURATION}"
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
    return Rule(**_fields(saved))


def _find(conn: Any, rule_id: int) -> store.StoredRule:
    try:
        return store.load_rule(conn, rule_id)
    except RuleError as error:
        raise _no_rule(rule_id) from error


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
    return Rule(**_fields(saved))


def delete(context: Context, asked: RuleAsked) -> Rule:
    with context.engine.begin() as conn:
        _find(conn, asked.rule_id)
        gone = store.delete_rule(conn, asked.rule_id, by=context.caller, now=context.now)
    return Rule(**_fields(gone))


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
        description=f"How long the condition must hold before it fires. {_DURATION}",
    )
    cooldown: Line | None = Field(
        None, max_length=40, description=f"How long nothing new fires after an end. {_DURATION}"
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


def _operation(
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


_RULE = {"name": "Hot funding", "expression": "funding_rate_8h > 0.0005", "for": "2h"}
OPERATIONS: tuple[Operation[Any], ...] = (
    _operation(
        "alerts_rules",
        "Alert rules",
        "Every rule in use: what it says, who made it, whether it fires and how judging it goes.",
        Nothing,
        list_rules,
        Rules,
        "rules",
    ),
    _operation(
        "alerts_rule",
        "One alert rule with its versions",
        "A rule, how it fares, and every version that it had.",
        RuleAsked,
        one,
        RuleWhole,
        "rules/{rule_id}",
        ({"rule_id": 1},),
    ),
    _operation(
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
    _operation(
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
    _operation(
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
    _operation(
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
    _operation(
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
    _operation(
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
