"""Whether rules are judged at all: a calm that is none must not look like one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from core.jobs.round import newest_bar
from core.store.alerts.watching import RuleHealth, Watch
from core.ui.formats import count, duration

# A round with all that it waits for takes less.
LATE_AFTER = timedelta(minutes=5)


def late_words(watch: Watch, now: datetime) -> str:
    """What is to be said where rules were not judged at the newest bar; empty where they were.

    >>> from datetime import UTC
    >>> noon = datetime(2025, 6, 2, 12, tzinfo=UTC)
    >>> watch = Watch(2, {}, 0, noon, noon + timedelta(seconds=3), noon, 0)
    >>> late_words(watch, noon + timedelta(hours=3, minutes=10)).replace("\\u00a0", " ")
    'rules were last judged 3 h ago'
    >>> late_words(watch, noon + timedelta(hours=1, minutes=2))
    ''
    """
    if watch.rules == 0 or watch.since is None:
        return ""
    bar = newest_bar(now - LATE_AFTER)
    if watch.judged_bar is None or watch.judged_at is None:
        return "rules have not been judged yet" if watch.since < bar else ""
    if watch.judged_bar >= bar or watch.since >= bar:
        return ""
    return f"rules were last judged {duration(now - watch.judged_at)} ago"


def troubles(health: Sequence[RuleHealth]) -> list[tuple[RuleHealth, str]]:
    """Rules in use that could not be judged, or see nothing, each with what is wrong."""
    found = []
    for one in health:
        if not one.enabled or one.judged_at is None:
            continue
        if one.health == "error":
            found.append((one, one.message or "It could not be evaluated."))
        elif one.health == "no_data":
            markets = count(one.symbols, "market")
            found.append((one, f"Something it asks for is not known on any of {markets}."))
    return found
