"""Alerts: what fires, what happened, and what is silenced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from core.alerts.silences import parse_silence
from core.operations.cursors import read_cursor, write_cursor
from core.operations.own.ledger import Nothing
from core.operations.registry import Context, Operation, Parameters
from core.operations.values import (
    END,
    START,
    SYMBOL,
    Cursor,
    Id,
    Limit,
    Line,
    Moment,
    Page,
    Result,
    Symbol,
    Time,
    check_symbols,
    page_of,
)
from core.store.alerts import noting, past, silences, watching
from core.store.alerts.past import Asked
from core.store.alerts.states import StoredEvent

Severity = Literal["info", "warning", "critical"]
PARTS = (
    "What the parts of the expression were: text, title, unit and value of each; null: not kept."
)
# As long as the page shows them.
_KEPT = timedelta(days=30)

Parts = list[dict[str, Any]]


class Standing(Result):
    """A rule and a market that are pending, fire or recover."""

    rule_id: int = Field(description="Number of the rule.")
    rule: str = Field(description="Its name.")
    severity: Severity = Field(description="Its severity.")
    symbol: str = Field(description=SYMBOL)
    phase: str = Field(description="pending, firing or recovering.")
    health: str = Field(description="ok, no data or error.")
    began_at: Time = Field(description="Since which bar the condition holds, UTC.")
    fired_at: Time = Field(description="Since which bar it fires, UTC.")
    unknown_since: Time = Field(description="Since when it cannot be judged, UTC; null: it can.")
    acknowledged_by: str | None = Field(description="Who took note of it; null: nobody.")
    acknowledged_at: Time = Field(description="When, UTC.")
    note: str | None = Field(description="What they wrote.")
    fired_parts: Parts | None = Field(description=f"When it fired. {PARTS}")
    parts: Parts | None = Field(description=f"Now. {PARTS}")


class Now(Result):
    """What fires now, and how far judging is."""

    standings: list[Standing] = Field(description="By rule and market.")
    rules: int = Field(description="Enabled rules.")
    failing: int = Field(description="Rules that could not be judged.")
    judged_bar: Time = Field(description="Newest bar that was judged, UTC.")
    judged_at: Time = Field(description="When that was done, UTC.")


def now(context: Context, _: Nothing) -> Now:
    with context.reading() as conn:
        found, watch = watching.load_standings(conn), watching.load_watch(conn)
    return Now(
        standings=[_standing(one) for one in found],
        rules=watch.rules,
        failing=watch.failing,
        judged_bar=watch.judged_bar,
        judged_at=watch.judged_at,
    )


def _standing(one: watching.Standing) -> Standing:
    noted = one.acknowledgement
    copied = (
        "rule_id", "rule", "severity", "symbol", "phase", "health", "began_at", "fired_at",
        "unknown_since", "fired_parts", "parts",
    )  # fmt: skip
    return Standing(
        **{name: getattr(one, name) for name in copied},
        acknowledged_by=None if noted is None else noted.by,
        acknowledged_at=None if noted is None else noted.acknowledged_at,
        note=None if noted is None else noted.note,
    )


class EventsAsked(Parameters):
    rule_id: tuple[Id, ...] = Field(
        (), max_length=50, description="Only of these rules; none: all."
    )
    symbol: Symbol | None = Field(None, description="Only of this market.")
    severity: tuple[Severity, ...] = Field((), max_length=3, description="Only these; none: all.")
    kind: tuple[Line, ...] = Field(
        (), max_length=10, description="Only these kinds, such as fired and ended; none: all."
    )
    start: Moment | None = Field(None, description=START)
    end: Moment | None = Field(None, description=END)
    limit: Limit = 100
    cursor: Cursor = None


class AlertEvent(Result):
    """Something that happened to a market under a rule, at the bar that closed at ``at``."""

    id: int = Field(description="Number of the event.")
    rule_id: int = Field(description="Number of the rule.")
    rule: str | None = Field(description="Its present name.")
    version: int = Field(description="Version of the rule that was judged.")
    symbol: str = Field(description=SYMBOL)
    kind: str = Field(description="fired, ended, or why nothing was.")
    at: datetime = Field(description="The bar, UTC.")
    began_at: Time = Field(description="Since which bar the condition held, UTC.")
    fired_at: Time = Field(description="Since which bar it fired, UTC.")
    severity: Severity = Field(description="Severity at that time.")
    reason: str = Field(description="Why.")
    told: str = Field(description="Whether messages were made of it, or why not.")
    parts: Parts | None = Field(description=PARTS)
    recorded_at: datetime = Field(description="When it was written down, UTC.")


def events(context: Context, asked: EventsAsked) -> dict[str, Any]:
    place = read_cursor("alerts_events", asked, asked.cursor, tuple[Moment, Id])
    wanted = Asked(
        asked.rule_id or None, asked.symbol, asked.severity, asked.kind, asked.start, asked.end
    )
    with context.reading() as conn:
        check_symbols(conn, [] if asked.symbol is None else [asked.symbol])
        found = past.list_behind(conn, wanted, place, asked.limit + 1)
        names = watching.load_rule_names(conn)
    return page_of(
        found,
        asked.limit,
        lambda one: write_cursor("alerts_events", asked, (one.at, one.id)),
        lambda one: _event(one, names),
    )


def _event(one: StoredEvent, names: Mapping[int, str]) -> AlertEvent:
    return AlertEvent(**vars(one), rule=names.get(one.rule_id))


class Silence(Result):
    """For a while nothing is told of what it matches."""

    id: int = Field(description="Its number.")
    matchers: list[str] = Field(description="What all have to match, as in symbol =~ BTC*.")
    reason: str = Field(description="Why.")
    starts_at: datetime = Field(description="From when, UTC.")
    ends_at: datetime = Field(description="Until when, UTC.")
    author: str = Field(description="Who made it.")
    made_at: datetime = Field(description="When it was made, UTC.")


class Silences(Result):
    """Silences that hold, will hold, or ended in the last 30 days."""

    items: list[Silence] = Field(description="The one that ends last first.")


def list_silences(context: Context, _: Nothing) -> Silences:
    with context.reading() as conn:
        found = silences.list_silences(conn, context.now - _KEPT)
    return Silences(items=[_silence(one) for one in found])


def _silence(one: silences.StoredSilence) -> Silence:
    told = one.silence
    return Silence(
        id=one.id,
        matchers=[str(matcher) for matcher in told.matchers],
        reason=told.reason,
        starts_at=told.starts_at,
        ends_at=told.ends_at,
        author=told.author,
        made_at=one.made_at,
    )


class NoteAsked(Parameters):
    rule_id: Id = Field(description="Number of the rule that fires.")
    symbols: tuple[Symbol, ...] = Field(
        min_length=1, max_length=1000, description="The markets for which it fires."
    )
    note: Line = Field(
        "", max_length=noting.LONGEST_NOTE, description="What others should know of it."
    )


class Noted(Result):
    """What was taken note of."""

    firings: int = Field(description="How many firings that were.")


def take_note(context: Context, asked: NoteAsked) -> Noted:
    places = {(asked.rule_id, symbol) for symbol in asked.symbols}
    with context.engine.begin() as conn:
        count = noting.take_note(conn, places, asked.note, by=context.caller, now=context.now)
    return Noted(firings=count)


class SilenceAsked(Parameters):
    matchers: tuple[Line, ...] = Field(
        min_length=1,
        max_length=20,
        description="What all have to match: rule, symbol or severity, then =, !=, =~ or !~, then "
        "values, as in symbol =~ BTC*, ETH*.",
    )
    reason: Line = Field(min_length=1, max_length=500, description="Why nothing is to be told.")
    starts_at: Moment | None = Field(None, description="From when; by default from now on.")
    ends_at: Moment = Field(description="Until when, ISO 8601 with a zone.")


class Made(Result):
    """What was made."""

    id: int = Field(description="Its number.")


def make_silence(context: Context, asked: SilenceAsked) -> Made:
    wanted = parse_silence(
        {
            "matchers": list(asked.matchers),
            "reason": asked.reason,
            "starts_at": (asked.starts_at or context.now).isoformat(),
            "ends_at": asked.ends_at.isoformat(),
            "author": context.caller,
        }
    )
    with context.engine.begin() as conn:
        return Made(id=silences.make_silence(conn, wanted, now=context.now))


class EndAsked(Parameters):
    silence_id: Id = Field(description="Number of the silence.")


class Done(Result):
    """It is done."""

    done: Literal[True] = Field(description="Always true; what could not be done is a problem.")


def end_silence(context: Context, asked: EndAsked) -> Done:
    with context.engine.begin() as conn:
        silences.end_silence(conn, asked.silence_id, by=context.caller, now=context.now)
    return Done(done=True)


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
        "alerts",
        "trader",
        "alerts.write" if writes else "alerts.read",
        parameters,
        run,
        result=result,
        examples=tuple(examples),
        path=f"/alerts/{path}",
        writes=writes,
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    _operation(
        "alerts_now",
        "What fires now",
        "Every rule and market that is pending, fires or recovers, since when, with the values then and "
        "now and who took note of it.",
        Nothing,
        now,
        Now,
        "now",
    ),
    _operation(
        "alerts_events",
        "What happened under the rules",
        "Firings, ends and what kept something from firing, the newest first, with what was told of it.",
        EventsAsked,
        events,
        Page[AlertEvent],
        "events",
        ({"kind": ["fired"], "limit": 20},),
    ),
    _operation(
        "alerts_silences",
        "Silences",
        "What is not told for a while: now, later, and what ended in the last 30 days.",
        Nothing,
        list_silences,
        Silences,
        "silences",
    ),
    _operation(
        "alerts_acknowledge",
        "Take note of a firing",
        "Note that somebody knows of what fires; the first to do so stays named.",
        NoteAsked,
        take_note,
        Noted,
        "acknowledge",
        ({"rule_id": 1, "symbols": ["BTCUSDT"], "note": "Looking into it."},),
        writes=True,
    ),
    _operation(
        "alerts_silence",
        "Make a silence",
        "Have nothing told for a while of the rules, markets and severities that match.",
        SilenceAsked,
        make_silence,
        Made,
        "silences",
        (
            {
                "matchers": ["symbol =~ BTC*"],
                "reason": "Maintenance",
                "ends_at": "2099-01-01T00:00:00Z",
            },
        ),
        writes=True,
    ),
    _operation(
        "alerts_end_silence",
        "End a silence",
        "End a silence now; one that has not begun never holds.",
        EndAsked,
        end_silence,
        Done,
        "silences/end",
        ({"silence_id": 1},),
        writes=True,
    ),
)
