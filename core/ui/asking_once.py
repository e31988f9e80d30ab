"""One question for all who ask the same at a time: however many probes come, a database has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from anyio import CapacityLimiter, to_thread

EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
T = TypeVar("T")


class AskedOnce(Generic[T]):
    """Asks ``ask`` in a thread at most every ``every`` seconds, one question at a time.

    Who comes meanwhile gets the answer that is there, or waits with the others; after ``patience``
    seconds it is ``late``, and the question goes on without them.
    """

    def __init__(
        self,
        ask: Callable[[], T],
        late: Callable[[], T],
        *,
        every: float = EVERY_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._ask, self._late = ask, late
        self._every, self._patience = every, patience
        self._loop: asyncio.AbstractEventLoop | None = None
        self._question: asyncio.Task[T] | None = None
        self._began = 0.0
        # Threads of its own: what hangs here takes none that answer pages.
        self._limiter = CapacityLimiter(1)

    async def read(self) -> T:
        """The newest answer, at most ``every`` seconds old when its question was asked."""
        question = self._current()
        done, _ = await asyncio.wait({question}, timeout=self._patience)
        return question.result() if done else self._late()

    def _current(self) -> asyncio.Task[T]:
        # A server has one loop for its life.
        loop = asyncio.get_running_loop()
        fresh = monotonic() - self._began < self._every
        known = self._question if self._loop is loop else None
        if known is not None and (fresh or not known.done()):
            return known
        self._loop, self._began = loop, monotonic()
        self._question = loop.create_task(self._in_thread())
        return self._question

    async def _in_thread(self) -> T:
        # A server that stops does not wait for what hangs.
        return await to_thread.run_sync(self._ask, abandon_on_cancel=True, limiter=self._limiter)
