"""Windows of time over which liquidations are told, and whose reports belong in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from core.market import liquidation_sums as sums

MINUTE, QUARTER, HOUR = timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=1)
PAST = timedelta(days=7)
# A window: how long it is, and its slots in the charts and columns in the map.
WINDOWS: Mapping[str, tuple[timedelta, timedelta, timedelta]] = {
    "15 min": (QUARTER, MINUTE, timedelta(seconds=15)),
    "1 h": (HOUR, MINUTE, MINUTE),
    "4 h": (4 * HOUR, 5 * MINUTE, 5 * MINUTE),
    "24 h": (24 * HOUR, QUARTER, timedelta(minutes=30)),
    "7 d": (PAST, HOUR, 4 * HOUR),
}
USUAL, USUAL_OF_BARS = "1 h", "24 h"
# Bars have one total an hour.
OF_BARS = ("4 h", "24 h", "7 d")


@dataclass(frozen=True)
class Stretch:
    """A window that ends with the slot in which it is now."""

    start: datetime
    end: datetime
    now: datetime
    step: timedelta

    @classmethod
    def of(cls, window: str, now: datetime, *, hourly: bool = False) -> Stretch:
        """The window up to now; of hourly totals one that ends now.

        >>> now = datetime.fromisoformat("2026-01-01T12:33:20+00:00")
        >>> Stretch.of("4 h", now).start.isoformat(), Stretch.of("4 h", now).end.isoformat()
        ('2026-01-01T08:35:00+00:00', '2026-01-01T12:35:00+00:00')
        """
        length, step, _ = WINDOWS[window]
        step = HOUR if hourly else step
        end = sums.ceil_time(now, step)
        return cls(end - length, end, now, step)


def venues_known(pairs: Sequence[tuple[str, str]], streams: pd.DataFrame) -> list[str]:
    """Venues that reported something or whose own stream is followed, sorted."""
    followed = {str(name) for name in streams.index} - {
        sums.stream_of(venue) for _, venue in pairs if ":" in venue
    }
    return sorted({venue for _, venue in pairs} | followed)


def usual_venues(known: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All venues but those that repeat another, and those."""
    again = sums.repeated(known)
    return tuple(venue for venue in known if venue not in again), tuple(sorted(again))


def symbols_known(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Every symbol that reported something, sorted."""
    return sorted({symbol for symbol, _ in pairs})
