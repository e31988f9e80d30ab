"""How each source of the settings is doing, from what a worker noted last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from core.market.source_state import Standing, standing
from core.market.sources import KEYS, sources_in_use
from core.settings import Settings
from core.store.published import Suspicion
from core.ui.formats import duration
from core.ui.system_words import source_of
from core.ui.system_worker import as_time
from core.ui.venues import venue_name

# The worker that asks writes its notes every few seconds.
OLD_NOTE = timedelta(minutes=2)


@dataclass(frozen=True)
class Budget:
    """One budget as noted; ``used`` is None where the note is older than the budget's window."""

    name: str
    used: int | None
    allowed: int
    published: int
    seconds: int


@dataclass(frozen=True)
class SourceView:
    """A source as the page shows it. Where nobody noted anything yet, most of it is None or empty.

    ``left_alone`` is how long still; ``noted`` says by whom and when where that is worth saying.
    """

    name: str
    title: str
    state: Standing
    words: str = ""
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure: str = ""
    latency_seconds: float | None = None
    requests: int | None = None
    failures: int | None = None
    breaker: str | None = None
    left_alone: timedelta = timedelta(0)
    cached_seconds: float | None = None
    budgets: tuple[Budget, ...] = ()
    troubles: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    suspicions: tuple[Suspicion, ...] = ()
    noted: str = ""


def source_views(
    health: pd.DataFrame,
    suspicions: Sequence[Suspicion],
    settings: Settings,
    living: Collection[str],
    now: datetime,
) -> list[SourceView]:
    """The sources in use in their order, then those that lack a key; ``living`` are the workers."""
    used = sources_in_use(settings)
    lacking = [name for name in KEYS if name not in used]
    return [
        _view(name, health, [one for one in suspicions if _is_of(one, name)], living, now)
        for name in used
    ] + [
        SourceView(name, venue_name(name), "no key", f"no key: set {name.upper()}_API_KEY")
        for name in lacking
    ]


def unknown_sources(sources: Sequence[SourceView], exchanges: Collection[str]) -> list[str]:
    """Titles of those of which no living worker knows how they are: all that were asked once, and
    exchanges, which are always asked."""
    return [
        one.title
        for one in sources
        if one.state == "unknown" or (one.state == "not asked yet" and one.name in exchanges)
    ]


def _is_of(suspicion: Suspicion, source: str) -> bool:
    return source_of(suspicion.table, suspicion.venue) == source


def _view(
    name: str,
    health: pd.DataFrame,
    suspicions: Sequence[Suspicion],
    living: Collection[str],
    now: datetime,
) -> SourceView:
    title = venue_name(name)
    note = health.loc[name].to_dict() if name in health.index else None
    if note is None or not note["state"].get("requests"):
        return SourceView(name, title, "not asked yet", suspicions=tuple(suspicions))
    state: Mapping[str, Any] = note["state"]
    age = now - note["updated_at"]
    gone = note["worker"] not in living
    left = max(timedelta(seconds=state["left_alone_seconds"]) - age, timedelta(0))
    shown = standing(state, left, gone=gone)
    words = _words(shown, state, left)
    return SourceView(
        name,
        title,
        shown,
        words,
        last_success_at=as_time(note["last_success_at"]),
        last_failure_at=as_time(note["last_failure_at"]),
        last_failure=note["last_failure"],
        latency_seconds=state["latency_seconds"],
        requests=state["requests"],
        failures=state["failures"],
        breaker=_breaker(state["breaker"], left),
        left_alone=left,
        cached_seconds=None
        if state["cached_seconds"] is None
        else state["cached_seconds"] + age.total_seconds(),
        budgets=tuple(_budget(one, age) for one in state["budgets"]),
        troubles=state["troubles"],
        remarks=state.get("remarks") or {},
        suspicions=tuple(suspicions),
        noted=_noted(age, gone=gone),
    )


def _words(shown: Standing, state: Mapping[str, Any], left: timedelta) -> str:
    """What is to be added to a standing."""
    troubles = len(state["troubles"])
    if shown == "unknown":
        return "was failing" if troubles else "was working"
    if shown == "left alone":
        return f"for another {duration(left)}" if left else ""
    return f"{troubles} of its paths" if shown == "failing" and troubles > 1 else ""


def _breaker(phase: str, left: timedelta) -> str:
    """The phase in words; one that was open and whose time is up lets one request through.

    >>> _breaker("open", timedelta(seconds=12)).replace("\\u00a0", " "), _breaker("closed", timedelta(0))
    ('open, 12 s left', 'closed')
    """
    if phase == "open":
        return f"open, {duration(left)} left" if left else "half-open"
    return phase


def _budget(noted: Mapping[str, Any], age: timedelta) -> Budget:
    passed = age.total_seconds() > noted["seconds"] + OLD_NOTE.total_seconds()
    return Budget(
        noted["name"],
        None if passed else noted["used"],
        noted["allowed"],
        noted["published"],
        noted["seconds"],
    )


def _noted(age: timedelta, *, gone: bool) -> str:
    if gone:
        return f"noted {duration(age)} ago by a worker that is gone"
    return f"noted {duration(age)} ago" if age > OLD_NOTE else ""
