"""How often a key may ask: a moving window, told in the headers of every answer."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

_logger = logging.getLogger(__name__)
# Seconds to wait for a Redis, which is asked at every request.
_PATIENCE = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}


@dataclass(frozen=True)
class Spent:
    """What is left of a key's rate after a request. ``seconds`` until it is renewed."""

    allowed: bool
    quota: int
    window: int
    left: int
    seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """The fields of the IETF draft (draft-ietf-httpapi-ratelimit-headers), and Retry-After."""
        told = {
            "RateLimit-Policy": f'"key";q={self.quota};w={self.window}',
            "RateLimit": f'"key";r={self.left};t={self.seconds}',
        }
        return told if self.allowed else told | {"Retry-After": str(self.seconds)}


class Rates:
    """Counts requests; in this process, or in a Redis that all servers share.

    While that is away each server counts for itself.
    """

    def __init__(self, calls_per_minute: int, redis: str | None = None) -> None:
        self._item = RateLimitItemPerMinute(calls_per_minute)
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = self._alone
        if redis is not None:
            storage = storage_from_string(redis, wrap_exceptions=True, **_PATIENCE)
            self._shared = SlidingWindowCounterRateLimiter(storage)

    def spend(self, key_id: int) -> Spent:
        """Count a request of a key, unless it is one too many."""
        try:
            return self._spend(self._shared, key_id)
        except StorageError as error:
            _logger.warning("Redis does not count requests: %s", error)
            return self._spend(self._alone, key_id)

    def _spend(self, limiter: SlidingWindowCounterRateLimiter, key_id: int) -> Spent:
        name, item = f"key {key_id}", self._item
        allowed = limiter.hit(item, name)
        stats = limiter.get_window_stats(item, name)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        left = max(0, int(stats.remaining))
        return Spent(allowed, item.amount, item.get_expiry(), left, min(seconds, item.get_expiry()))


@lru_cache(maxsize=4)
def rates_of(calls_per_minute: int, redis: str | None) -> Rates:
    """The counter of these settings, one for the whole process."""
    return Rates(calls_per_minute, redis)
