"""How long the period was that a settled funding rate is for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

HOUR_MS = 3_600_000
_INTERVALS = (1, 2, 4, 8)


def with_intervals(
    found: Sequence[Mapping[str, object]], stated: Mapping[str, float]
) -> list[dict[str, object]]:
    """Each rate with ``interval_hours``: since the settlement before it, where that is an interval.

    Intervals change, and a venue states only the present one; so ``stated`` (by symbol) serves the
    first rate of a series and one after a gap. A rate whose interval nobody says gets none.

    >>> rates = [{"symbol": "BTCUSDT", "known_ms": hour * HOUR_MS} for hour in (0, 8, 12)]
    >>> [rate["interval_hours"] for rate in with_intervals(rates, {"BTCUSDT": 4})]
    [8, 8, 4]
    """
    times: defaultdict[object, set[int]] = defaultdict(set)
    for one in found:
        if isinstance(time := one["known_ms"], int):
            times[one["symbol"]].add(_hour(time))
    intervals: dict[tuple[object, int], float | None] = {}
    for symbol, hours in times.items():
        ordered = sorted(hours)
        spacing = [after - before for before, after in pairwise(ordered)]
        known = stated.get(str(symbol))
        first = spacing[0] if spacing and spacing[0] in _INTERVALS else known
        for hour, hours_before in zip(ordered, [first, *spacing], strict=True):
            intervals[symbol, hour] = hours_before if hours_before in _INTERVALS else known
    return [{**one, "interval_hours": intervals.get(_key(one))} for one in found]


def _key(one: Mapping[str, object]) -> tuple[object, int]:
    time = one["known_ms"]
    return one["symbol"], _hour(time) if isinstance(time, int) else -1


def _hour(time_ms: int) -> int:
    """Venues settle some milliseconds after the hour."""
    return round(time_ms / HOUR_MS)
