"""How judging alert rules and sending messages goes, for an operator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

from core.store.alerts.watching import RuleHealth, Watch, judging_lag
from core.store.sent import Counted
from core.ui.alerts.judging import late_words, troubles
from core.ui.formats import DASH, Clock, count, duration, number
from core.ui.system_html import Shape, ago, listed, pairs, section, state, table
from core.ui.system_verdict import Problem

# What waits for longer is more than a receiver that is busy for a moment.
WAITED_LONG = timedelta(minutes=15)
_SHOWN = 10


def alert_problems(
    watch: Watch, health: Sequence[RuleHealth], counted: Sequence[Counted], now: datetime
) -> list[Problem]:
    """What does not work of alerts."""
    found = []
    if late := late_words(watch, now):
        found.append(
            Problem(
                1, f"{late[0].upper()}{late[1:]}: nothing fires meanwhile.", "A worker judges them."
            )
        )
    for one, said in troubles(list(health)):
        if one.health == "error":
            do = "Change the rule, or disable it until it can be judged."
            found.append(Problem(3, f"The rule {one.rule} cannot be judged. {said}", do))
    for each in counted:
        if each.oldest and each.enabled and now - each.oldest > WAITED_LONG:
            since = f"Messages to {each.channel} have waited for {duration(now - each.oldest)}."
            found.append(
                Problem(4, since, each.last_error or "They are tried again by themselves.")
            )
        elif each.dead:
            said = f"{count(each.dead, 'message')} to {each.channel} given up."
            found.append(Problem(6, said, "Alerts, Deliveries: see why, and send them again."))
    return found


def alerts_part(
    watch: Watch,
    health: Sequence[RuleHealth],
    counted: Sequence[Counted],
    now: datetime,
    clock: Clock,
) -> str:
    """Rules as they were judged last, and the outbox by channel."""
    note = "Rules are judged at the close of every bar; what is to be told waits in the outbox."
    if not health and not counted:
        return section("Alerts", note, '<p class="note">There are no rules and no channels.</p>')
    lag = judging_lag(health)
    waiting = [one for one in counted if one.waiting]
    figures = pairs(
        [
            ("Rules in use", f"{number(watch.rules)} of {number(len(health))}"),
            ("Last judged", ago(watch.judged_at, now, clock)),
            (
                "Close to judged, slowest rule",
                f"{number(lag.total_seconds(), 1)}\u00a0s" if lag else DASH,
            ),
            ("Cannot be judged", number(watch.failing)),
            ("See nothing", number(sum(one.health == "no_data" and one.enabled for one in health))),
            ("Messages waiting", number(sum(one.waiting for one in waiting))),
            (
                "Oldest of them",
                ago(min((o.oldest for o in waiting if o.oldest), default=None), now, clock),
            ),
            ("Sent, 24 h", number(sum(one.sent for one in counted))),
            ("Given up", number(sum(one.dead for one in counted))),
        ]
    )
    return section("Alerts", note, figures, _rules(health), _channels(counted, now, clock))


def _rules(health: Sequence[RuleHealth]) -> str:
    lines = [f"<b>{escape(one.rule)}</b> {escape(said)}" for one, said in troubles(list(health))]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return f"<br>{listed([*lines[:_SHOWN], *more], 'marks')}" if lines else ""


def _channels(counted: Sequence[Counted], now: datetime, clock: Clock) -> str:
    columns = (
        ("Channel", "shared, or whose own", False),
        ("State", "", False),
        ("Waiting", "messages that wait to be sent", True),
        ("Oldest", "when the oldest that waits was made", True),
        ("Sent 24 h", "messages that arrived in the last 24 h", True),
        ("Last sent", "", True),
        ("Given up", "messages that can be sent again", True),
        ("Newest reason", "why the newest that did not arrive did not", False),
    )
    rows = [_channel(one, now, clock) for one in counted]
    return f"<br>{table(columns, rows, 'Channels')}" if rows else ""


def _channel(one: Counted, now: datetime, clock: Clock) -> list[str]:
    owner = f"<br><small>of {escape(one.owner)}</small>" if one.owner else ""
    return [
        f"{escape(one.channel)}{owner}",
        state(*_state(one, now)),
        number(one.waiting),
        ago(one.oldest, now, clock),
        number(one.sent),
        ago(one.last_sent_at, now, clock),
        number(one.dead),
        f'<span class="long">{escape(one.last_error or DASH)}</span>',
    ]


def _state(one: Counted, now: datetime) -> tuple[Shape, str]:
    if not one.enabled:
        return "none", "switched off"
    if one.oldest is not None and now - one.oldest > WAITED_LONG:
        return "bad", "waits long"
    if one.last_error and one.waiting:
        return "half", "tried again"
    return "good", "works" if one.sent else "ready"
