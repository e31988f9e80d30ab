"""What is said of what happened: which events are sent, and how they are put into messages.

Deciding is pure and has a reason, so that the screen can tell why nothing came. A firing that was not
told when it fired, because it was silenced, muted or no news any more, is told late, once, as soon as it
may be and still lasts; of one that ends before, the end is not told either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
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
    "late",
    "held",
    "muted",
    "silenced",
    "acknowledged",
    "outside_active_hours",
    "disabled",
    "untold",
    "old",
]
# The reasons of what is sent.
SENT: tuple[Reason, ...] = ("fired", "late", "ended", "repeat")
# What was judged later than this after the close of its bar is no news. Whatever lasts is told late.
NEWS = timedelta(hours=2)
WORDS: Mapping[str, str] = {
    "fired": "a message was made",
    "ended": "a message was made",
    "repeat": "a reminder was made",
    "late": "a message was made, late: it still fires, and nobody had been told",
    "held": "not sent: the rule holds it back",
    "muted": "not sent: the rule is muted",
    "silenced": "not sent: silenced",
    "acknowledged": "not sent: somebody has acknowledged it",
    "outside_active_hours": "not sent: outside the rule's active hours",
    "disabled": "not sent: the rule was disabled",
    "untold": "not sent: nobody had been told that it fired",
    "old": "not sent: it was old news when it was judged",
}

# Why a firing ended.
ENDED: Mapping[str, str] = {
    "resolved": "the condition was over",
    "expired": "the rule expired",
    "disabled": "the rule was disabled",
    "rule_changed": "the rule's condition was changed",
    "removed": "the market or the rule is gone",
}


@dataclass(frozen=True)
class Decision:
    """Whether an event is sent, and why or why not.

    ``silence`` keeps it back, if one does, or kept back what is told late. ``old``: the end is not
    news, and told because somebody waits for it.
    """

    event: Event
    sent: bool
    reason: Reason
    silence: Silence | None = None
    old: bool = False

    @property
    def note(self) -> str:
        """What is said of a firing that is not new, and of an end but for that of the condition."""
        if self.event.kind == "ended":
            return "" if self.event.reason == "resolved" else ENDED.get(self.event.reason, "")
        if self.event.kind == "repeat":
            return "still firing"
        if self.event.kind != "late":
            return ""
        if self.silence is None:
            return "still firing, not told before"
        return f"still firing, was silenced until {self.silence.ends_at:%Y-%m-%d %H:%M} UTC"

    @property
    def words(self) -> str:
        """The reason for the screen."""
        if self.silence is None or self.sent:
            return WORDS[self.reason]
        ends = f"{self.silence.ends_at:%Y-%m-%d %H:%M} UTC"
        return f"{WORDS['silenced']} until {ends} by {self.silence.author}: {self.silence.reason}"


def decide(
    event: Event,
    definition: RuleDefinition,
    silences: Sequence[Silence] = (),
    now: datetime | None = None,
) -> Decision:
    """Whether ``event`` of the rule is sent; ``now`` is when that is decided, by default at its bar.

    An acknowledged firing is not repeated, but its end is sent: whoever waits for it wants to know.
    Outside of active hours nothing is sent but the end of a firing that was told. The end that comes
    of disabling a rule is not sent: somebody did that, and knows. What is old is not sent, but for the
    end of a firing that was told.
    """
    reason = _kept_back(event, definition)
    if reason is not None:
        return Decision(event, False, reason)
    old = now is not None and now - event.at > NEWS
    if old and event.kind != "ended":
        return Decision(event, False, "old")
    at = now if old and now is not None else event.at
    about = Subject(definition.name, event.symbol, definition.severity)
    # Also by one that somebody has made since the bar closed.
    silence = silenced_by(silences, about, at) or silenced_by(silences, about, now or at)
    if silence is not None:
        return Decision(event, False, "silenced", silence)
    if event.kind != "ended" and not _is_active(definition, at):
        return Decision(event, False, "outside_active_hours")
    if event.kind == "late":
        return Decision(event, True, "late", _was_silenced(event, about, silences))
    return Decision(event, True, _SENT[event.kind], old=old)


_SENT: Mapping[str, Reason] = {"fired": "fired", "ended": "ended", "repeat": "repeat"}


def _kept_back(event: Event, definition: RuleDefinition) -> Reason | None:
    """Why nothing is sent of an event, whenever that is decided."""
    if event.kind == "held":
        return "held"
    if definition.muted:
        return "muted"
    if event.reason == "disabled":
        return "disabled"
    if event.untold:
        return "untold"
    if event.kind in ("repeat", "late") and event.acknowledged:
        return "acknowledged"
    return None


def _is_active(definition: RuleDefinition, at: datetime) -> bool:
    # Asked of one time only where there are such hours: there are thousands of events.
    return not definition.active_hours or bool(is_inside(definition, np.array([to_us(at)]))[0])


def _was_silenced(event: Event, about: Subject, silences: Iterable[Silence]) -> Silence | None:
    """The silence that ended last of those that kept back what is told late."""
    since = event.fired_at or event.at
    over = [
        one
        for one in silences
        if one.ends_at > since and one.starts_at < event.at and one.matches(about)
    ]
    return max(over, key=lambda one: one.ends_at, default=None)


def without_superseded(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions of several bars, in order, as they are once all of these bars are known.

    An old end is not sent where something later is sent of its symbol: only that is true now.
    """
    found: list[Decision] = []
    said: set[str] = set()
    for one in reversed(decisions):
        superseded = one.old and one.event.symbol in said
        found.append(replace(one, sent=False, reason="old") if superseded else one)
        if one.sent:
            said.add(one.event.symbol)
    return found[::-1]


@dataclass(frozen=True)
class Notice:
    """One message: what of one rule happened at one bar, of one symbol or of many.

    ``values`` has for a symbol what the parts of the rule were at the bar, ``notes`` why it is told
    though it is not new. ``key`` is the same whenever the same bar is told again: the receiver may
    take it as the message's identity.
    """

    key: str
    rule: str
    severity: str
    at: datetime
    fired: tuple[Event, ...]
    ended: tuple[Event, ...]
    repeated: tuple[Event, ...]
    values: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    late: tuple[Event, ...] = ()
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def firing(self) -> tuple[Event, ...]:
        """What fires: what is new of it, then what is told late, then what is told again."""
        return *self.fired, *self.late, *self.repeated

    @property
    def symbols(self) -> tuple[str, ...]:
        """All that it is about, what fires first."""
        return tuple(event.symbol for event in (*self.firing, *self.ended))

    @property
    def kind(self) -> str:
        """The one word for it: fired, late, repeat or resolved."""
        if self.fired:
            return "fired"
        return "late" if self.late else "repeat" if self.repeated else "resolved"


@dataclass(frozen=True)
class CaughtUp:
    """Bars that were judged in one go, at ``judged_at`` up to ``newest``.

    Those up to ``told_until`` had been judged before, without the markets that came late.
    """

    judged_at: datetime
    newest: datetime
    told_until: datetime | None = None


def notices(
    rule_id: str,
    definition: RuleDefinition,
    decisions: Sequence[Decision],
    values: Mapping[str, Mapping[str, object]] | None = None,
    caught_up: CaughtUp | None = None,
) -> list[Notice]:
    """The messages that tell of what is sent: per bar one, or per bar and symbol one.

    Old ends are one message, at the newest bar. What came late of a bar that had its message is a
    message of its own.
    """
    told: dict[tuple[datetime, str], list[Decision]] = {}
    for decision in decisions:
        if decision.sent:
            event = decision.event
            group = event.symbol if definition.group == "symbol" else ""
            at, key = event.at, notice_key(rule_id, event.at, group)
            if caught_up is not None and decision.old:
                at, key = caught_up.newest, _old_key(rule_id, caught_up.judged_at, group)
            elif caught_up is not None and caught_up.told_until and at <= caught_up.told_until:
                key = _late_key(rule_id, at, caught_up.judged_at, group)
            told.setdefault((at, key), []).append(decision)
    return [_notice(key, definition, at, sent, values or {}) for (at, key), sent in told.items()]


def _notice(
    key: str,
    definition: RuleDefinition,
    at: datetime,
    sent: Sequence[Decision],
    values: Mapping[str, Mapping[str, object]],
) -> Notice:
    events = [one.event for one in sent]

    def of(kind: str) -> tuple[Event, ...]:
        return tuple(event for event in events if event.kind == kind)

    return Notice(
        key,
        definition.name,
        definition.severity,
        at,
        of("fired"),
        of("ended"),
        of("repeat"),
        {e.symbol: values[e.symbol] for e in events if e.symbol in values},
        of("late"),
        {(one.event.symbol, one.event.kind): one.note for one in sent if one.note},
    )


@lru_cache(maxsize=1_000)  # Asked for with every event of a message.
def notice_key(rule_id: str, at: datetime, group: str = "") -> str:
    """32 hexadecimal digits that tell the message of this bar from all others."""
    return hashlib.sha256(f"{rule_id}\n{to_us(at)}\n{group}".encode()).hexdigest()[:32]


def _late_key(rule_id: str, at: datetime, now: datetime, group: str) -> str:
    return notice_key(rule_id, at, f"late {to_us(now)} {group}")


def _old_key(rule_id: str, now: datetime, group: str) -> str:
    return notice_key(rule_id, now, f"old {group}")


def possible_keys(rule_id: str, symbol: str, at: datetime, recorded_at: datetime) -> set[str]:
    """The keys of all messages that an event can have been told in."""
    found = set[str]()
    for group in ("", symbol):
        found |= {notice_key(rule_id, at, group), _late_key(rule_id, at, recorded_at, group)}
        found.add(_old_key(rule_id, recorded_at, group))
    return found
