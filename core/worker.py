"""A worker: for as long as it runs, every bar of the live market gets its round, and what was asked
for is run.

What there is to do is asked of the database every second, so nothing is forgotten when a worker
dies; as many as wanted may run on one PostgreSQL.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.accounts.home import may_sign_in
from core.jobs.alerting import Alerting
from core.jobs.backtests import Backtests
from core.jobs.collecting import Collector, NoSources
from core.jobs.durable import (
    Rounds,
    adopt_orphans,
    durable_rounds,
    forget_finished,
    lead,
    living,
    say_goodbye,
    stay_alive,
)
from core.jobs.factor_days import LATE, is_quiet, sum_factor_days
from core.jobs.lost import find_lost
from core.jobs.retention import drop_old
from core.jobs.round import BATCHES, Jobs, newest_bar
from core.jobs.sender import Sender
from core.keeping.schedule import Schedule
from core.market.choice import Market, live_market
from core.settings import Settings, load_settings
from core.store.health import load_used_budgets, save_health
from core.store.rounds import is_done

if TYPE_CHECKING:
    from core.jobs.opinions import Opinions

TICK_SECONDS, POLL_SECONDS = 1.0, 0.1
BEAT_SECONDS = 3.0
# One that could not say for so long that it lives is not well; others have taken its work up.
WELL_SECONDS = 30.0
SUM_TICKS = 60
# A round that failed, or in which markets wait for their past, is tried again in the next of these.
ATTEMPT = timedelta(seconds=20)
# What is under way may be finished; more would be cut off by whoever stops the process.
DRAIN_SECONDS = 6.0
RETENTION_SECONDS = 6 * 3600.0
# So shortly before a bar closes nothing is begun that its round would wait for.
EVE_SECONDS = 2.0
_logger = logging.getLogger(__name__)


def now() -> datetime:
    return datetime.now(UTC)


def new_name() -> str:
    """A name for this worker that no other has, also after a restart.

    >>> new_name() == new_name()
    False
    """
    return f"{socket.gethostname()[:24]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def collect_garbage_seldom() -> None:
    """For a process that is a worker: to look through all it keeps takes longer than a part of a round.

    What is there by now stays, and looking begins when a round has made as much as a round makes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@dataclass
class Worker:
    """What one process does. ``clock`` is the time of the market; one without a ``collector`` is not
    followed, and only what was asked for is done. ``settings`` say which model is asked, if any."""

    engine: Engine
    collector: Collector | None
    name: str = field(default_factory=new_name)
    clock: Callable[[], datetime] = now
    batches: int = BATCHES
    tick_seconds: float = TICK_SECONDS
    stopping: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    market: Market = field(default_factory=live_market)
    settings: Settings | None = None
    # Sends what waits in the outbox, while the worker runs; `wake` it when something was put.
    sending: Sender | None = None
    _alive_at: float = field(default_factory=monotonic)

    def run(self) -> bool:
        """Work until `stop`; whether what was under way then has been finished.

        Where it has not, threads are left behind that may never end; others take that work up
        when this process is gone.
        """
        self._show_life()
        settings = self.settings or load_settings()
        sending = self.sending = Sender(self.engine, settings, self.name)
        backtests = Backtests(
            self.engine,
            settings,
            self.market,
            self.name,
            market_clock=self.clock,
            stopping=self.stopping,
        )
        jobs = Jobs(
            self.engine,
            self.collector or NoSources(),
            self.name,
            self.clock,
            self.batches,
            opinions=None if self.collector is None else self._opinions(),
            alerting=Alerting(
                self.engine,
                self.clock,
                sending.wake,
                settings.url or "",
                lambda: may_sign_in(self.engine, settings),
                sending.go_first,
            ),
        )
        beating = threading.Thread(target=self._beat, name="alive", daemon=True)
        beating.start()
        summing = threading.Thread(target=self._sum, name="factor days", daemon=True)
        summing.start()
        try:
            poll = min(POLL_SECONDS, self.tick_seconds)
            backups = Schedule(settings, self.name, self.stopping, lambda: is_quiet(self.clock()))
            with sending, backups, durable_rounds(jobs, poll, backtests) as rounds:
                self._loop(rounds)
                return rounds.wait(DRAIN_SECONDS)
        finally:
            self.stopping.set()
            beating.join()
            summing.join(DRAIN_SECONDS)
            say_goodbye(self.engine, self.name)

    def stop(self) -> None:
        self.stopping.set()

    def is_well(self) -> bool:
        """Whether it still says that it lives, and has not been asked to end."""
        return not self.stopping.is_set() and monotonic() - self._alive_at < WELL_SECONDS

    def _opinions(self) -> Opinions | None:
        if self.settings is None or self.settings.model is None:
            return None
        from core.jobs.opinions import Opinions  # brings what takes a second to import

        return Opinions(self.engine, self.settings, self.name, self.clock, self.stopping)

    def _loop(self, rounds: Rounds) -> None:
        adopted = retained = -RETENTION_SECONDS
        find_lost(self.engine, self.name, self.clock(), ever=True)
        while not self.stopping.wait(self._pause()):
            try:
                if self.leads:
                    self._request(rounds)
                if self._until_close() < EVE_SECONDS:
                    continue
                if rounds.backtests is not None:
                    rounds.backtests.enqueue_waiting()
                if monotonic() - adopted > BEAT_SECONDS:
                    adopted = monotonic()
                    for flow in adopt_orphans(self.engine, self.name):
                        _logger.warning("%s takes up %s of a worker that is gone.", self.name, flow)
                    if rounds.backtests is not None:
                        rounds.backtests.take_up_stranded({self.name, *living(self.engine)})
                    find_lost(self.engine, self.name, self.clock())
                if monotonic() - retained > RETENTION_SECONDS and is_quiet(self.clock()):
                    retained = monotonic()
                    drop_old(self.engine, self.clock())
                    forget_finished(now())
            except SQLAlchemyError:
                _logger.exception("The database did not answer; it is asked again.")

    def _request(self, rounds: Rounds) -> None:
        moment = self.clock()
        bar = newest_bar(moment)
        with self.engine.connect() as conn:
            if is_done(conn, bar):
                return
        began = datetime(1970, 1, 1, tzinfo=UTC)
        rounds.request(bar, moment - (moment - began) % ATTEMPT)

    def _pause(self) -> float:
        """Seconds until there may be something to do: a bar's round begins when it closes."""
        return min(self.tick_seconds, self._until_close() + 0.001)

    def _until_close(self) -> float:
        return 3600.0 - self.clock().timestamp() % 3600.0

    def _beat(self) -> None:
        while not self.stopping.wait(BEAT_SECONDS):
            try:
                self._show_life()
            except SQLAlchemyError:
                _logger.exception("The database did not answer; it is asked again.")
            except Exception:
                _logger.exception("This worker could not tell how it is; it tries again.")

    def _sum(self) -> None:
        """Sum the days of factors that are over, a few at a time, away from the close of a bar."""
        while not self.stopping.wait(SUM_TICKS * self.tick_seconds):
            try:
                if self.leads and self._may_sum():
                    newest = newest_bar(self.clock())
                    sum_factor_days(self.engine, newest - LATE, newest, self._may_sum)
            except SQLAlchemyError:
                _logger.exception("The database did not answer; days are summed later.")
            except Exception:
                _logger.exception("A day of factors could not be summed; it is tried again.")

    def _may_sum(self) -> bool:
        return is_quiet(self.clock()) and not self.stopping.is_set()

    def _show_life(self) -> None:
        """Stay alive, and either ask the sources and tell how they are, or leave them to another."""
        stay_alive(self.engine, self.name)
        self._alive_at = monotonic()
        if self.collector is None:
            return
        led, self.leads = self.leads, lead(self.engine, self.name)
        if self.leads and not led:
            with self.engine.connect() as conn:
                used = load_used_budgets(conn, self.name, self.clock())
            self.collector.take_over(used)
        elif led and not self.leads:
            self.collector.rest()
        if self.leads:
            with self.engine.begin() as conn:
                save_health(conn, self.collector.states(), self.name, self.clock())
