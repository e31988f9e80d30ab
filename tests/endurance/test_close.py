"""500 symbols from the close of a bar to the database, against exchanges 50 ms away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, func, select, text

from core.jobs.durable import bookkeeping_url
from core.market.demo import END
from core.store.database import open_database
from core.store.rounds import load_rounds
from core.store.tables import measurements, observed, signals
from tests.endurance.clocks import CloseClock
from tests.endurance.figures import length, memory_mb, say, wait_for
from tests.endurance.markets import fill, made_tables
from tests.endurance.outside import Outside, outside
from tests.endurance.working import Working, end, live_settings, write_tables
from tests.stored import rounds_done

SYMBOLS = int(length("CLOSE_SYMBOLS", 500))
CLOSES = int(length("CLOSE_BARS", 5))
SECONDS = length("CLOSE_SECONDS", 120)
LATENCY_S = 0.05
LIMIT_S = 5.0
# A bar is judged by 30 days before it, on inputs that look back another few.
DAYS = 34


@contextmanager
def at_work(engine: Engine, folder: Path) -> Iterator[Outside]:
    """A market whose past is there, a world, and a worker that follows it."""
    first = END - timedelta(hours=CLOSES + 4)
    tables = made_tables(SYMBOLS, END, DAYS)
    fill(engine, tables, first)
    write_tables(folder / "tables", tables)
    clock = CloseClock(first, time.time(), SECONDS)
    with outside(folder / "tables", clock, latency_s=LATENCY_S, rate=20) as world:
        url = engine.url.render_as_string(hide_password=False)
        settings, log = live_settings(world.endpoints), folder / "workers.txt"
        working = Working(url, clock, settings, folder / "spool", hasty=False, log=log)
        working.tick_seconds = 1.0
        worker = working.start()
        try:
            yield world
            say(f"memory of the worker {memory_mb(worker.pid):.0f} MB")
            end(worker)
        finally:
            working.kill()


@pytest.mark.long
def test_500_symbols_are_stored_5_seconds_after_their_close(engine: Engine, tmp_path: Path) -> None:
    with at_work(engine, tmp_path) as world:
        wait_for(lambda: len(rounds_done(engine)) > CLOSES + 1, (CLOSES + 3) * SECONDS + 240)
        peaks, asked = world.peaks(), world.requests()
    # The first bar after a start has a past to ask for.
    bars = sorted(rounds_done(engine).index)[2:]
    table = pd.DataFrame([parts_of(engine, bar) for bar in bars], index=pd.Index(bars, name="bar"))
    say(f"{engine.dialect.name}, {SYMBOLS} symbols, seconds after the close:", table.to_string())
    say("seconds of each part:", steps_of(engine, bars).to_string())
    say(f"requests: {asked}", budgets_of(peaks).to_string())
    assert (table["signals"] == SYMBOLS * 3).all()
    for budgets in peaks.values():
        assert all(most <= allowed for most, allowed in budgets.values())
    assert table["last decided"].median() <= LIMIT_S


def parts_of(engine: Engine, bar: datetime) -> dict[str, float]:
    """When each part of a bar's round was over, in seconds after the close."""
    candles = observed["candles_1h"]
    with engine.connect() as conn:
        row = load_rounds(conn, 1_000).loc[bar]
        collected = conn.scalar(
            select(func.max(candles.c.seen_at)).where(candles.c.published_at == bar)
        )
        of_bar = signals.c.time == bar
        first, last, count = conn.execute(
            select(
                func.min(signals.c.recorded_at), func.max(signals.c.recorded_at), func.count()
            ).where(of_bar)
        ).one()
        full = conn.scalar(
            select(func.avg(signals.c.coverage)).where(of_bar, signals.c.profile_name == "balanced")
        )
        measured = conn.scalar(select(func.count()).where(measurements.c.time == bar))
    times = {
        "begun": row["started_at"],
        "collected": collected,
        "first decided": first,
        "last decided": last,
        "stored": row["finished_at"],
    }
    passed = {name: (pd.Timestamp(at) - bar).total_seconds() for name, at in times.items()}
    return {
        **{name: round(seconds, 2) for name, seconds in passed.items()},
        "signals": count,
        "measured": measured or 0,
        "coverage": round(float(full or 0), 2),
    }


def steps_of(engine: Engine, bars: list[datetime]) -> pd.DataFrame:
    """What DBOS noted of the parts: median seconds of each, and how many there were."""
    schema = "" if engine.dialect.name == "sqlite" else "dbos."
    query = text(
        f"SELECT function_name, started_at_epoch_ms, completed_at_epoch_ms, workflow_uuid "
        f"FROM {schema}operation_outputs"
    )
    jobs = open_database(bookkeeping_url(engine))
    with jobs.connect() as conn:
        rows = pd.DataFrame(conn.execute(query).mappings().all())
    jobs.dispose()
    rows["seconds"] = (rows["completed_at_epoch_ms"] - rows["started_at_epoch_ms"]) / 1000
    return rows.groupby("function_name")["seconds"].agg(["count", "median", "max"]).round(2)


def budgets_of(peaks: dict[str, dict[str, tuple[int, int]]]) -> pd.DataFrame:
    found = [
        (source, name, most, allowed, f"{most / allowed:.0%}")
        for source, budgets in peaks.items()
        for name, (most, allowed) in budgets.items()
        if most
    ]
    return pd.DataFrame(found, columns=["source", "budget", "most in its window", "allowed", ""])
