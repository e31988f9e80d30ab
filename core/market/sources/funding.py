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
    """Each rate with ``interval_hours``: the time since the settlement before it.

    Intervals change, and a venue states only the present one (``stated``, by symbol), so the
    spacing says what it was. A spacing that stands alone between shorter ones is a settlement
    that is missing, not an interval. Where nothing says it, the interval is None.

    >>> rates = [{"symbol": "BTCUSDT", "known_ms": hour * HOUR_MS} for hour in (0, 8, 16, 20)]
    >>> [rate["interval_hours"] for rate in with_intervals(rates, {"BTCUSDT": 4})]
    [8, 8, 8, 4]
    """
    times: defaultdict[object, set[int]] = defaultdict(set)
    for one in found:
        if isinstance(time := one["known_ms"], int):
            times[one["symbol"]].add(_hour(time))
    intervals: dict[tuple[object, int], float | None] = {}
    for symbol, hours in times.items():
        ordered = sorted(hours)
        for hour, interval in zip(
            ordered, _intervals(ordered, stated.get(str(symbol))), strict=True
        ):
            intervals[symbol, hour] = interval
    return [{**one, "interval_hours": intervals.get(_key(one))} for one in found]


def _intervals(hours: Sequence[int], known: float | None) -> list[float | None]:
    spacing: list[int | None] = [None, *(after - before for before, after in pairwise(hours)), None]
    found = [
        _interval(spacing[at - 1], here, spacing[at + 1], known)
        for at, here in enumerate(spacing[1:-1], 1)
        if here is not None
    ]
    regular = len(hours) > 2 and spacing[1] == spacing[2]
    return [found[0] if regular else known, *found]


def _interval(
    before: int | None, here: int, after: int | None, known: float | None
) -> float | None:
    """From the spacings around a settlement, and the interval that is stated for now."""
    if here in _INTERVALS:
        if here in (before, after):
            return here
        alone = before is not None and before == after and before < here
        longer = before is not None and before < here
        if not alone and (here <= known if known is not None else not longer):
            return here
    return before if before is not None and before == after and before in _INTERVALS else known


def _key(one: Mapping[str, object]) -> tuple[object, int]:
    time = one["known_ms"]
    return one["symbol"], _hour(time) if isinstance(time, int) else -1


def _hour(time_ms: int) -> int:
    """Venues settle some milliseconds after the hour."""
    return round(time_ms / HOUR_MS)
