"""Texts of messages: their templates, with a fixed set of variables, defaults and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from core.alerts.delivery.sandbox import render
from core.alerts.texts import writable
from core.errors import DeliveryError

LONGEST_TEMPLATE, LONGEST_TITLE, LONGEST_TEXT = 4_000, 200, 4_000
_CUT = "\n... the rest is not shown here."

# What a template can use, and what it is.
VARIABLES: Mapping[str, str] = {
    "rule": "the rule's name",
    "description": "what its author wrote about it; empty where nothing",
    "severity": "info, warning or critical",
    "kind": "fired, late (it still fires, and nobody was told before), repeat or resolved",
    "at": "the close of the bar, such as 2025-06-02 12:00 UTC",
    "fired": "list of what fires: symbol, direction, since, at, values (a number for each part), "
    "note (such as still firing; empty of what is new)",
    "resolved": "list of what has ended: symbol, direction, since, at, values, reason (resolved, "
    "expired, rule_changed or removed), note (why, empty where the condition was over)",
    "link": "address of the alert in the dashboard; empty where none is known",
}
EXAMPLE: Mapping[str, Any] = {
    "rule": "Crowded longs",
    "description": "Funding is high while the crowd is long.",
    "severity": "warning",
    "kind": "fired",
    "at": "2025-06-02 12:00 UTC",
    "fired": [
        {
            "symbol": "BTCUSDT",
            "direction": "SHORT",
            "since": "2025-06-02 11:00 UTC",
            "at": "2025-06-02 12:00 UTC",
            "note": "",
            "values": {"score": 36.2, "funding_rate_8h": 0.00042},
        },
        {
            "symbol": "ETHUSDT",
            "direction": "SHORT",
            "since": "2025-06-02 12:00 UTC",
            "at": "2025-06-02 12:00 UTC",
            "note": "",
            "values": {"score": 39.8, "funding_rate_8h": 0.00038},
        },
    ],
    "resolved": [
        {
            "symbol": "SOLUSDT",
            "direction": "NEUTRAL",
            "since": "2025-06-02 08:00 UTC",
            "at": "2025-06-02 12:00 UTC",
            "note": "",
            "values": {"score": 51.0, "funding_rate_8h": None},
            "reason": "resolved",
        }
    ],
    "link": "https://cryptosatx.example/alerts?rule=7",
}
# What a title begins with that tells of nothing new.
AGAIN = "Still firing: "
_NOT_NEW = ("late", "repeat")
DEFAULT_TITLE = (
    "{% if kind == 'late' or kind == 'repeat' %}Still firing: {% endif %}"
    "{{ severity | upper }}: {{ rule }}"
    "{% if fired %}: {{ fired | map(attribute='symbol') | join(', ') | short(80) }}"
    "{% elif resolved %} has ended for "
    "{{ resolved | map(attribute='symbol') | join(', ') | short(80) }}{% endif %}"
)
DEFAULT_TEXT = """\
{% if description %}{{ description }}

{% endif -%}
{% for one in fired -%}
{{ one.symbol }}{% if one.direction %} {{ one.direction }}{% endif %} since {{ one.since }}
{%- if one.note %} ({{ one.note }}){% endif %}
{%- for name, value in one.values | items %}, {{ name }} {{ value | number }}{% endfor %}
{% endfor -%}
{% for one in resolved -%}
{{ one.symbol }} has ended at {{ one.at }} (since {{ one.since }})
{%- if one.note %}: {{ one.note }}{% endif %}
{% endfor -%}
{{ at }}{% if link %}
{{ link }}{% endif %}
"""


def check_template(template: str, *, title: bool = False) -> None:
    """`DeliveryError` with line and reason where a template cannot be used."""
    for example in _examples():
        preview(template, example, title=title)


def preview(
    template: str,
    example: Mapping[str, Any] = EXAMPLE,
    *,
    title: bool = False,
    cut: bool = False,
) -> str:
    """What a template makes of an example; `DeliveryError` where it cannot be used.

    A text that is too long is refused, or with ``cut`` ends early and says so.
    """
    if len(template) > LONGEST_TEMPLATE:
        raise DeliveryError(f"The template is longer than {LONGEST_TEMPLATE:,} letters.")
    text = writable(render(template, example, VARIABLES)).strip()
    if title:
        text = re.sub(r"\s+", " ", text)
    if not text:
        raise DeliveryError("The template makes no text.")
    most = LONGEST_TITLE if title else LONGEST_TEXT
    if len(text) <= most:
        return text
    if not cut:
        raise DeliveryError(f"The text is longer than {most:,} letters.")
    end = "..." if title else _CUT
    return text[: most - len(end)] + end


def compose(
    title: str | None, text: str | None, values: Mapping[str, Any]
) -> tuple[str, str, str | None]:
    """Title and text of a message, and why a template was not used.

    A message is never lost for its template: where one fails, the default stands in for it. A title
    that would be the same of a firing that is new says that this one is not.
    """
    complaints = []
    made = []
    for template, default, is_title in ((title, DEFAULT_TITLE, True), (text, DEFAULT_TEXT, False)):
        try:
            made.append(_composed(template or default, values, is_title=is_title))
        except DeliveryError as error:
            complaints.append(str(error))
            made.append(_plain(values, is_title=is_title))
    return made[0], made[1], " ".join(complaints) or None


def _composed(template: str, values: Mapping[str, Any], *, is_title: bool) -> str:
    text = preview(template, values, title=is_title, cut=True)
    if not is_title or values.get("kind") not in _NOT_NEW:
        return text
    as_new = preview(template, {**values, "kind": "fired"}, title=True, cut=True)
    return f"{AGAIN}{text}"[:LONGEST_TITLE] if text == as_new else text


@lru_cache(maxsize=1_000)
def moment(at: datetime) -> str:
    """A time as templates get it.

    >>> from datetime import UTC
    >>> moment(datetime(2025, 6, 2, 12, tzinfo=UTC))
    '2025-06-02 12:00 UTC'
    """
    return at.strftime("%Y-%m-%d %H:%M UTC")


def _plain(values: Mapping[str, Any], *, is_title: bool) -> str:
    """The least that has to be said, whatever is wrong with a template."""
    default = DEFAULT_TITLE if is_title else DEFAULT_TEXT
    try:
        return preview(
            default,
            {**EXAMPLE, "link": "", "description": "", **values},
            title=is_title,
            cut=True,
        )
    except DeliveryError:
        said = f"{values.get('rule', '')} {values.get('kind', '')}"
        symbols = [str(one["symbol"]) for one in values.get("fired", [])]
        return said if is_title else f"{said}: {', '.join(symbols)}"[:LONGEST_TEXT]


def _examples() -> Iterator[Mapping[str, Any]]:
    """Everything there, and each thing missing that can be."""
    fired, resolved = EXAMPLE["fired"], EXAMPLE["resolved"]
    yield EXAMPLE
    yield {**EXAMPLE, "fired": fired[:1], "resolved": [], "link": "", "description": ""}
    yield {**EXAMPLE, "kind": "resolved", "fired": [], "resolved": resolved}
    expired = {**resolved[0], "note": "the rule expired", "reason": "expired"}
    yield {**EXAMPLE, "kind": "resolved", "fired": [], "resolved": [expired]}
    nothing: dict[str, Any] = {**fired[0], "direction": None, "since": None, "values": {}}
    again = {**nothing, "note": "still firing"}
    yield {**EXAMPLE, "kind": "repeat", "fired": [again], "resolved": []}
    yield {**EXAMPLE, "kind": "late", "fired": [again], "resolved": []}
