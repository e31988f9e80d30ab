"""A live market made of tables: what a worker fetches is what they held by then.

Run as a program it is a worker on a market whose time runs fast; see `start_worker`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from core.errors import SourceUnavailable
from core.jobs.asking import Newest
from core.jobs.collecting import BACKFILL, Collected
from core.market.demo import demo_tables
from core.market.files import FILES
from core.market.source_state import SourceState

ROOT = Path(__file__).resolve().parents[1]
Tables = Mapping[str, pd.DataFrame]
REACH_BACK = timedelta(hours=26)


def few(tables: Tables, symbols: list[str]) -> dict[str, pd.DataFrame]:
    """Only these symbols of tables."""
    return {
        name: table[table["symbol"].isin(symbols)].reset_index(drop=True)
        if "symbol" in table
        else table
        for name, table in tables.items()
    }


@dataclass
class TablesCollector:
    """Serves what tables had published; ``down`` makes it fail as a source that is away does."""

    tables: Tables
    down: bool = False
    asked: list[tuple[datetime, datetime]] = field(default_factory=list)

    def fetch(self, newest: Newest, bar: datetime) -> Collected:
        stored = newest.get("candles_1h", {}).values()
        since = max(min(stored, default=bar - BACKFILL) - REACH_BACK, bar - BACKFILL)
        self.asked.append((since, bar))
        if self.down:
            raise SourceUnavailable("The exchange does not answer.")
        known = {name: table[FILES[name].known_at] for name, table in self.tables.items()}
        return Collected(
            {
                name: table[(known[name] >= since) & (known[name] <= bar)]
                for name, table in self.tables.items()
            }
        )

    def saved(self) -> None:
        return

    def rest(self) -> None:
        return

    def take_over(self, used: object) -> None:
        return

    def states(self) -> list[SourceState]:
        moment = datetime(2025, 11, 1, tzinfo=UTC)
        return [SourceState("tables", requests=len(self.asked), last_success_at=moment)]


@dataclass(frozen=True)
class FastClock:
    """The time of a market in which an hour lasts ``seconds``; ``began`` is Unix time."""

    first: datetime
    began: float
    seconds: float

    def __call__(self) -> datetime:
        return self.first + (time.time() - self.began) / self.seconds * timedelta(hours=1)


def start_worker(
    url: str,
    *,
    symbols: list[str],
    days: int,
    first: datetime,
    seconds: float,
    began: float | None = None,
    batches: int = 2,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """A worker in a process of its own; those with the same ``began`` live at the same time.

    ``environment`` are its settings, such as those of a model.
    """
    options = {
        "url": url,
        "symbols": symbols,
        "days": days,
        "first": first.isoformat(),
        "began": time.time() if began is None else began,
        "seconds": seconds,
        "batches": batches,
        "environment": dict(environment or {}),
    }
    command = [sys.executable, "-m", "tests.live_market", json.dumps(options)]
    return subprocess.Popen(command, cwd=ROOT)


def main(options: dict[str, object]) -> None:
    from core import worker
    from core.jobs import durable
    from core.settings import load_settings
    from core.store.database import open_database

    # A worker that is killed every few seconds has to be missed as fast.
    durable.ALIVE, worker.BEAT_SECONDS = timedelta(seconds=2), 0.4
    tables = few(demo_tables(days=int(str(options["days"]))), list(options["symbols"]))  # type: ignore[call-overload]
    clock = FastClock(
        datetime.fromisoformat(str(options["first"])),
        float(str(options["began"])),
        float(str(options["seconds"])),
    )
    worker.Worker(
        open_database(str(options["url"])),
        TablesCollector(tables),
        clock=clock,
        batches=int(str(options["batches"])),
        tick_seconds=0.05,
        settings=load_settings(options["environment"]),  # type: ignore[arg-type]
    ).run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
