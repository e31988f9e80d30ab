"""Workers that write messages and send them, and are killed at any step of either.

A step ends before every statement and every commit, and between the methods of `Courier`. Who is killed
does nothing more: what it had not committed is undone, what it held stays held until the lease is over.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, event, func, select, update
from typing_extensions import override

from core.alerts.delivery import Outcome
from core.alerts.delivery.targets import Send
from core.jobs.sending import Courier, Holding
from core.store import outbox
from core.store.outbox import LEASE, Claimed, Message, message_key
from core.store.tables import alert_events, alert_progress, alert_rules, deliveries
from tests.channelled import HERE, NOON, SEALER

HOUR = timedelta(hours=1)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Fate(threading.local):
    """How many steps are left, for each thread. ``accepted`` while a receiver has what is not noted."""

    left: int = -1
    accepted: bool = False

    def step(self, *_: object) -> None:
        if self.left == 0:
            self.left = -1
            raise Killed
        self.left -= self.left > 0


@dataclass
class Clock:
    """Moves a little whenever it is read, and far when nobody has anything to do."""

    at: datetime = NOON
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> datetime:
        with self.lock:
            self.at += timedelta(milliseconds=20)
            return self.at

    def move(self, by: timedelta) -> None:
        with self.lock:
            self.at += by


@dataclass
class Mortal(Courier):
    """A courier whose steps may be its last."""

    fate: Fate = field(default_factory=Fate)

    @override
    def claim(self, channel_id: int) -> Claimed | None:
        self.fate.step()
        claimed = super().claim(channel_id)
        self.fate.step()
        return claimed

    @override
    def send(self, send: Send, claimed: Claimed) -> Outcome:
        self.fate.step()
        outcome = super().send(send, claimed)
        self.fate.accepted = outcome.sent
        self.fate.step()
        return outcome

    @override
    def note(
        self, claimed: Claimed, outcome: Outcome, took_ms: float, *, claim_next: bool
    ) -> Claimed | None:
        self.fate.step()
        following = super().note(claimed, outcome, took_ms, claim_next=claim_next)
        self.fate.accepted = False
        self.fate.step()
        return following


@dataclass
class Struck:
    """How often who was killed, and how often after a receiver had accepted what was not noted yet."""

    killed: int = 0
    after_accepted: int = 0


@dataclass
class Trial:
    """Two workers on one database: each writes the next bar's events with their messages, sends what is
    due, and is killed after some steps, until ``restarts`` were made. Then they end what is left."""

    engine: Engine
    channel_ids: list[int]
    restarts: int
    bars: int = 0
    seed: int = 1
    longest_life: int = 40
    clock: Clock = field(default_factory=Clock)
    fate: Fate = field(default_factory=Fate)
    struck: Struck = field(default_factory=Struck)
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock, self._idle = threading.Lock(), set[int]()
        with self.engine.begin() as conn:
            rule = alert_rules.insert().values(name="rule", version=1, created_at=NOON)
            self.rule_id = conn.execute(rule.returning(alert_rules.c.id)).scalar_one()
            start = {"rule_id": self.rule_id, "version": 1, "bar": NOON, "health": "ok"}
            none = {"unknown": 0, "symbols": 1, "stepped_at": NOON}
            conn.execute(alert_progress.insert().values(start | none))

    def run(self) -> None:
        """Both workers at the same time, each in a thread."""
        step = self.fate.step
        event.listen(self.engine, "before_cursor_execute", step)
        event.listen(self.engine, "commit", step)
        threads = [threading.Thread(target=self._live_again_and_again, args=(n,)) for n in (0, 1)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            event.remove(self.engine, "before_cursor_execute", step)
            event.remove(self.engine, "commit", step)
        assert not self.failures, self.failures

    def _live_again_and_again(self, number: int) -> None:
        chance = random.Random(self.seed * 10 + number)
        lives = 0
        try:
            while not self._is_over():
                lives += 1
                mortal = self.struck.killed < self.restarts
                self.fate.left = chance.randrange(self.longest_life) if mortal else -1
                self.fate.accepted = False
                try:
                    self._live(number, f"worker {number}/{lives}")
                except Killed:
                    self._bury()
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            self.failures.append(error)
        finally:
            self.fate.left = -1
            with self._lock:
                self._idle.add(number)

    def _bury(self) -> None:
        with self._lock:
            self.struck.killed += 1
            self.struck.after_accepted += self.fate.accepted

    def _live(self, number: int, name: str) -> None:
        courier = Mortal(
            self.engine, lambda: SEALER, HERE, name, self.clock, lambda: 1.0, fate=self.fate
        )
        while not self._is_over():
            with self._lock:
                self._idle.discard(number)
            wants, found = self._look()
            wrote = wants and self._write()
            for due in found:
                holding = Holding(due.channel_id, due.failing)
                courier.send_all(due.channel_id, lambda: True, holding)
            if not wrote and not found:
                self._rest(number)
            if self.struck.killed >= self.restarts:
                self.fate.left = -1

    def _rest(self, number: int) -> None:
        """Time passes when neither has anything to do, so no lease ends while somebody sends."""
        with self._lock:
            self._idle.add(number)
            if len(self._idle) == 2:
                self._idle.clear()
                self.clock.move(LEASE / 2)
                return
        time.sleep(0.002)

    def _write(self) -> bool:
        """The next bar: that it was worked on, what happened, and who is to be told, or nothing of it."""
        with self.engine.begin() as conn:
            bar = conn.scalar(select(alert_progress.c.bar))
            assert bar is not None
            mine = (alert_progress.c.rule_id == self.rule_id) & (alert_progress.c.bar == bar)
            if (
                conn.execute(update(alert_progress).where(mine).values(bar=bar + HOUR)).rowcount
                == 0
            ):
                return True
            self._tell(conn, bar + HOUR)
        return True

    def _look(self) -> tuple[bool, list[outbox.Due]]:
        """Whether more is to be written, which ends with the restarts, and what is due. To look is no
        step, or most would be killed while they wait for a lease to end."""
        left, self.fate.left = self.fate.left, -1
        with self.engine.connect() as conn:
            wants = self._waiting(conn) <= 5 * len(self.channel_ids)
            found = outbox.load_due(conn, self.clock())
        self.fate.left = left
        return wants and self.struck.killed < self.restarts, found

    def _waiting(self, conn: Connection) -> int:
        query = select(func.count()).select_from(deliveries)
        return conn.scalar(query.where(deliveries.c.state == "waiting")) or 0

    def _tell(self, conn: Connection, bar: datetime) -> None:
        happened: dict[str, Any] = {
            **{"rule_id": self.rule_id, "version": 1, "symbol": "BTCUSDT", "kind": "fired"},
            **{"at": bar, "severity": "info", "reason": "test", "told": "sent", "recorded_at": bar},
        }
        conn.execute(alert_events.insert().values(happened))
        messages = [self.message(bar, one) for one in self.channel_ids]
        assert outbox.put(conn, messages, self.clock()) == len(messages)

    def message(self, bar: datetime, channel_id: int) -> Message:
        key = message_key(rule_id=self.rule_id, bar=bar, kind="fired", channel_id=channel_id)
        content = {"kind": "fired", "at": bar.isoformat()}
        return Message(key, channel_id, "info", "Fired", "BTCUSDT", content, self.rule_id)

    def keys(self, channel_id: int) -> list[str]:
        """The keys that a channel has to get, in order."""
        bars = [NOON + number * HOUR for number in range(1, self.bars + 1)]
        return [self.message(bar, channel_id).key for bar in bars]

    def _is_over(self) -> bool:
        if self.failures:
            return True
        if self.struck.killed < self.restarts:
            return False
        left, self.fate.left = self.fate.left, -1
        with self.engine.connect() as conn:
            waiting = self._waiting(conn)
            bar = conn.scalar(select(alert_progress.c.bar))
        self.fate.left = left
        assert bar is not None
        self.bars = (bar - NOON) // HOUR
        return waiting == 0


def check(trial: Trial, keys: Callable[[int], list[str]]) -> None:
    """Every event was written once and told once to every channel, in order."""
    with trial.engine.connect() as conn:
        events = conn.scalar(select(func.count()).select_from(alert_events))
        found = conn.execute(select(deliveries.c.state, func.count()).group_by(deliveries.c.state))
        assert [tuple(row) for row in found] == [("sent", trial.bars * len(trial.channel_ids))]
    assert events == trial.bars
    for channel_id in trial.channel_ids:
        assert keys(channel_id) == trial.keys(channel_id)
