"""Questions whose answers cannot all be fetched within a round, asked one after the other.

Exchanges allow fewer calls for statistics than there are markets in the minute after a bar, so they
are spread over the hour, each source at its own pace; a round takes what has come by then.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from core.errors import SourceError
from core.market.files import FILES
from core.market.symbols import Contract

# What should be there by now and is not is asked for again after this.
PAUSE = timedelta(minutes=2)
TOGETHER = 8
_IDLE_SECONDS = 0.05


@dataclass(frozen=True)
class Question:
    """What ``source`` says of one market, for a table of a recording."""

    source: str
    table: str
    contract: Contract


Ask = Callable[[Question, datetime | None], Awaitable[pd.DataFrame]]


class Asking:
    """Keeps every answer as new as the source allows; lives on one event loop.

    ``ask`` is given the time of the newest row there is, None for the first time.
    """

    def __init__(self, ask: Ask, clock: Callable[[], datetime]) -> None:
        self._ask, self._clock = ask, clock
        self._questions: defaultdict[str, list[Question]] = defaultdict(list)
        self._held: dict[Question, pd.DataFrame] = {}
        self._newest: dict[Question, datetime] = {}
        self._next: dict[Question, datetime] = {}
        self._asked: dict[Question, datetime] = {}
        self._handed: set[Question] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def expect(self, questions: Iterable[Question]) -> None:
        """From now on keep the answers to these, and to no others."""
        self._questions.clear()
        for question in questions:
            self._questions[question.source].append(question)
        for source in self._questions:
            if source not in self._tasks:
                self._tasks[source] = asyncio.create_task(self._keep_asking(source))

    async def caught_up(self, bar: datetime) -> None:
        """Wait until everything has been asked since a bar closed, or is known up to it."""
        while any(self._is_behind(one, bar) for many in self._questions.values() for one in many):
            await asyncio.sleep(_IDLE_SECONDS)

    def take(self) -> dict[str, list[pd.DataFrame]]:
        """What is held, by table."""
        found: dict[str, list[pd.DataFrame]] = {}
        for question, rows in self._held.items():
            found.setdefault(question.table, []).append(rows)
        self._handed = set(self._held)
        return found

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _keep_asking(self, source: str) -> None:
        while True:
            due = sorted(self._due(source), key=lambda one: one[0])[:TOGETHER]
            if due:
                await asyncio.gather(*(self._answer(question) for _, question in due))
            await asyncio.sleep(0 if due else _IDLE_SECONDS)

    def _due(self, source: str) -> list[tuple[float, Question]]:
        """Questions to ask now, with when they were last asked."""
        now = self._clock()
        found = []
        for question in self._questions[source]:
            asked = self._asked.get(question)
            if asked is None:
                found.append((0.0, question))
            elif now - asked >= PAUSE and self._next.get(question, now) <= now:
                found.append((asked.timestamp(), question))
        return found

    def _is_behind(self, question: Question, bar: datetime) -> bool:
        asked = self._asked.get(question)
        return asked is None or (asked < bar and self._next.get(question, bar) <= bar)

    async def _answer(self, question: Question) -> None:
        began = self._clock()
        try:
            rows = await self._ask(question, self._newest.get(question))
        except SourceError:
            return  # The client has noted it in the source's state.
        finally:
            self._asked[question] = began
        if rows.empty:
            return
        known_at = FILES[question.table].known_at
        if question in self._held and question not in self._handed:
            keys = [name for name in ("open_at", known_at) if name in rows]
            rows = pd.concat([self._held[question], rows], ignore_index=True).drop_duplicates(keys)
        self._held[question] = rows
        self._handed.discard(question)
        last = rows.sort_values(known_at).iloc[-1]
        newest: pd.Timestamp = last[known_at]
        self._newest[question] = newest.to_pydatetime()
        # Venues stamp some milliseconds after the hour.
        hours = timedelta(hours=float(last.get("interval_hours", 1.0)))
        self._next[question] = newest.floor("min").to_pydatetime() + hours
