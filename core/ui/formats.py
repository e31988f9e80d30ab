"""Every number and time on the screen: an en dash for what is unknown, and the unit beside it.

Fractions come in, percent go out. Nothing here knows which page it is for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import SupportsFloat
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

DASH = "–"
MINUS = "−"
_NBSP = "\u00a0"
_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_PRICE_DIGITS = 5
_MOST_DECIMALS = 12

Number = SupportsFloat | None


def known(value: Number) -> bool:
    """Whether there is a number: not None, NaN or infinite."""
    return value is not None and math.isfinite(float(value))


def number(value: Number, digits: int = 0, *, sign: bool = False) -> str:
    """A number with a thousands separator.

    >>> number(12345.6), number(-0.04, 1), number(3, sign=True), number(None)
    ('12,346', '0.0', '+3', '–')
    """
    if value is None or not known(value):
        return DASH
    rounded = round(float(value), digits) + 0.0
    text = f"{abs(rounded):,.{digits}f}"
    if rounded < 0:
        return MINUS + text
    return f"+{text}" if sign and rounded > 0 else text


def percent(fraction: Number, digits: int = 1, *, sign: bool = False) -> str:
    """A fraction as percent.

    >>> percent(0.0123), percent(-0.5, 0), percent(0.02, sign=True)
    ('1.2\\xa0%', '−50\\xa0%', '+2.0\\xa0%')
    """
    if fraction is None or not known(fraction):
        return DASH
    return f"{number(100 * float(fraction), digits, sign=sign)}{_NBSP}%"


def interval(
    low: Number, high: Number, digits: int = 0, *, unit: str = "%", sign: bool = False
) -> str:
    """An interval of fractions in percent, or of numbers where ``unit`` is another.

    >>> interval(0.41, 0.583), interval(-0.2, 0.31, 2, unit="R"), interval(None, 1)
    ('41 to 58\\xa0%', '−0.20 to 0.31\\xa0R', '–')
    >>> interval(-0.02, 0.03, 1, sign=True)
    '−2.0 to +3.0\\xa0%'
    """
    if low is None or high is None or not (known(low) and known(high)):
        return DASH
    scale = 100 if unit == "%" else 1
    ends = (number(scale * float(end), digits, sign=sign) for end in (low, high))
    return f"{' to '.join(ends)}{_NBSP}{unit}"


def compact(value: Number, *, sign: bool = False) -> str:
    """An amount with three sensible digits, for a column or axis whose header has the unit.

    >>> compact(1_234_567), compact(950), compact(-45_600, sign=True), compact(0), compact(12.3)
    ('1.2\\xa0M', '950', '−45.6\\xa0k', '0', '12')
    """
    if value is None or not known(value):
        return DASH
    amount = float(value)
    for step, letter in _STEPS:
        if abs(amount) >= 0.9995 * step:
            digits = 0 if abs(amount) >= 100 * step else 1
            return f"{number(amount / step, digits, sign=sign)}{_NBSP}{letter}"
    return number(amount, 0, sign=sign)


def usd(value: Number, *, sign: bool = False) -> str:
    """An amount of US dollars, shortened.

    >>> usd(1_234_567), usd(-950), usd(None)
    ('USD\\xa01.2\\xa0M', 'USD\\xa0−950', '–')
    """
    return f"USD{_NBSP}{compact(value, sign=sign)}" if known(value) else DASH


def usd_exact(value: Number, digits: int = 2, *, sign: bool = False) -> str:
    """An amount of US dollars to the cent, for a plan.

    >>> usd_exact(1234.5)
    'USD\\xa01,234.50'
    """
    return f"USD{_NBSP}{number(value, digits, sign=sign)}" if known(value) else DASH


def price_decimals(reference: Number) -> int:
    """Decimals for a price of this size, about its tick; the same for all prices beside it.

    Five digits, and more of a large price: exchanges quote thousands to the cent.

    >>> [price_decimals(price) for price in (109_557.3, 3_846.42, 43.685, 0.6087, 0.006561)]
    [1, 2, 3, 5, 7]
    """
    if reference is None or not known(reference) or float(reference) == 0:
        return 2
    whole = math.floor(math.log10(abs(float(reference)))) + 1
    return min(max(_PRICE_DIGITS - whole, {4: 2, 5: 1, 6: 1}.get(whole, 0)), _MOST_DECIMALS)


def price(value: Number, like: Number = None) -> str:
    """A price; with ``like``, to the decimals of that price, so that a plan's levels line up.

    >>> price(114_302.51), price(2.41), price(99.5, like=114_302), price(None)
    ('114,302.5', '2.4100', '99.5', '–')
    """
    if like is None:
        like = value
    return number(value, price_decimals(like))


def r_multiple(value: Number, digits: int = 2) -> str:
    """A result in units of the risk taken, sign always shown.

    >>> r_multiple(0.416)
    '+0.42\\xa0R'
    """
    return f"{number(value, digits, sign=True)}{_NBSP}R" if known(value) else DASH


def times(value: Number, digits: int | None = None) -> str:
    """A factor of size or leverage; without ``digits`` as many as it needs, at most two.

    >>> times(0.5), times(0.25), times(1.0), times(10), times(5.3, 0)
    ('0.5×', '0.25×', '1×', '10×', '5×')
    """
    if not known(value):
        return DASH
    text = number(value, 2).rstrip("0").rstrip(".") if digits is None else number(value, digits)
    return f"{text}×"


def quantity(value: Number) -> str:
    """Base units, to six digits and without trailing zeros.

    >>> quantity(0.0123), quantity(1500.0), quantity(12.345678)
    ('0.0123', '1,500', '12.3457')
    """
    if value is None or not known(value):
        return DASH
    text = number(value, price_decimals(value) + 1)
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(span: timedelta | float | None) -> str:
    """How long, or how old, in its one fitting unit; a plain number is hours.

    >>> spans = timedelta(seconds=40), 0.07, 26, 80, None
    >>> [duration(span).replace("\\u00a0", " ") for span in spans]
    ['40 s', '4 min', '26 h', '3 d', '–']
    """
    seconds = span.total_seconds() if isinstance(span, timedelta) else _seconds(span)
    if seconds is None:
        return DASH
    seconds = max(seconds, 0.0) + 0.0  # no negative zero
    if seconds < 60:
        return f"{seconds:.0f}{_NBSP}s"
    if seconds < 3600:
        return f"{seconds / 60:.0f}{_NBSP}min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f}{_NBSP}h"
    return f"{seconds / 86400:.0f}{_NBSP}d"


def count(amount: int, one: str, many: str | None = None) -> str:
    """An amount and its noun.

    >>> count(1, "market"), count(3, "market"), count(0, "entry", "entries")
    ('1 market', '3 markets', '0 entries')
    """
    return f"{number(amount)} {one if amount == 1 else many or one + 's'}"


@dataclass(frozen=True)
class Clock:
    """The zone in which times are shown, and the name it has on the screen."""

    zone: ZoneInfo

    @classmethod
    def named(cls, name: str | None) -> Clock:
        """The clock of a zone's name; UTC where the name is unknown.

        >>> Clock.named("Europe/Berlin").label, Clock.named("Mars/Olympus").label
        ('Europe/Berlin', 'UTC')
        """
        try:
            return cls(ZoneInfo(name or "UTC"))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return cls(ZoneInfo("UTC"))

    @property
    def label(self) -> str:
        """The zone's name, printed once per chart and table."""
        return str(self.zone)

    @property
    def place(self) -> str:
        """The zone's name without its continent.

        >>> Clock.named("America/New_York").place
        'New York'
        """
        return self.label.rsplit("/", 1)[-1].replace("_", " ")

    def local(self, time: datetime) -> datetime:
        """``time`` in this zone; it must be aware."""
        return _aware(time).astimezone(self.zone)

    def minute(self, time: datetime | None) -> str:
        """Hour and minute.

        >>> Clock.named("Asia/Tokyo").minute(datetime(2025, 10, 7, 20, tzinfo=UTC))
        '05:00'
        """
        if time is None or _missing(time):
            return DASH
        return f"{self.local(time):%H:%M}"

    def second(self, time: datetime | None) -> str:
        """Hour, minute and second.

        >>> Clock.named("Asia/Tokyo").second(datetime(2025, 10, 7, 20, 0, 9, tzinfo=UTC))
        '05:00:09'
        """
        if time is None or _missing(time):
            return DASH
        return f"{self.local(time):%H:%M:%S}"

    def stamp(self, time: datetime | None) -> str:
        """Day and minute.

        >>> Clock.named("UTC").stamp(datetime(2025, 10, 7, 20, tzinfo=UTC))
        '7 Oct 2025, 20:00'
        """
        if time is None or _missing(time):
            return DASH
        local = self.local(time)
        return f"{local.day} {local:%b %Y, %H:%M}"

    def day(self, time: datetime | None) -> str:
        """The day alone.

        >>> Clock.named("Asia/Tokyo").day(datetime(2025, 10, 7, 20, tzinfo=UTC))
        '8 Oct 2025'
        """
        if time is None or _missing(time):
            return DASH
        local = self.local(time)
        return f"{local.day} {local:%b %Y}"

    def axis(self, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Times as a chart draws them: wall-clock times of this zone, without the zone."""
        return times.tz_convert(self.zone).tz_localize(None)


UTC_CLOCK = Clock(ZoneInfo("UTC"))


def _aware(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone")
    return time.astimezone(UTC)


def _missing(time: datetime) -> bool:
    return bool(pd.isna(time))


def _seconds(hours: Number) -> float | None:
    return 3600 * float(hours) if hours is not None and known(hours) else None
