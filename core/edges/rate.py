"""How often something may happen, for each of many: one number for each, and no thread.

The storage in memory of `limits` starts a thread at nearly every call, which takes milliseconds; here
every request passes, on the server's only event loop.
"""

from __future__ import annotations

from collections import OrderedDict

_MOST_KEPT = 100_000


class Rate:
    """At most ``per_minute`` in the long run, and ``burst`` at once; ``now`` is any clock in seconds.

    The generic cell rate algorithm: of each key the moment is kept at which it would be even.

    >>> rate = Rate(60, burst=2)
    >>> [rate.wait("a", now=0), rate.wait("a", now=0), rate.wait("a", now=0), rate.wait("b", now=0)]
    [0.0, 0.0, 1.0, 0.0]
    >>> rate.wait("a", now=1)
    0.0
    """

    def __init__(self, per_minute: float, burst: int) -> None:
        self._every = 60.0 / per_minute
        self._ahead = self._every * (burst - 1)
        self._even: OrderedDict[str, float] = OrderedDict()

    def wait(self, key: str, *, now: float) -> float:
        """0 where one more may happen, which then counts; else the seconds until it may."""
        even = max(self._even.get(key, now), now)
        too_early = even - self._ahead - now
        if too_early > 1e-9:
            return too_early
        self._even[key] = even + self._every
        self._even.move_to_end(key)
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop the keys used longest ago, where they are even or too many."""
        for _ in range(2):
            key, even = next(iter(self._even.items()))
            if even > now and len(self._even) <= _MOST_KEPT:
                return
            del self._even[key]
            if not self._even:
                return
