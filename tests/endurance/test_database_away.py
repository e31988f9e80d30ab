"""The database goes away for a minute under a stream of events, while bars close."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from core.market.demo import END
from core.store import open_store
from core.store.liquidations import load_gaps, load_streams
from tests.conftest import run_postgres
from tests.endurance.figures import length, say, wait_for
from tests.endurance.markets import demo_without_late_candles
from tests.endurance.publishing import Publisher
from tests.endurance.working import Working, end, settings_of
from tests.live_market import FastClock
from tests.stored import assert_everything_is_there_once, events_of, newest_bar_of, rounds_done
from tests.world import World

AWAY_SECONDS = length("AWAY_SECONDS", 60)
RATE = length("AWAY_EVENTS_PER_SECOND", 500)
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
HOUR_SECONDS = 8.0


@pytest.fixture
def server() -> Iterator[Any]:
    """A PostgreSQL that nobody else uses, so that it can be stopped."""
    with run_postgres() as server:
        yield server


@pytest.mark.long
def test_nothing_is_lost_when_the_database_was_away_for_a_minute(
    server: Any, tmp_path: Path
) -> None:
    url = server.get_uri("postgres")
    engine = open_store(url)
    hours = int((AWAY_SECONDS + 300) / HOUR_SECONDS)
    tables = demo_without_late_candles(SYMBOLS, END, 12 + hours // 24 + 1)
    first = tables["candles_1h"]["open_at"].min().to_pydatetime() + timedelta(days=12)
    clock = FastClock(first, time.time(), HOUR_SECONDS)
    log = tmp_path / "workers.txt"
    with World(tables, clock) as world:
        settings = settings_of(world.endpoints)
        working = Working(url, clock, settings, tmp_path / "spool", batches=2, log=log)
        worker = working.start()
        try:
            wait_for(lambda: len(rounds_done(engine)) > 1 and all_live(engine), 60)
            wait_for(lambda: all(tape.listeners for tape in heard(world)), 10)
            with Publisher(world, clock, SYMBOLS, RATE) as publisher:
                time.sleep(3)
                before = newest_bar_of(engine)
                server.stop()
                time.sleep(AWAY_SECONDS)
                server.ensure_postgres_running()
                back = time.monotonic()
                engine.dispose()
                rounds = wait_for(lambda: newest_bar_of(engine) > before + missed(), 120)
                time.sleep(3)
            stored = wait_for(lambda: stored_events(engine) >= len(publisher.sent), 60)
            assert worker.poll() is None, "the worker is another process now"
            wait_for(lambda: len(rounds_done(engine)) > 3, 60)
            end(worker)
        finally:
            working.kill()
    scored = assert_everything_is_there_once(engine, tables["candles_1h"])
    events = events_of(engine)
    with engine.connect() as conn:
        gaps, streams = load_gaps(conn), load_streams(conn)
    since = pd.Timestamp(publisher.sent[0].at)
    during = gaps[gaps["ended_at"].isna() | (gaps["ended_at"] > since)]
    say(
        f"away for {AWAY_SECONDS:.0f} s under {RATE:.0f} events/s: {len(publisher.sent):,} sent, "
        f"{len(events):,} stored, {streams['spooled'].to_dict()} of them waited on disk",
        f"bars up to the newest were there {rounds:.1f} s after it came back, and all events "
        f"{time.monotonic() - back - 3:.0f} s after it at the latest ({stored:.1f} s after the last)",
        f"{scored} bars, worker ended with {worker.returncode}; gaps {during.to_dict('records')}",
    )
    assert len(events) == len(publisher.sent)
    assert during.empty
    assert int(streams["lost"].sum()) == 0
    assert int(streams["spooled"].sum()) > 0
    assert worker.returncode == 0
    engine.dispose()


def missed() -> timedelta:
    """Market hours that went by while the database was away."""
    return timedelta(hours=int(AWAY_SECONDS / HOUR_SECONDS))


def heard(world: World) -> list[Any]:
    return [world.tapes[name] for name in ("binance", "bybit", "okx")]


def all_live(engine: Engine) -> bool:
    with engine.connect() as conn:
        streams = load_streams(conn)
    return len(streams) == 3 and bool((streams["state"] == "live").all())


def stored_events(engine: Engine) -> int:
    from sqlalchemy import func, select

    from core.store.tables import liquidations

    with engine.connect() as conn:
        return conn.scalar(select(func.count()).select_from(liquidations)) or 0
