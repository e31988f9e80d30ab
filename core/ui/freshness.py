"""How fresh a live market is: what is known of those who fill its database, as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from core.store.vitals import Heard, Vitals
from core.ui.formats import Clock, duration

# A worker that has just been started is given this long before it is missed.
STARTING = timedelta(seconds=30)
SILENT = timedelta(seconds=45)
# The bar after the newest is over an hour later, and takes minutes to be collected.
LATE = timedelta(hours=1, minutes=5)
DOCTOR = "`python -m core doctor` on the server says more."


@dataclass(frozen=True)
class Freshness:
    """``words`` say what is not as it should be, since when, and what can be done; else empty."""

    state: Literal["live", "starting", "stale"]
    words: str = ""


@dataclass(frozen=True)
class _Teller:
    """A time in words: the minute, with its day where that is not today."""

    clock: Clock
    now: datetime

    def __call__(self, time: datetime) -> str:
        today = self.clock.day(time) == self.clock.day(self.now)
        return self.clock.minute(time) if today else self.clock.stamp(time)


@dataclass(frozen=True)
class Circumstances:
    """What the server itself knows: since when it serves, whom it follows, whether it has a worker."""

    serving_since: datetime
    exchanges: Sequence[str]
    has_worker: bool


def freshness(vitals: Vitals, around: Circumstances, now: datetime, clock: Clock) -> Freshness:
    """The worst that can be said of a live market whose database answers."""
    tell = _Teller(clock, now)
    followed = [one for one in vitals.streams if one.venue in around.exchanges]
    silent = [one for one in followed if is_silent(one, now)]
    if not vitals.workers:
        words = _no_worker(vitals, around, tell)
    elif followed and len(silent) == len(followed):
        words = _nobody_heard(silent, tell)
    else:
        words = _old(vitals, now, tell)
    if not words:
        return Freshness("live", _some_silent(silent, len(followed), tell) if silent else "")
    if _is_starting(vitals, around, now):
        return Freshness("starting", "The worker of this server is starting.")
    return Freshness("stale", words)


def away_words(since: datetime, known_at: datetime | None, now: datetime, clock: Clock) -> str:
    """What a reader is told while the database does not answer."""
    tell = _Teller(clock, now)
    known = (
        "Nothing is known until it does"
        if known_at is None
        else f"What is shown was known at {tell(known_at)}"
    )
    return (
        f"The database has not answered since {tell(since)}. {known}; "
        "the page tries again by itself."
    )


def is_silent(stream: Heard, now: datetime) -> bool:
    """Whether a venue cannot be heard: its stream is down, or has long given no sign of life."""
    return stream.down or now - _heard(stream) > SILENT


def _is_starting(vitals: Vitals, around: Circumstances, now: datetime) -> bool:
    """Whether what is wrong may only be left from before this server was started."""
    since = around.serving_since
    tried = any(one.down and one.noted_at >= since for one in vitals.streams)
    return around.has_worker and now - since < STARTING and not tried


def _heard(stream: Heard) -> datetime:
    return stream.heard_at or stream.noted_at


def _no_worker(vitals: Vitals, around: Circumstances, tell: _Teller) -> str:
    times = [vitals.worker_seen_at, *(one.noted_at for one in vitals.streams)]
    seen_at = max((time for time in times if time is not None), default=None)
    since = "" if seen_at is None else f" since {tell(seen_at)}"
    hope = (
        "The server starts it again by itself; if this stays, its terminal says why."
        if around.has_worker
        else "Start one on the server: `python -m core worker`."
    )
    return f"No worker has collected the market{since}, so nothing new comes. {hope}"


def _nobody_heard(silent: Sequence[Heard], tell: _Teller) -> str:
    since = tell(max(map(_heard, silent)))
    names = ", ".join(one.venue for one in silent)
    many = "No exchange can be heard" if len(silent) > 1 else "The exchange cannot be heard"
    return f"{many} since {since}: {names}. New prices come when one answers; {DOCTOR}"


def _old(vitals: Vitals, now: datetime, tell: _Teller) -> str:
    if vitals.newest_bar is None:
        if vitals.failure is None:
            return ""  # The first bars are being collected.
        return f"Nothing has been collected yet. {vitals.failure} It is tried again every minute."
    late = now - vitals.newest_bar
    if late <= LATE or vitals.catching_up:
        return ""
    overdue = duration(late - timedelta(hours=1))
    why = f" Last try: {vitals.failure}" if vitals.failure else ""
    return (
        f"The newest bar is of {tell(vitals.newest_bar)}, and the next is {overdue} overdue."
        f"{why} It is tried again every minute; {DOCTOR}"
    )


def _some_silent(silent: Sequence[Heard], of: int, tell: _Teller) -> str:
    if len(silent) == 1:
        since = tell(_heard(silent[0]))
        return f"1 of {of} exchanges is silent since {since}: {silent[0].venue}."
    each = ", ".join(f"{one.venue} since {tell(_heard(one))}" for one in silent)
    return f"{len(silent)} of {of} exchanges are silent: {each}."
