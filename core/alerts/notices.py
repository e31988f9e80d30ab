"""What is said of what happened: which events are sent, and how they are put into messages.

Deciding is pure and has a reason, so that the screen can tell why nothing came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np

from core.alerts.definition import RuleDefinition
from core.alerts.engine import Event, is_inside
from core.alerts.silences import Silence, Subject, silenced_by
from core.alerts.states import to_us

Reason = Literal[
    "fired",
    "ended",
    "repeat",
    "held",
    "muted",
    "silenced",
    "acknowledged",
    "outside_active_hours",
    "disabled",
]
WORDS: Mapping[str, str] = {
    "fired": "a message was made",
    "ended": "a message was made",
    "repeat": "a reminder was made",
    "held": "not sent: the rule holds it back",
    "muted": "not sent: the rule is muted",
    "silenced": "not sent: silenced",
    "acknowledged": "not sent: somebody has acknowledged it",
    "outside_active_hours": "not sent: outside the rule's active hours",
    "disabled": "not sent: the rule was disabled",
}


@dataclass(frozen=True)
class Decision:
    """Whether an event is sent, and why or why not; the silence that keeps it back, if one does."""

    event: Event
    sent: bool
    reason: Reason
    silence: Silence | None = None

    @property
    def words(self) -> str:
        """The reason for the screen."""
        if self.silence is None:
            return WORDS[self.reason]
        ends = f"{self.silence.ends_at:%Y-%m-%d %H:%M} UTC"
        return f"{WORDS['silenced']} until {ends} by {self.silence.author}: {self.silence.reason}"


def decide(event: Event, definition: RuleDefinition, silences: Iterable[Silence] = ()) -> Decision:
    """Whether ``event`` of the rule is sent.

    An acknowledged firing is not repeated, but its end is sent: whoever waits for it wants to know.
    Outside of active hours nothing is sent, not even an end. The end that comes of disabling a rule
    is not sent either: somebody did that, and knows.
    """
    if event.kind == "held":
        return Decision(event, False, "held")
    if definition.muted:
        return Decision(event, False, "muted")
    if event.reason == "disabled":
        return Decision(event, False, "disabled")
    about = Subject(definition.name, event.symbol, definition.severity)
    silence = silenced_by(silences, about, event.at)
    if silence is not None:
        return Decision(event, False, "silenced", silence)
    if event.kind == "repeat" and event.acknowledged:
        return Decision(event, False, "acknowledged")
    if not is_inside(definition, np.array([to_us(event.at)]))[0]:
        return Decision(event, False, "outside_active_hours")
    return Decision(event, True, _SENT[event.kind])


_SENT: Mapping[str, Reason] = {"fired": "fired", "ended": "ended", "repeat": "repeat"}


@dataclass(frozen=True)
class Notice:
    """One message: what of one rule happened at one bar, of one symbol or of many.

    ``values`` has for a symbol what the parts of the rule were at the bar. ``key`` is the same
    whenever the same bar is told again: the receiver may take it as the message's identity.
    """

    key: str
    rule: str
    severity: str
    at: datetime
    fired: tuple[Event, ...]
    ended: tuple[Event, ...]
    repeated: tuple[Event, ...]
    values: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def symbols(self) -> tuple[str, ...]:
        """All that it is about, what fires first."""
        return tuple(event.symbol for event in (*self.fired, *self.repeated, *self.ended))


def notices(
    rule_id: str,
    definition: RuleDefinition,
    decisions: Sequence[Decision],
    values: Mapping[str, Mapping[str, object]] | None = None,
) -> list[Notice]:
    """The messages that tell of what is sent: per bar one, or per bar and symbol one."""
    told: dict[tuple[datetime, str], list[Event]] = {}
    for decision in decisions:
        if decision.sent:
            event = decision.event
            group = event.symbol if definition.group == "symbol" else ""
            told.setdefault((event.at, group), []).append(event)
    return [
        _notice(rule_id, definition, at, group, events, values or {})
        for (at, group), events in told.items()
    ]


def _notice(
    rule_id: str,
    definition: RuleDefinition,
    at: datetime,
    group: str,
    events: list[Event],
    values: Mapping[str, Mapping[str, object]],
) -> Notice:
    def of(kind: str) -> tuple[Event, ...]:
        return tuple(event for event in events if event.kind == kind)

    return Notice(
        notice_key(rule_id, at, group),
        definition.name,
        definition.severity,
        at,
        of("fired"),
        of("ended"),
        of("repeat"),
        {e.symbol: values[e.symbol] for e in events if e.symbol in values},
    )


def notice_key(rule_id: str, at: datetime, group: str = "") -> str:
    """32 hexadecimal digits that tell the message of this bar from all others."""
    return hashlib.sha256(f"{rule_id}\n{to_us(at)}\n{group}".encode()).hexdigest()[:32]
