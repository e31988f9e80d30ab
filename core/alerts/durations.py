"""Durations and times of the day as people write them: "4h", "1h30m", "22:00"."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d{1,9}[wdhms])+", re.ASCII)
_PART = re.compile(r"(\d{1,9})([wdhms])", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)
DAY_MINUTES = 1440
LONGEST = timedelta(days=365)


def parse_duration(value: object) -> timedelta | None:
    """A duration from "4h", "1h30m", "2d" or a timedelta; None from None, "" and zero.

    Raises ValueError with a sentence that says how to write it.

    >>> parse_duration("1h30m"), parse_duration("0s")
    (datetime.timedelta(seconds=5400), None)
    >>> parse_duration("4 hours")
    Traceback (most recent call last):
    ValueError: '4 hours' is no duration: write it as 30m, 4h, 2d or 1h30m
    """
    if value is None or value == "":
        return None
    if isinstance(value, timedelta):
        return _bounded(value)
    if isinstance(value, bool) or not isinstance(value, str):
        if value == 0 and not isinstance(value, bool):
            return None
        raise ValueError(f"{value!r} has no unit: write it as 30m, 4h, 2d or 1h30m")
    text = value.strip().lower()
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{value[:40]!r} is no duration: write it as 30m, 4h, 2d or 1h30m")
    parts = _PART.findall(text)
    if len({unit for _, unit in parts}) < len(parts):
        raise ValueError(f"{value[:40]!r} has a unit twice: write it as 30m, 4h, 2d or 1h30m")
    seconds = sum(int(count) * _UNITS[unit] for count, unit in parts)
    return _bounded(timedelta(days=seconds // 86_400, seconds=seconds % 86_400))


def _bounded(value: timedelta) -> timedelta | None:
    if value < timedelta(0):
        raise ValueError("a duration cannot be negative")
    if value.microseconds:
        raise ValueError("a duration has whole seconds")
    if value > LONGEST:
        raise ValueError("a duration can be 365d at most")
    return value or None


def format_duration(value: timedelta) -> str:
    """The one way a duration is written: in the largest units that leave no rest.

    >>> [format_duration(timedelta(minutes=m)) for m in (30, 90, 1440, 2160, 11520)]
    ['30m', '1h30m', '1d', '1d12h', '8d']
    """
    rest, text = int(value.total_seconds()), ""
    for unit in "dhms":
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def parse_clock(value: object) -> int:
    """Minutes since midnight from "08:30"; "24:00" is the end of the day.

    YAML reads an unquoted 22:00 as a number in base 60, which is the minutes since midnight.

    >>> parse_clock("08:30"), parse_clock(1320), parse_clock("24:00")
    (510, 1320, 1440)
    >>> parse_clock("8 am")
    Traceback (most recent call last):
    ValueError: '8 am' is no time of the day: write it as 08:30
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= DAY_MINUTES:
        return value
    found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if found is None or int(found[2]) > 59 or not 0 <= minutes <= DAY_MINUTES:
        raise ValueError(f"{str(value)[:40]!r} is no time of the day: write it as 08:30")
    return minutes


def format_clock(minutes: int) -> str:
    """
    >>> format_clock(510), format_clock(1440)
    ('08:30', '24:00')
    """
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def parse_moment(value: object) -> datetime:
    """A moment in UTC from ISO 8601 or a datetime. Raises ValueError where the zone is missing.

    >>> parse_moment("2025-10-01T14:00+02:00").isoformat()
    '2025-10-01T12:00:00+00:00'
    >>> parse_moment("2025-10-01 12:00")
    Traceback (most recent call last):
    ValueError: '2025-10-01 12:00' has no time zone: write it as 2025-10-01T12:00Z
    """
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise ValueError(f"{str(value)[:40]!r} is no moment: write it as 2025-10-01T12:00Z")
    if moment.utcoffset() is None:
        raise ValueError(f"{str(value)[:40]!r} has no time zone: write it as 2025-10-01T12:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        said = f"{str(value)[:40]!r} is in UTC outside of the years 1 to 9999: write another year"
        raise ValueError(said) from None
