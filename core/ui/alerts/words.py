"""What alerts are called on the screen: severities by shape and word, phases, values, reasons."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.alerts.definition import SEVERITIES
from core.alerts.durations import format_duration
from core.alerts.notices import ENDED, WORDS
from core.store.alerts.watching import Standing
from core.ui.formats import DASH, MINUS, Clock, duration, number

# A diamond that is the fuller the more it matters; the worst first.
SIGNS: Mapping[str, str] = {"critical": "◆", "warning": "◈", "info": "◇"}
WORST_FIRST: tuple[str, ...] = tuple(reversed(SEVERITIES))
KINDS: Mapping[str, str] = {
    "fired": "fired",
    "ended": "ended",
    "repeat": "still fires",
    "held": "not fired",
    "late": "still fires, told late",
}
_WAITS: Mapping[str, str] = {
    "cooldown": "waits for its cooldown",
    "active_hours": "waits for its active hours",
    "rearm": "waits to be armed again",
}
_ADDRESS, _JOINER = re.compile(r"https?:|www\.|@", re.IGNORECASE), "\u2060"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^])")


def plain(text: object) -> str:
    r"""A text of somebody's as Markdown that shows it letter by letter.

    >>> plain("*Hot* <b>"), plain("https://a").replace("\u2060", "|")
    ('\\*Hot\\* \\<b\\>', 'https\\:|//a')
    """
    # An address would become a link, whatever is escaped in it.
    whole = _ADDRESS.sub(lambda found: found[0] + _JOINER, " ".join(str(text).split()))
    return _MARKDOWN.sub(r"\\\1", whole)


def value_words(part: Mapping[str, Any] | None, digits: int = 4) -> str:
    """The value of a piece of an expression, with so many significant digits where it is small.

    >>> value_words({"value": 71.2345}), value_words({"value": 71.2345}, 6), value_words(None)
    ('71.23', '71.2345', '–')
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
    size = abs(value)
    if size >= 1000 and size < 1e15:
        return number(value, 0 if size >= 1e6 or value == int(value) else 1)
    if 1e-9 < size < 1e-4:
        text = f"{value:.{digits - 1 - math.floor(math.log10(size))}f}".rstrip("0")
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", MINUS)


def telling(parts: Iterable[Mapping[str, Any]] | None) -> list[Mapping[str, Any]]:
    """The pieces that say why: values that are compared, without what only went into them.

    >>> parts = [("a > b(a)", "truth"), ("a", "number"), ("b(a)", "number"), ("a", "number")]
    >>> [part["text"] for part in telling([{"text": text, "kind": kind} for text, kind in parts])]
    ['a', 'b(a)']
    """
    found: dict[str, Mapping[str, Any]] = {}
    inside = ""
    for part in parts or ():
        text = str(part["text"])
        if part["kind"] == "truth":
            continue
        if text in inside:
            # It is a piece of the call before it, as often as it stands there.
            inside = inside.replace(text, "", 1)
            continue
        inside = text if "(" in text else ""
        found.setdefault(text, part)
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
    return f"{word}: {ENDED.get(reason, reason)}" if kind == "ended" else word
