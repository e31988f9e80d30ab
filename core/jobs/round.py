"""The round of a bar: collect what was published, decide what is new, resolve what is due.

The parts are what one worker does at a time; every one can be done again without a second effect.
Signals come first, of all markets, and then what became of earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, Engine

from core.jobs.alerting import Alerting
from core.jobs.collecting import BACKFILL, Collector, collect
from core.jobs.deciding import LATE, STEP_ROWS, History, batch_of, decide_bars
from core.jobs.resolving import resolve_due
from core.observing.parts import part
from core.store.leases import WORKER, load_leases
from core.store.observations import count_bars, load_symbols
from core.store.profiles import load_schedules
from core.store.rounds import (
    advance_past,
    announce_past,
    end_past,
    end_round,
    last_done,
    start_round,
    wait_round,
)

HOUR = timedelta(hours=1)
# Signals older than this before the last round have their outcomes, or lack the bars for them.
DUE = timedelta(days=3)
LABEL = "Live market"
# Markets are worked on in a part for each worker that lives, up to so many: the time of a part
# hardly depends on how many markets are in it.
BATCHES = 4


def newest_bar(now: datetime) -> datetime:
    """The close of the newest bar that is over, whose round may begin.

    >>> newest_bar(datetime.fromisoformat("2025-11-01T13:59:59+00:00")).isoformat()
    '2025-11-01T13:00:00+00:00'
    >>> newest_bar(datetime.fromisoformat("2025-11-01T14:00:00+00:00")).isoformat()
    '2025-11-01T14:00:00+00:00'
    """
    return now.replace(minute=0, second=0, microsecond=0)


class SecondOpinions(Protocol):
    """Who gives further verdicts on a bar's live signals; see `core.jobs.opinions`."""

    def ask(self, bar: datetime) -> int: ...


@dataclass(frozen=True)
class Jobs:
    """The parts of a round, with what they need of the outside."""

    engine: Engine
    collector: Collector
    worker: str
    clock: Callable[[], datetime]
    batches: int = BATCHES
    history: History = field(default_factory=History)
    opinions: SecondOpinions | None = None
    alerting: Alerting | None = None

    @part("begin")
    def begin(self, bar: datetime) -> bool:
        """Whether there is anything left to do for a bar."""
        with self.engine.begin() as conn:
            return start_round(conn, bar, self.worker, self.clock())

    @part("collect")
    def collect(self, bar: datetime) -> tuple[int, int]:
        """New observations, and how many markets still wait for their past.

        A past that is long is announced, so that its progress shows.
        """
        new, waiting = collect(self.engine, self.collector, bar, self.worker, self.clock)
        if new > STEP_ROWS or waiting:
            with self.engine.begin() as conn:
                rows = count_bars(conn, bar - BACKFILL, bar) + waiting * (BACKFILL // HOUR)
                if rows > STEP_ROWS:
                    profiles = [schedule.at(bar) for schedule in load_schedules(conn)]
                    announce_past(conn, _past(bar), LABEL, profiles, rows, self.clock())
        return new, waiting

    def parts(self) -> int:
        """Into how many batches the markets are divided now."""
        with self.engine.connect() as conn:
            living = len(load_leases(conn, WORKER, datetime.now(UTC)))
        return max(1, min(living, self.batches))

    @part("decide")
    def decide(self, bar: datetime, number: int, of: int) -> tuple[int, int]:
        """Store what is new of the symbols of a batch; how many bars and signals."""
        symbols = self._symbols(bar - LATE, number, of)
        if not symbols:
            return 0, 0

        def told(conn: Connection, rows: int) -> None:
            advance_past(conn, _past(bar), rows, self.clock())

        done = decide_bars(self.engine, self.history, symbols, bar, self.clock, told)
        return done.bars, done.signals

    @part("alert")
    def alert(self, bar: datetime) -> int:
        """Judge the alert rules up to a bar; how many things happened."""
        return 0 if self.alerting is None else self.alerting.judge(bar)

    @part("ask")
    def ask(self, bar: datetime) -> int:
        """Ask a model about the live signals up to a bar, where there is one; how many verdicts."""
        return 0 if self.opinions is None else self.opinions.ask(bar)

    @part("resolve")
    def resolve(self, bar: datetime, number: int, of: int) -> int:
        """Store what has become of the signals of a batch; how many outcomes are new."""
        symbols = self._symbols(bar - DUE, number, of)
        with self.engine.connect() as conn:
            last = last_done(conn, bar)
        since = bar - BACKFILL if last is None else max(last - DUE, bar - BACKFILL)
        return resolve_due(self.engine, symbols, since, bar, self.clock) if symbols else 0

    def pause(self, bar: datetime, waiting: int) -> None:
        """Note that markets wait; the round is asked for again until none does."""
        with self.engine.begin() as conn:
            wait_round(conn, bar, f"The past of {waiting} more markets is still being asked for.")

    def end(self, bar: datetime, message: str | None = None, **counts: int) -> None:
        """Note how it went."""
        with self.engine.begin() as conn:
            end_round(conn, bar, self.clock(), message, **counts)
            if message is None:
                end_past(conn, bar, self.clock())

    def _symbols(self, since: datetime, number: int, of: int) -> list[str]:
        """The symbols of a batch that have had a candle since a time."""
        with self.engine.connect() as conn:
            known = load_symbols(conn, since)
        return [symbol for symbol in known if batch_of(symbol, of) == number]


def _past(bar: datetime) -> str:
    return f"past {bar.isoformat()}"
