"""When a message is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0
LONGEST_RETRY_AFTER = 3600.0
GIVEN_UP = timedelta(hours=24)
# A message that a receiver answered with an error this often holds back those after it no longer.
HOLDING_ATTEMPTS = 10


def next_attempt(
    attempts: int,
    now: datetime,
    retry_after: float | None = None,
    *,
    since: datetime,
    chance: float = 1.0,
) -> datetime | None:
    """When to try again after the ``attempts``-th try; None when it was tried for a day.

    Waits double from one second to two minutes, and are shortened by up to half by ``chance``, a
    number from 0 to 1, so that many do not come back at once. What the receiver asks for
    (``retry_after``, seconds) is respected, up to an hour. However old a message is, one more try
    was made before it is given up.

    >>> from datetime import UTC
    >>> noon = datetime(2025, 1, 1, 12, tzinfo=UTC)
    >>> [next_attempt(n, noon, since=noon).strftime("%M:%S") for n in (1, 2, 5, 50)]
    ['00:01', '00:02', '00:16', '02:00']
    >>> next_attempt(1, noon, 300, since=noon).strftime("%M:%S")
    '05:00'
    >>> next_attempt(9, noon, since=noon - timedelta(hours=24)) is None
    True
    """
    if now - since >= GIVEN_UP:
        return None
    wait = min(FIRST_WAIT * 2.0 ** min(max(attempts - 1, 0), 30), LONGEST_WAIT)
    wait *= 0.5 + min(max(chance, 0.0), 1.0) / 2
    if retry_after is not None and retry_after == retry_after:
        wait = max(wait, min(max(retry_after, 0.0), LONGEST_RETRY_AFTER))
    return now + timedelta(seconds=wait)
