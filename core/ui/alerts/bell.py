"""The bell on every page: what fires and nobody took note of, or that nobody looks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from core.errors import StoreError
from core.market.choice import Market
from core.store.alerts.watching import Watch
from core.ui import loaders
from core.ui.alerts.judging import late_words
from core.ui.alerts.words import SIGNS, WORST_FIRST
from core.ui.formats import count, number

_STYLE = """<style>
.st-key-bell a { padding: 0 0.375rem; min-height: 2rem; white-space: nowrap; }
.st-key-bell_late a { padding: 0 0.375rem; min-height: 2rem; border: 1px solid currentColor; border-radius: 4px;
  background: repeating-linear-gradient(135deg, color-mix(in srgb, currentColor 16%, transparent) 0 2px,
  transparent 2px 6px); }
@media (max-width: 640px) { .st-key-bell a, .st-key-bell_late a { min-height: 44px; } }
</style>"""


@dataclass(frozen=True)
class Bell:
    """What the bell says, and longer on hover; ``late`` where it cannot be relied upon."""

    words: str
    hint: str
    late: bool = False
    rings: bool = False


def draw_bell(market: Market, now: datetime) -> None:
    """Draw it as a way to the Alerts page."""
    found = bell_now(market, now)
    if found is None:
        return  # The line below says why nothing is known.
    st.html(_STYLE)
    with st.container(key="bell_late" if found.late else "bell", width="content"):
        icon = "notifications_active" if found.rings else "notifications"
        st.page_link(
            "alerts.py",
            label=found.words,
            icon=f":material/{'notification_important' if found.late else icon}:",
            help=found.hint,
        )


def bell_now(market: Market, now: datetime) -> Bell | None:
    """What the bell says; None where the database does not."""
    try:
        return bell_of(loaders.load_watch(), now, live=market.kind == "live")
    except StoreError:
        return None


def bell_of(watch: Watch, now: datetime, *, live: bool) -> Bell:
    """What there is to say.

    >>> from datetime import UTC
    >>> noon = datetime(2025, 6, 2, 12, tzinfo=UTC)
    >>> bell_of(Watch(3, {"warning": 2, "critical": 1}, 4, noon, noon, noon, 0), noon, live=True).words
    '◆ 1 critical ◈ 2 warning'
    >>> bell_of(Watch(0, {}, 0, None, None, None, 0), noon, live=True).words
    'No rules'
    """
    if not live:
        return Bell("Alerts", "Rules do not fire on a market that has ended.")
    if watch.rules == 0:
        return Bell("No rules", "No alert rule is in use.")
    counted = [
        f"{SIGNS[severity]} {number(watch.open_by_severity[severity])} {severity}"
        for severity in WORST_FIRST
        if watch.open_by_severity.get(severity)
    ]
    late = late_words(watch, now)
    failing = f"{count(watch.failing, 'rule')} cannot be judged" if watch.failing else ""
    noted = f"{count(watch.acknowledged, 'alert')} acknowledged." if watch.acknowledged else ""
    hint = f"{count(watch.open, 'alert')} open. {noted}".strip()
    quiet = f"{number(watch.acknowledged)} acknowledged" if watch.acknowledged else "No alerts"
    said = [" ".join(counted), late, failing]
    return Bell(
        ", ".join(one for one in said if one) or quiet,
        hint,
        late=bool(late or failing),
        rings=bool(counted),
    )
