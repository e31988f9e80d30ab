"""What a person wants to hear of, and when: rules, severities, and quiet hours where they live."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal, Protocol
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.alerts.definition import Severity
from core.alerts.durations import DAY_MINUTES
from core.alerts.hours import WEEKDAYS, Window

When = Literal["now", "held", "no"]


class Subscription(BaseModel):
    """``rules`` are names of rules, ``severities`` and both empty mean all.

    ``quiet_hours`` are times of the day in ``time_zone``. With ``critical_breaks_quiet`` what is
    critical comes at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    quiet_hours: Window | None = None
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"
    critical_breaks_quiet: bool = True
    with_ends: bool = True
    enabled: bool = True

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: Any) -> str:
        try:
            ZoneInfo(value)
        except (LookupError, ValueError, OSError) as error:
            raise ValueError(
                f"{value!r} is no time zone: write it as Europe/Berlin or UTC"
            ) from error
        return str(value)


class Told(Protocol):
    """What of a notice decides to whom it goes; ``firing`` is empty where it tells of ends only."""

    @property
    def rule(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def firing(self) -> Collection[object]: ...


@dataclass(frozen=True)
class Routing:
    """Whether a notice goes to a person now, is held until ``until``, or does not go; and why."""

    when: When
    reason: str
    until: datetime | None = None


def route(notice: Told, subscription: Subscription, at: datetime) -> Routing:
    """When the notice goes to the one who subscribed, at the moment ``at``."""
    if not subscription.enabled:
        return Routing("no", "the subscription is switched off")
    if subscription.rules and notice.rule not in subscription.rules:
        return Routing("no", "not subscribed to this rule")
    if subscription.severities and notice.severity not in subscription.severities:
        return Routing("no", f"not subscribed to {notice.severity}")
    if not subscription.with_ends and not notice.firing:
        return Routing("no", "not subscribed to ends")
    until = quiet_until(subscription, at)
    if until is None:
        return Routing("now", "subscribed")
    if notice.severity == "critical" and subscription.critical_breaks_quiet:
        return Routing("now", "critical, which does not wait for the end of quiet hours")
    return Routing("held", "held until quiet hours end", until)


def quiet_until(subscription: Subscription, at: datetime) -> datetime | None:
    """When the quiet hours end in which ``at`` lies, UTC; None outside of them.

    Hours that a change of the clocks leaves out or has twice count as the clock on the wall shows
    them first. Windows that touch are one.
    """
    window, zone = subscription.quiet_hours, ZoneInfo(subscription.time_zone)
    if window is None:
        return None
    until = at.astimezone(UTC)
    today = until.astimezone(zone).date()
    for days in range(-1, 8):
        begins, ends = _span(window, zone, today + timedelta(days=days))
        if _starts_on(window, today + timedelta(days=days)) and begins <= until < ends:
            until = ends
    return None if until == at else until


def _starts_on(window: Window, day: date) -> bool:
    return not window.weekdays or WEEKDAYS[day.weekday()] in window.weekdays


def _span(window: Window, zone: ZoneInfo, day: date) -> tuple[datetime, datetime]:
    begins, ends = window.start, window.start + window.minutes

    def moment(minutes: int) -> datetime:
        days, minute = divmod(minutes, DAY_MINUTES)
        clock = time(minute // 60, minute % 60)
        return datetime.combine(day + timedelta(days=days), clock, zone).astimezone(UTC)

    return moment(begins), moment(ends)
