"""What comes to a person's own channel: which rules and severities, and when not."""

from __future__ import annotations

from datetime import time
from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from core.alerts.durations import format_clock
from core.alerts.hours import WEEKDAYS
from core.alerts.subscriptions import Subscription
from core.errors import CryptoSatXError
from core.ui import loaders
from core.ui.alerts import channel_actions
from core.ui.alerts.personal import Held
from core.ui.alerts.words import WORST_FIRST, plain

_NIGHT = (time(22), time(7))


def draw_subscription(held: Held) -> None:
    """The form of one channel."""
    now, key = held.subscription or Subscription(enabled=False), held.channel.id
    zone = st.context.timezone or "UTC"
    with st.form(f"subscription_{key}", border=False):
        enabled = st.toggle("Alerts come to this channel", value=now.enabled)
        names = sorted({*loaders.load_rule_names().values(), *now.rules})
        rules = st.multiselect("Rules", names, default=list(now.rules), placeholder="All rules")
        severities = st.multiselect(
            "Severities", WORST_FIRST, default=list(now.severities), placeholder="All severities"
        )
        ends = st.toggle("Also when something ends", value=now.with_ends)
        quiet = now.quiet_hours
        has_quiet = st.toggle(
            "Quiet hours: what comes then waits until they end", value=quiet is not None
        )
        left, right = st.columns(2)
        start = left.time_input("From", value=_NIGHT[0] if quiet is None else _time(quiet.start))
        end = right.time_input("To", value=_NIGHT[1] if quiet is None else _time(quiet.end))
        days = st.multiselect(
            "On", WEEKDAYS, default=list(quiet.weekdays) if quiet else [], placeholder="Every day",
            format_func=str.capitalize,
        )  # fmt: skip
        zones = sorted(available_timezones() | {now.time_zone})
        kept = now.time_zone if held.subscription and quiet else zone
        place = st.selectbox("Time zone", zones, index=zones.index(kept) if kept in zones else 0)
        breaks = st.toggle("Critical comes at once all the same", value=now.critical_breaks_quiet)
        if not st.form_submit_button("Save"):
            return
    window = None
    if has_quiet and start is not None and end is not None:
        window = {"weekdays": days, "start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
    _save(
        key,
        {
            "enabled": enabled,
            "rules": rules,
            "severities": severities,
            "with_ends": ends,
            "quiet_hours": window,
            "time_zone": place,
            "critical_breaks_quiet": breaks,
        },
    )


def subscription_words(one: Subscription | None) -> str:
    """What comes, in a sentence.

    >>> subscription_words(Subscription(rules=("Hot",), severities=("critical",)))
    'Critical of Hot comes, with its end.'
    >>> subscription_words(None)
    'Nothing comes to it: choose what.'
    """
    if one is None or not one.enabled:
        return "Nothing comes to it: choose what."
    what = " and ".join(one.severities) if one.severities else "everything"
    whose = f" of {', '.join(one.rules)}" if one.rules else ""
    said = f"{what[0].upper()}{what[1:]}{whose} comes, {'with' if one.with_ends else 'without'} its end"
    if one.quiet_hours is None:
        return f"{said}."
    days = ", ".join(one.quiet_hours.weekdays) or "every day"
    hours = f"{format_clock(one.quiet_hours.start)} to {format_clock(one.quiet_hours.end)}"
    but = ", but for what is critical" if one.critical_breaks_quiet else ""
    return f"{said}; it waits from {hours} ({one.time_zone}, {days}){but}."


def _time(minutes: int) -> time:
    return time(minutes // 60 % 24, minutes % 60)


def _save(channel_id: int, body: dict[str, Any]) -> None:
    try:
        channel_actions.subscribe(channel_id, body)
    except CryptoSatXError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.rerun()
