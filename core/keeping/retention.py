"""Which backups stay: the newest ones, and the newest of each day, week and month."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

# The span that a time lies in, by the name of the rule; times are UTC.
_SPANS: Mapping[str, Callable[[datetime], object]] = {
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.date() - timedelta(days=at.weekday()),
    "monthly": lambda at: (at.year, at.month),
}


def to_keep(times: Iterable[datetime], rules: Mapping[str, int]) -> set[datetime]:
    """The times among ``times`` that one of the rules keeps, such as ``{"last": 3, "daily": 7}``.

    Spans without a backup are not counted, so an outage makes no backup older than it is worth.

    >>> days = [datetime(2025, 1, day, hour) for day in (1, 2, 5) for hour in (6, 18)]
    >>> sorted(f"{at:%d %H}" for at in to_keep(days, {"last": 1, "daily": 2}))
    ['02 18', '05 18']
    """
    newest_first = sorted(set(times), reverse=True)
    kept = set(newest_first[: rules.get("last", 0)])
    for name, span_of in _SPANS.items():
        newest: dict[object, datetime] = {}
        for at in newest_first:
            newest.setdefault(span_of(at), at)
        kept |= set(list(newest.values())[: rules.get(name, 0)])
    return kept
