"""From what happened to the messages that channels are to be sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection

from core.alerts.definition import RuleDefinition
from core.alerts.delivery.messages import compose, moment
from core.alerts.engine import Event
from core.alerts.notices import CaughtUp, Decision, Notice, notices
from core.alerts.subscriptions import Subscription, route
from core.store.channels import list_channels, load_subscriptions
from core.store.outbox import Message

Parts = Mapping[tuple[str, datetime], list[dict[str, Any]]]


@dataclass(frozen=True)
class Destinations:
    """Channels that can be sent to: shared ones by id, and people's own with what they asked for."""

    shared: frozenset[int]
    subscribed: Mapping[int, Subscription]

    @classmethod
    def load(
        cls, conn: Connection, people: Callable[[], Collection[str]] | None = None
    ) -> Destinations:
        """As they are now; own channels only of these people, by default of all."""
        shared = frozenset(one.id for one in list_channels(conn) if one.enabled)
        own = load_subscriptions(conn)
        if own and people is not None:
            allowed = people()
            own = [(one, body) for one, body in own if one.owner in allowed]
        return cls(shared, {one.id: Subscription.model_validate(body) for one, body in own})

    def of(
        self, notice: Notice, channels: Sequence[int], now: datetime
    ) -> Iterator[tuple[int, datetime | None]]:
        """Where a notice goes, and until when it is held back."""
        yield from ((channel, None) for channel in channels if channel in self.shared)
        for channel, subscription in self.subscribed.items():
            routing = route(notice, subscription, now)
            if routing.when != "no":
                yield channel, routing.until


def messages_of(
    rule_id: int,
    definition: RuleDefinition,
    decisions: Sequence[Decision],
    parts: Parts,
    destinations: Destinations,
    bars: CaughtUp,
    link: str,
) -> list[Message]:
    """The messages of one rule; the key of each is the same whenever its bar is told again."""
    found = []
    for notice in notices(str(rule_id), definition, decisions, caught_up=bars):
        goes_to = list(destinations.of(notice, definition.channels, bars.judged_at))
        if not goes_to:
            continue
        said = _values(notice, rule_id, definition, parts, link)
        title, text, complaint = compose(definition.title, definition.body, said)
        content = said if complaint is None else {**said, "template_fault": complaint}
        found += [
            Message(
                f"{notice.key}-{channel}",
                channel,
                definition.severity,
                title,
                text,
                content,
                rule_id,
                until,
            )
            for channel, until in goes_to
        ]
    return found


def _values(
    notice: Notice, rule_id: int, definition: RuleDefinition, parts: Parts, link: str
) -> dict[str, Any]:
    query = urlencode({"rule": rule_id, "at": f"{notice.at:%Y-%m-%dT%H:%MZ}"})
    return {
        "rule": definition.name,
        "description": definition.description,
        "severity": definition.severity,
        "kind": notice.kind,
        "at": moment(notice.at),
        "fired": [_said(event, parts, notice) for event in notice.firing],
        "resolved": [
            {**_said(event, parts, notice), "reason": event.reason} for event in notice.ended
        ],
        "link": f"{link.rstrip('/')}/alerts?{query}" if link else "",
    }


def _said(event: Event, parts: Parts, notice: Notice) -> dict[str, Any]:
    shown = parts.get((event.symbol, event.at), [])
    values = {part["text"]: part["value"] for part in shown if part["kind"] != "truth"}
    return {
        "symbol": event.symbol,
        "direction": values.get("direction"),
        "since": None if event.began_at is None else moment(event.began_at),
        "at": moment(event.at),
        # One that ended may be told of the same symbol beside one that fires.
        "note": notice.notes.get((event.symbol, event.kind), ""),
        "values": values,
    }
