"""Hours of the week: a window on chosen weekdays that may reach past midnight."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    field_validator,
    model_validator,
)

from core.alerts.durations import DAY_MINUTES, format_clock, parse_clock

WEEKDAYS: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK = 7 * DAY_MINUTES
# The epoch, from which times are counted, was a Thursday.
_EPOCH = 3 * DAY_MINUTES
_MINUTE_US = 60_000_000

Clock = Annotated[int, BeforeValidator(parse_clock), PlainSerializer(format_clock)]


class Window(BaseModel):
    """From ``start`` up to, but without, ``end``; an end before the start is on the next day.

    A window belongs to the weekday on which it starts: Friday 22:00 to 06:00 covers Saturday's
    first six hours and not Friday's. ``weekdays`` empty means every day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekdays: tuple[str, ...] = ()
    start: Clock
    end: Clock

    @field_validator("weekdays", mode="before")
    @classmethod
    def _known_days(cls, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple | set | frozenset):
            raise ValueError("must be a list of weekdays: mon, tue, wed, thu, fri, sat, sun")
        days = {str(day).strip().lower() for day in value}
        if wrong := sorted(days - set(WEEKDAYS)):
            raise ValueError(
                f"{wrong[0][:20]!r} is no weekday: write mon, tue, wed, thu, fri, sat or sun"
            )
        chosen = tuple(day for day in WEEKDAYS if day in days)
        return () if len(chosen) == len(WEEKDAYS) else chosen

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start % DAY_MINUTES == self.end % DAY_MINUTES and (
            self.start == self.end or not self.weekdays
        ):
            raise ValueError("start and end are the same: leave the hours out to have every hour")
        if self.start == DAY_MINUTES:
            raise ValueError("start cannot be 24:00: write 00:00")
        return self

    @property
    def minutes(self) -> int:
        """Length of the window."""
        length = (self.end - self.start) % DAY_MINUTES
        return length or DAY_MINUTES

    @cached_property
    def week(self) -> npt.NDArray[np.bool_]:
        """For each minute from Monday 00:00 on, whether it lies inside."""
        inside = np.zeros(_WEEK, dtype=bool)
        for number, day in enumerate(WEEKDAYS):
            if not self.weekdays or day in self.weekdays:
                first = number * DAY_MINUTES + self.start
                inside[np.arange(first, first + self.minutes) % _WEEK] = True
        return inside

    @cached_property
    def _until_change(self) -> npt.NDArray[np.int64]:
        """For each minute of the week, minutes until the next one that differs from it."""
        week = np.concatenate((self.week, self.week))
        turns = np.flatnonzero(week[1:] != week[:-1]) + 1
        minutes = np.arange(_WEEK)
        return turns[np.searchsorted(turns, minutes, side="right")] - minutes

    def contains(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether each time, microseconds since 1970 in the window's own zone, lies inside."""
        found: npt.NDArray[np.bool_] = self.week[(at // _MINUTE_US + _EPOCH) % _WEEK]
        return found

    def next_change(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The first full minute after each time at which the window opens or closes."""
        minute = at // _MINUTE_US
        return (minute + self._until_change[(minute + _EPOCH) % _WEEK]) * _MINUTE_US
