"""A language model's verdicts on the live signals of a bar.

Asked beside the rounds, never inside one, so that signals, outcomes and the next bar do not wait for a
model. Every signal with a direction is asked about once, while its bar is new, and never about the past.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

import pandas as pd
import stamina
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.jobs.lost import find_lost
from core.market.breaker import Breaker
from core.settings import Settings
from core.store.coins import load_coins
from core.store.database import dump_json
from core.store.signals import load_bars
from core.store.verdicts import (
    Asked,
    Claim,
    Limits,
    Opinion,
    claim,
    claim_retry,
    is_fresh,
    load_unasked,
    save_verdicts,
)
from core.verdicts.model import Question, ask_about, price_summary
from core.verdicts.model.asking import Asker, Endpoint, Reply
from core.verdicts.model.version import version_asked

PRICES = timedelta(days=30)
FAILURES_TO_OPEN, OPEN_SECONDS, LONGEST_OPEN_SECONDS = 5, 60.0, 1800.0
# An answer that was paid for is kept through a database that is away for a while.
SAVING_SECONDS = 120.0

_TOO_OLD = "The bar is too old by now for another try."
_NOT_ASKED = "Not asked: the bar was too old when its turn came."


@dataclass(frozen=True)
class Group:
    """Signals with the same question, such as those of several modes on one bar at ``time``."""

    signal_ids: tuple[int, ...]
    time: datetime
    question: Question


def _new_breaker() -> Breaker:
    return Breaker(FAILURES_TO_OPEN, OPEN_SECONDS, LONGEST_OPEN_SECONDS)


@dataclass
class Opinions:
    """Asks the model of the settings, for one worker. ``clock`` is the time of the market."""

    engine: Engine
    settings: Settings
    worker: str
    clock: Callable[[], datetime]
    stopping: threading.Event = field(default_factory=threading.Event)
    first_wait: float = 0.5
    breaker: Breaker = field(default_factory=_new_breaker)
    _under_way: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.endpoint = Endpoint(self.settings, self.first_wait)
        self.asked = Asked(
            self.endpoint.address,
            self.endpoint.model,
            version_asked(self.endpoint.address, self.endpoint.temperature),
            self.endpoint.temperature,
        )
        self.limits = Limits(self.settings.model_calls_per_day, self.settings.model_usd_per_day)

    def ask(self, bar: datetime) -> int:
        """Ask about what is live and was not asked about yet, up to a bar; how many verdicts are new."""
        find_lost(self.engine, self.worker, self.clock(), self._under_way)
        groups = self.groups(bar)
        return asyncio.run(self._ask_all(groups)) if groups else 0

    def groups(self, bar: datetime) -> list[Group]:
        """The questions of a bar, the signals of the highest conviction first."""
        with self.engine.connect() as conn:
            unasked = load_unasked(conn, bar, self.clock(), self.settings.model_modes)
            if unasked.empty:
                return []
            coins = load_coins(conn)["name"]
            prices = {
                symbol: load_bars(conn, symbol, bar - PRICES, bar)
                for symbol in unasked.index.unique("symbol")
            }
        return group(unasked, prices, coins)

    async def _ask_all(self, groups: Sequence[Group]) -> int:
        slots = asyncio.Semaphore(self.settings.model_concurrency)
        async with self.endpoint.opened() as asker:
            done, rest = 0, list(groups)
            # After a spell of failures one goes first, and what comes of it decides on the others.
            while rest and self.breaker.phase(monotonic()) == "half-open":
                done += await self._ask_one(asker, rest.pop(0), slots)
            return done + sum(
                await asyncio.gather(*(self._ask_one(asker, one, slots) for one in rest))
            )

    async def _ask_one(self, asker: Asker, group: Group, slots: asyncio.Semaphore) -> int:
        async with slots:
            if self.stopping.is_set() or not self._fresh(group):
                return 0  # Not claimed: whoever takes this work up asks, while the bar is new.
            self._under_way.update(group.signal_ids)
            try:
                return await self._ask_or_say_why_not(asker, group)
            finally:
                self._under_way.difference_update(group.signal_ids)

    async def _ask_or_say_why_not(self, asker: Asker, group: Group) -> int:
        admitted = self.breaker.admit(monotonic())
        try:
            claimed = await asyncio.to_thread(self._claim, group, admitted)
            if claimed is None:
                return 0  # Another worker has it.
            if not claimed.affordable:
                return await self._keep(
                    claimed, _over_budget() if admitted else self._unavailable()
                )

            async def why_not() -> str | None:
                if not self._fresh(group):
                    return _TOO_OLD
                if not await asyncio.to_thread(self._claim_retry, claimed, group.question):
                    return "The day's budget allows no other try."
                return None if self._fresh(group) else _TOO_OLD

            if not self._fresh(group):  # To claim it may have taken a while.
                return await self._keep(claimed, Opinion("unavailable", error=_NOT_ASKED))
            reply = await asker.ask(group.question, why_not)
            self._note(reply)
            return await self._keep(claimed, _opinion(reply, group.question))
        finally:
            self.breaker.give_up_trial()

    def _fresh(self, group: Group) -> bool:
        """Whether nothing that came of the bar can be known yet."""
        return is_fresh(group.time, self.clock())

    def _note(self, reply: Reply) -> None:
        if reply.reached:
            self.breaker.succeed()
        else:
            self.breaker.fail(monotonic())

    def _claim(self, group: Group, admitted: bool = True) -> Claim | None:
        """What is not admitted to the endpoint takes nothing of the budget."""
        with self.engine.begin() as conn:
            return claim(
                conn,
                group.signal_ids,
                self.asked,
                self.worker,
                self.clock(),
                limits=self.limits if admitted else Limits(0),
                worst_usd=self.endpoint.worst_usd(group.question),
            )

    def _claim_retry(self, claimed: Claim, question: Question) -> bool:
        with self.engine.begin() as conn:
            return claim_retry(
                conn,
                claimed.signal_ids[0],
                self.clock(),
                limits=self.limits,
                worst_usd=self.endpoint.worst_usd(question),
            )

    async def _keep(self, claimed: Claim, opinion: Opinion) -> int:
        async for attempt in stamina.retry_context(
            on=SQLAlchemyError, attempts=None, timeout=SAVING_SECONDS
        ):
            with attempt:
                return await asyncio.to_thread(self._save, claimed, opinion)
        raise AssertionError("a retry ends with a result or an error")

    def _save(self, claimed: Claim, opinion: Opinion) -> int:
        with self.engine.begin() as conn:
            return len(save_verdicts(conn, claimed.signal_ids, opinion, self.clock()))

    def _unavailable(self) -> Opinion:
        left = self.breaker.seconds_left(monotonic())
        return Opinion(
            "unavailable",
            error=f"Not asked: the endpoint failed {self.breaker.failures} times in a row and is left "
            f"alone for another {left:.0f} s.",
        )


def group(unasked: pd.DataFrame, prices: dict[str, pd.DataFrame], coins: pd.Series) -> list[Group]:
    """Signals by their question, in the order in which they come.

    ``unasked`` is as `core.store.verdicts.load_unasked` gives it, ``prices`` the bars of each symbol,
    ``coins`` the names of coins by symbol.
    """
    together: dict[str, tuple[datetime, Question, list[int]]] = {}
    for (symbol, time), values in zip(unasked.index, unasked.to_dict("records"), strict=True):
        at, row = time.to_pydatetime(), {str(name): value for name, value in values.items()}
        outside = {"symbol": symbol}
        if symbol in coins.index:
            outside["coin_name"] = str(coins[symbol])
        question = ask_about(
            row, time=at, prices=price_summary(prices[symbol], at), outside=outside
        )
        together.setdefault(question.user, (at, question, []))[2].append(int(row["signal_id"]))
    return [Group(tuple(ids), at, question) for at, question, ids in together.values()]


def _opinion(reply: Reply, question: Question) -> Opinion:
    judged = reply.judged
    return Opinion(
        reply.state,
        None if judged is None else judged.verdict,
        None if judged is None else judged.risk_mode,
        None if judged is None else judged.multiplier,
        () if judged is None else judged.reasons,
        None if judged is None else judged.change_of_mind,
        reply.error,
        reply.attempts,
        reply.prompt_tokens,
        reply.completion_tokens,
        reply.cost_usd,
        reply.latency_ms,
        dump_json(question.messages),
        reply.raw_reply,
    )


def _over_budget() -> Opinion:
    return Opinion("over_budget", error="Not asked: the day's budget does not allow another call.")
