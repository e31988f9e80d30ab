"""Request budgets: what a source allows in a time, never spent beyond."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from core.errors import SourceRefused

# Of every budget this part is kept for the newest bar; filling in the past waits for the rest.
KEPT_FROM_BACKGROUND = 0.4
# Requests arrive later than they left, some more than others: two bursts a window apart when they
# left must still be a window apart when they arrive.
_TRAVEL_SECONDS = 1


@dataclass(frozen=True)
class Budget:
    """``amount`` per ``seconds`` as the source publishes it.

    ``used_header`` names the reply header in which the source counts what this address has used,
    other programs included.
    """

    name: str
    amount: int
    seconds: int
    used_header: str = ""


@dataclass(frozen=True)
class BudgetUse:
    """What has been spent of a budget in the time up to now."""

    name: str
    used: int
    allowed: int
    published: int
    seconds: int


class Budgets:
    """The budgets of one source, each in a moving window, of which only ``share`` is spent.

    Others of ours may spend ``others_share`` beside it, without taking anything away from this.
    """

    def __init__(self, budgets: Sequence[Budget], share: float, others_share: float = 0.0) -> None:
        self._others_share = others_share
        self._budgets = {budget.name: budget for budget in budgets}
        self._items = {
            budget.name: RateLimitItemPerSecond(
                max(1, int(budget.amount * share)),
                budget.seconds + _TRAVEL_SECONDS,
                namespace=budget.name,
            )
            for budget in budgets
        }
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._queues: defaultdict[tuple[str, bool], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def spend(
        self,
        charges: Mapping[str, int],
        *,
        background: bool = False,
        longest_wait: float = math.inf,
    ) -> None:
        """Wait until every charge fits, first come first served, and book it.

        Raises ValueError for a charge that no waiting makes fit, and `SourceRefused` where it would
        take longer than ``longest_wait`` seconds, as with the budget of a day.
        """
        for name, cost in charges.items():
            item = self._items[name]
            kept = int(item.amount * KEPT_FROM_BACKGROUND) if background else 0
            if cost > item.amount - kept:
                raise ValueError(f"A charge of {cost} never fits into {item.amount} {name}.")
            async with self._queues[name, background]:
                while not self._book(item, cost, kept):
                    wait = self._seconds_to_wait(item)
                    if wait > longest_wait:
                        raise SourceRefused(
                            f"The {item.amount} {name} of {self._budgets[name].seconds:,} s are used up; "
                            f"more can be asked in {wait:,.0f} s.",
                            retry_after=wait,
                        )
                    await asyncio.sleep(wait)

    def note_reported(self, headers: Mapping[str, str]) -> None:
        """Book what others on this address have used, where the source counts it."""
        for budget in self._budgets.values():
            reported = headers.get(budget.used_header, "") if budget.used_header else ""
            if reported.isdecimal():
                item = self._items[budget.name]
                left = self._limiter.get_window_stats(item).remaining
                expected = int(budget.amount * self._others_share)
                foreign = min(int(reported) - (item.amount - left) - expected, left)
                if foreign > 0:
                    self._limiter.hit(item, cost=foreign)

    def note_spent(self, spent: Sequence[BudgetUse]) -> None:
        """Book what another process of ours has spent, as if it had been just now."""
        for use in spent:
            item = self._items.get(use.name)
            if item is not None and use.used > 0:
                left = self._limiter.get_window_stats(item).remaining
                self._limiter.hit(item, cost=min(use.used, left))

    def use(self) -> tuple[BudgetUse, ...]:
        """Every budget as it stands."""
        return tuple(
            BudgetUse(
                name,
                item.amount - self._limiter.get_window_stats(item).remaining,
                item.amount,
                self._budgets[name].amount,
                self._budgets[name].seconds,
            )
            for name, item in self._items.items()
        )

    def _book(self, item: RateLimitItemPerSecond, cost: int, kept: int) -> bool:
        if self._limiter.get_window_stats(item).remaining - cost < kept:
            return False
        return self._limiter.hit(item, cost=cost)

    def _seconds_to_wait(self, item: RateLimitItemPerSecond) -> float:
        return max(self._limiter.get_window_stats(item).reset_time - time.time(), 0.0) + 0.005
