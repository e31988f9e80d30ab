"""What alerts are called on the screen: severities by shape and word, phases, values, reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.alerts.definition import SEVERITIES
from core.alerts.durations import format_duration
from core.alerts.notices import WORDS
from core.store.alerts.watching import Standing
from core.ui.formats import DASH, Clock, duration, number

# A diamond that is the fuller the more it matters; the worst first.
SIGNS: Mapping[str, str] = {"critical": "◆", "warning": "◈", "info": "◇"}
WORST_FIRST: tuple[str, ...] = tuple(reversed(SEVERITIES))
KINDS: Mapping[str, str] = {
    "fired": "fired",
    "ended": "ended",
    "repeat": "still fires",
    "held": "not fired",
}
ENDINGS: Mapping[str, str] = {
    "resolved": "the condition was over",
    "expired": "the rule expired",
    "disabled": "the rule was disabled",
    "rule_changed": "the rule's condition was changed",
    "removed": "the market or the rule is gone",
}
_WAITS: Mapping[str, str] = {
    "cooldown": "waits for its cooldown",
    "active_hours": "waits for its active hours",
    "rearm": "waits to be armed again",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^])")


def plain(text: object) -> str:
    r"""A text of somebody's as Markdown that shows it letter by letter.

    >>> plain("*Hot* <b>")
    '\\*Hot\\* \\<b\\>'
    """
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def severity_words(severity: str) -> str:
    """A severity by shape and word.

    >>> severity_words("critical")
    '◆ critical'
    """
    return f"{SIGNS.get(severity, '◇')} {severity}"


def value_words(part: Mapping[str, Any] | None) -> str:
    """The value of a piece of an expression.

    >>> value_words({"value": 71.2345, "unit": "0..100"}), value_words({"value": None})
    ('71.2345', '–')
    >>> value_words({"value": True}), value_words({"value": 0.00042}), value_words({"value": 2.5e9})
    ('true', '0.00042', '2,500,000,000')
    """
    value = None if part is None else part.get("value")
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float):
        return str(value)
    if value == 0 or abs(value) >= 1e15 or abs(value) < 1e-9:
        return f"{value:.6g}"
    digits = 0 if abs(value) >= 1e6 else 2 if abs(value) >= 1000 else None
    return number(value, digits) if digits is not None else _six(value)


def _six(value: float) -> str:
    text = f"{value:.6g}"
    if "e" in text:
        text = f"{value:.12f}".rstrip("0")
    return text.replace("-", "\u2212")


def telling(parts: Iterable[Mapping[str, Any]] | None) -> list[Mapping[str, Any]]:
    """The pieces that say why: those with a value of their own, each once.

    >>> [part["text"] for part in telling([
    ...     {"text": "score > 60", "kind": "truth"}, {"text": "score", "kind": "number"},
    ...     {"text": "score", "kind": "number"}])]
    ['score']
    """
    found = {part["text"]: part for part in parts or () if part["kind"] != "truth"}
    return list(found.values()) or list(parts or ())


def phase_words(one: Standing, judged_bar: datetime | None) -> str:
    """What the machine says of a symbol, with how long it has held where it waits."""
    if one.phase == "pending":
        held = _held(one, judged_bar)
        wanted = one.definition.for_
        if one.waits:
            return f"pending, {_WAITS[one.waits]}"
        return f"pending, held {held}" + (f" of {format_duration(wanted)}" if wanted else "")
    if one.phase == "recovering":
        keep = one.definition.keep_firing
        return "recovering" + (f", ends when over for {format_duration(keep)}" if keep else "")
    return one.phase


def _held(one: Standing, judged_bar: datetime | None) -> str:
    if one.began_at is None or judged_bar is None:
        return DASH
    return duration(judged_bar - one.began_at - timedelta(seconds=one.run_lost_s))


def health_words(health: str, since: datetime | None, clock: Clock) -> str:
    """What is wrong beside the phase; nothing where all is well."""
    if health == "no_data":
        return f"no data since {clock.stamp(since)}" if since else "no data"
    return "could not be evaluated" if health == "error" else ""


def told_words(told: str) -> str:
    """Why a message was or was not made of an event."""
    return WORDS.get(told, told)


def kind_words(kind: str, reason: str) -> str:
    """What happened, and how a firing ended.

    >>> kind_words("ended", "resolved"), kind_words("fired", "fired")
    ('ended: the condition was over', 'fired')
    """
    word = KINDS.get(kind, kind)
    return f"{word}: {ENDINGS.get(reason, reason)}" if kind == "ended" else word
