"""How a rule is spoken of: its state, how it fares, what differs between two versions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from core.alerts.definition import RuleDefinition, to_body
from core.store.alerts.states import Progress
from core.ui.formats import DASH, count

LABELS: Mapping[str, str] = {
    "name": "Name",
    "expression": "Expression",
    "severity": "Severity",
    "description": "Description",
    "for": "Hold for",
    "keep_firing": "Keep firing for",
    "cooldown": "Cooldown",
    "rearm": "Re-arm after",
    "repeat": "Repeat every",
    "expires_at": "Expires",
    "active_hours": "Active hours",
    "group": "Grouping",
    "symbols": "Markets",
    "profile_name": "Profile",
    "channels": "Channels",
    "title": "Title of the message",
    "body": "Text of the message",
    "muted": "Muted",
    "enabled": "Enabled",
}
SEVERITY_SIGNS: Mapping[str, str] = {
    "info": ":material/info: info",
    "warning": ":material/warning: warning",
    "critical": ":material/priority_high: critical",
}
GROUPS: Mapping[str, str] = {"rule": "One message per bar", "symbol": "One message per market"}
_DAYS = {
    "mon": "Mon", "tue": "Tue", "wed": "Wed", "thu": "Thu", "fri": "Fri", "sat": "Sat", "sun": "Sun",
}  # fmt: skip
_LONG = ("expression", "description", "title", "body")
_SPECIAL = re.compile(r"[\\`*_{}\[\]()#+!|<>~$:]")
_PIECES = re.compile(r"\s+|[A-Za-z_0-9.]+|\"[^\"]*\"|.", re.DOTALL)


def plain(text: str) -> str:
    """A text that somebody wrote, so that Markdown shows it as it is.

    >>> plain("*Hot* :red[x] $1")
    '\\\\*Hot\\\\* \\\\:red\\\\[x\\\\] \\\\$1'
    """
    return _SPECIAL.sub(r"\\\g<0>", text)


def state_words(definition: RuleDefinition) -> str:
    """Whether it is judged, and told."""
    if not definition.enabled:
        return ":material/pause_circle: disabled"
    if definition.muted:
        return ":material/notifications_off: muted"
    return ":material/play_circle: enabled"


def health_words(progress: Progress | None, definition: RuleDefinition) -> str:
    """How judging it went at the newest bar, with the sentence of an error."""
    if not definition.enabled:
        return DASH
    if progress is None:
        return "not judged yet"
    if progress.health == "error":
        return f":material/error: error: {plain(progress.message or 'see the log of the server')}"
    if not progress.symbols:
        return ":material/help: no market to judge"
    if progress.health == "no_data":
        return f":material/help: no data of any of {count(progress.symbols, 'market')}"
    if progress.unknown:
        return (
            f":material/help: no data of {progress.unknown} of {count(progress.symbols, 'market')}"
        )
    return ":material/check: ok"


def value_words(field: str, value: Any, channels: Mapping[int, str] | None = None) -> str:
    """A field's value for a reader.

    >>> value_words("for", None), value_words("symbols", []), value_words("muted", True)
    ('–', 'all', 'yes')
    >>> value_words("active_hours", {"weekdays": ["fri"], "start": "22:00", "end": "06:00"})
    'Fri 22:00 to 06:00 UTC'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field == "symbols":
        return ", ".join(value) if value else "all"
    if field == "channels":
        named = channels or {}
        return ", ".join(named.get(one, f"channel {one}") for one in value) or "none"
    if field == "active_hours" and isinstance(value, Mapping):
        days = " ".join(_DAYS.get(day, str(day)) for day in value["weekdays"]) or "every day"
        return f"{days} {value['start']} to {value['end']} UTC"
    if field == "group":
        return GROUPS.get(value, str(value)).lower()
    if value is None or value == "":
        return "built in" if field in ("title", "body") else DASH
    return str(value)


def difference_html(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    channels: Mapping[int, str] | None = None,
) -> str:
    """What differs between two bodies, a line per field: what went struck through, what came
    underlined; long texts word by word. Empty where nothing does."""
    rows = []
    for field, label in LABELS.items():
        old, new = before.get(field), after.get(field)
        if old == new:
            continue
        if field in _LONG and isinstance(old, str) and isinstance(new, str) and old and new:
            said = word_difference(old, new)
        else:
            said = (
                f"<del>{escape(value_words(field, old, channels))}</del> "
                f"<ins>{escape(value_words(field, new, channels))}</ins>"
            )
        rows.append(
            f"<dt>{label}</dt><dd class='{'code' if field == 'expression' else ''}'>{said}</dd>"
        )
    if not rows:
        return ""
    return f"<style>{_STYLE}</style><dl class='cx-differs'>{''.join(rows)}</dl>"


def word_difference(old: str, new: str) -> str:
    """Two texts as one of HTML, with what went and what came marked.

    >>> word_difference("score > 60", "score >= 60")
    'score &gt;<ins>=</ins> 60'
    >>> word_difference("score > 60", "score > 62")
    'score &gt; <del>60</del><ins>62</ins>'
    """
    before, after = _PIECES.findall(old), _PIECES.findall(new)
    parts = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        gone, came = (
            escape("".join(before[a:b]), quote=False),
            escape("".join(after[c:d]), quote=False),
        )
        if kind == "equal":
            parts.append(came)
            continue
        parts.append(f"<del>{gone}</del>" if gone else "")
        parts.append(f"<ins>{came}</ins>" if came else "")
    return "".join(parts)


def changed_words(fields: Sequence[str]) -> str:
    """The names of fields in a sentence.

    >>> changed_words(["for", "name"])
    'hold for and name'
    """
    names = [LABELS.get(field, field).lower() for field in fields]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def body_of(definition: RuleDefinition) -> dict[str, Any]:
    """Every field as it is shown and compared."""
    return to_body(definition)


_STYLE = (
    ".cx-differs { display: grid; grid-template-columns: max-content 1fr; gap: 0.125rem 1rem; margin: 0 !important; padding: 0 !important;"
    " font-size: 0.875rem; }"
    ".cx-differs dt { opacity: 0.75; } .cx-differs dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }"
    ".cx-differs dd.code { font-family: var(--st-code-font, monospace); }"
    ".cx-differs del { opacity: 0.7; } .cx-differs ins { font-weight: 600; text-underline-offset: 3px; }"
    "@media (max-width: 640px) { .cx-differs { grid-template-columns: 1fr; } }"
)
