"""Questions whose answers cannot all be fetched within a round, asked one after the other.

Exchanges allow fewer calls for statistics than there are markets in the minute after a bar, so they
are spread over the hour, each source at its own pace; a round takes what has come by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from core.errors import SourceError
from core.market.files import FILES
from core.market.symbols import Contract

# What should be there by now and is not is asked for again after this.
PAUSE, PAUSE_FAILED = timedelta(minutes=2), timedelta(seconds=20)
# What is stored is not taken again, but for the newest: of these some numbers may come later.
REVISED = timedelta(hours=2)
TOGETHER = 8
_IDLE_SECONDS = 0.05

# The newest row there is, by table and symbol.
Newest = Mapping[str, Mapping[str, datetime]]


_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What ``source`` says of one market, for a table of a recording.

    A bar waits for the answer where it is ``needed``; ``once`` is for a past that does not go on.
    """

    source: str
    table: str
    contract: Contract
    needed: bool = True
    once: bool = False


Ask = Callable[[Question, datetime | None], Awaitable[pd.DataFrame]]


class Asking:
    """Keeps every answer as new as the source allows; lives on one event loop.

    ``ask`` is given the time of the newest row there is, None for the first time.
    """

    def __init__(self, ask: Ask, clock: Callable[[], datetime]) -> None:
        self._ask, self._clock = ask, clock
        self._questions: defaultdict[str, list[Question]] = defaultdict(list)
        self._held: dict[Question, pd.DataFrame] = {}
        self._taken: dict[Question, pd.DataFrame] = {}
        self._newest: dict[Question, datetime] = {}
        self._next: dict[Question, datetime] = {}
        self._asked: dict[Question, datetime] = {}
        self._failed: set[Question] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._going = asyncio.Event()
        self._going.set()

    def expect(self, questions: Iterable[Question], newest: Newest) -> None:
        """From now on keep the answers to these, and to no others."""
        self._questions.clear()
        for question in questions:
            self._questions[question.source].append(question)
            stored = newest.get(question.table, {}).get(question.contract.symbol)
            if stored is not None:
                self._newest.setdefault(question, stored)
        for source in self._questions:
            if source not in self._tasks:
                self._tasks[source] = asyncio.create_task(self._keep_asking(source))

    def pause(self) -> None:
        """Ask nothing new until `go_on`: something else is more urgent."""
        self._going.clear()

    def go_on(self) -> None:
        self._going.set()

    def unasked(self, since: Mapping[str, datetime]) -> set[str]:
        """Of these symbols the ones of which something needed has not been asked, with or without
        success, since the time beside them."""
        return {
            symbol
            for many in self._questions.values()
            for question in many
            if question.needed
            and (symbol := question.contract.symbol) in since
            and ((asked := self._asked.get(question)) is None or asked < since[symbol])
        }

    def behind(self, bar: datetime) -> int:
        """How many answers may be older than a bar that has closed."""
        return sum(
            self._is_behind(one, bar)
            for many in self._questions.values()
            for one in many
            if one.needed
        )

    async def caught_up(self, bar: datetime) -> None:
        """Wait until everything has been asked since a bar closed, or is known up to it."""
        while self.behind(bar):
            await asyncio.sleep(_IDLE_SECONDS)

    def take(self) -> dict[str, list[pd.DataFrame]]:
        """What has come and is not stored, by table; it is held on to until `confirm`."""
        self._taken = {}
        return self.take_more()

    def take_more(self) -> dict[str, list[pd.DataFrame]]:
        """What has come since `take`, as that gives it."""
        found: dict[str, list[pd.DataFrame]] = {}
        for question, rows in self._held.items():
            if self._taken.get(question) is not rows:
                self._taken[question] = rows
                found.setdefault(question.table, []).append(rows)
        return found

    def confirm(self) -> None:
        """What was taken, since `take` last, is stored."""
        for question, rows in self._taken.items():
            if self._held.get(question) is rows:
                del self._held[question]
        self._taken = {}

    async def stop(self) -> None:
        """Ask nothing more until something is expected again."""
        self._questions.clear()
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_asking(self, source: str) -> None:
        while True:
            await self._going.wait()
            due = sorted(self._due(source), key=lambda one: one[0])[:TOGETHER]
            try:
                await asyncio.gather(*(self._answer(question) for _, question in due))
            except Exception:
                _logger.exception("An answer of %s could not be used; it is asked on.", source)
            await asyncio.sleep(0 if due else _IDLE_SECONDS)

    def _due(self, source: str) -> list[tuple[float, Question]]:
        """Questions to ask now, with when they were last asked."""
        now = self._clock()
        found = []
        for question in self._questions[source]:
            asked = self._asked.get(question)
            if asked is None:
                found.append((0.0, question))
            elif now - asked >= self._pause(question) and self._next.get(question, now) <= now:
                found.append((asked.timestamp(), question))
        return found

    def _pause(self, question: Question) -> timedelta:
        return PAUSE_FAILED if question in self._failed else PAUSE

    def _is_behind(self, question: Question, bar: datetime) -> bool:
        asked = self._asked.get(question)
        return asked is None or (asked < bar and self._next.get(question, bar) <= bar)

    async def _answer(self, question: Question) -> None:
        began, newest = self._clock(), self._newest.get(question)
        try:
            rows = await self._ask(question, newest)
        except SourceError:
            self._failed.add(question)  # The client has noted it in the source's state.
            return
        finally:
            self._asked[question] = began
        self._failed.discard(question)
        if not rows.empty:
            self._hold(question, rows, newest)

    def _hold(self, question: Question, rows: pd.DataFrame, newest: datetime | None) -> None:
        known_at = FILES[question.table].known_at
        last = rows.sort_values(known_at).iloc[-1]
        latest: datetime = last[known_at].to_pydatetime()
        # Venues stamp some milliseconds after the hour.
        hours = timedelta(hours=float(last.get("interval_hours", 1.0)))
        due = last[known_at].floor("min").to_pydatetime() + hours
        self._next[question] = datetime.max.replace(tzinfo=due.tzinfo) if question.once else due
        self._newest[question] = latest
        if newest is not None:
            rows = rows[rows[known_at] > newest - REVISED]
        if question in self._held:
            keys = [name for name in ("open_at", known_at) if name in rows]
            rows = pd.concat([self._held[question], rows], ignore_index=True).drop_duplicates(keys)
        self._held[question] = rows
