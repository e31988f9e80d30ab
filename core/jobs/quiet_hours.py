"""What was held back for somebody's quiet hours: asked again whether it is wanted once they are over.

Meanwhile its owner may have gone, subscribed otherwise, or somebody may have deleted or silenced the rule.
Nobody can claim a held message, so it is decided here, in one transaction for all whose time has come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from core.alerts.silences import Silence, Subject, silenced_by
from core.alerts.subscriptions import Subscription, quiet_until, route
from core.store import outbox
from core.store.alerts.rules import StoredRule, list_rules
from core.store.alerts.silences import load_silences
from core.store.channels import load_subscription
from core.store.outbox import Claimed, HeldBack

People = Callable[[], Collection[str]]


@dataclass(frozen=True)
class _Now:
    """What counts when a message is asked again; ``people`` None where all may sign in."""

    at: datetime
    people: Collection[str] | None
    rules: Mapping[int, StoredRule]
    silences: Collection[Silence]


@dataclass(frozen=True)
class _Held:
    """As routing looks at it."""

    rule: str
    severity: str
    firing: Collection[object]


def ask_again(engine: Engine, now: datetime, people: People | None = None) -> int:
    """Let go, drop or hold on to what was held until now; how many messages that were."""
    with engine.connect() as conn:
        if not outbox.is_any_held(conn, now):
            return 0
    allowed = None if people is None else people()
    with engine.begin() as conn:
        found = outbox.load_held(conn, now)
        rules = {rule.id: rule for rule in list_rules(conn)}
        means = _Now(now, allowed, rules, load_silences(conn, now))
        wanted, later, unwanted = [], defaultdict(list), defaultdict(list)
        for one in found:
            reason, until = _why_not(one, means)
            if reason:
                unwanted[reason].append(one.id)
            elif until is not None:
                later[until].append(one.id)
            else:
                wanted.append(one.id)
        outbox.let_go(conn, wanted)
        for until, ids in later.items():
            outbox.hold_on(conn, ids, until)
        for reason, ids in unwanted.items():
            outbox.drop_held(conn, ids, f"Not sent when quiet hours ended: {reason}.")
    return len(found)


def _why_not(one: HeldBack, now: _Now) -> tuple[str, datetime | None]:
    """Why it is not wanted any more, or else until when it is held again."""
    rule = None if one.rule_id is None else now.rules.get(one.rule_id)
    if one.rule_id is not None:
        reason = _of_rule(one, rule, now)
        if reason:
            return reason, None
    if one.owner is None:
        return "", None
    if now.people is not None and one.owner not in now.people:
        return f"{one.owner} may not sign in any more", None
    if one.subscription is None:
        return "nothing is subscribed to on this channel any more", None
    content = one.body.get("content") or {}
    name = str(content.get("rule", "")) if rule is None else rule.name
    told = _Held(name, one.severity, content.get("fired") or ())
    routing = route(told, Subscription.model_validate(one.subscription), now.at)
    return (routing.reason, None) if routing.when == "no" else ("", routing.until)


def _of_rule(one: HeldBack, rule: StoredRule | None, now: _Now) -> str:
    if rule is None:
        return "the rule was deleted"
    if not rule.definition.enabled:
        return "the rule was disabled"
    if rule.definition.muted:
        return "the rule is muted"
    content: Mapping[str, Any] = one.body.get("content") or {}
    events = [*(content.get("fired") or ()), *(content.get("resolved") or ())]
    found = [
        silenced_by(now.silences, Subject(rule.name, str(event["symbol"]), one.severity), now.at)
        for event in events
    ]
    silences = [silence for silence in found if silence is not None]
    if not silences or len(silences) < len(events):
        return ""  # What is said of the others is in the same message.
    last = max(silences, key=lambda silence: silence.ends_at)
    return f"silenced until {last.ends_at:%Y-%m-%d %H:%M} UTC by {last.author}: {last.reason}"


def quiet_for(conn: Connection, claimed: Claimed, at: datetime) -> datetime | None:
    """Until when a message that is to be tried again at a time waits for the end of quiet hours."""
    body = load_subscription(conn, claimed.channel_id)
    if body is None:
        return None
    subscription = Subscription.model_validate(body)
    if claimed.severity == "critical" and subscription.critical_breaks_quiet:
        return None
    return quiet_until(subscription, at)
