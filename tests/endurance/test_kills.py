"""`kill -9` of the worker at random moments, while streams come in and bars are worked on."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from core.market.demo import END
from core.store.liquidations import load_gaps, load_streams
from tests.endurance.figures import length, say, wait_for
from tests.endurance.markets import Tables, demo_without_late_candles
from tests.endurance.publishing import Publisher
from tests.endurance.working import Working, end, settings_of
from tests.live_market import FastClock
from tests.stored import assert_everything_is_there_once, events_of, inside_a_gap, rounds_done
from tests.world import World

KILLS = int(length("KILLS", 50))
RATE = length("KILLS_EVENTS_PER_SECOND", 200)
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
HOUR_SECONDS = 4.0
LONGEST_LIFE = 9.0
# Between the moment an event is sent and the one in which a worker on a busy machine sees it.
IN_FLIGHT_SECONDS = 0.25


@dataclass
class Scene:
    engine: Engine
    tables: Tables
    publisher: Publisher
    working: Working


@pytest.fixture
def scene(engine: Engine, tmp_path: Path) -> Iterator[Scene]:
    hours = int(((KILLS + 1) * (LONGEST_LIFE + 1) + 120) / HOUR_SECONDS)
    tables = demo_without_late_candles(SYMBOLS, END, 12 + hours // 24 + 1)
    first = tables["candles_1h"]["open_at"].min().to_pydatetime() + timedelta(days=12)
    clock = FastClock(first, time.time(), HOUR_SECONDS)
    with World(tables, clock) as world, Publisher(world, clock, SYMBOLS, RATE) as publisher:
        url = engine.url.render_as_string(hide_password=False)
        log = tmp_path / "workers.txt"
        settings = settings_of(world.endpoints)
        working = Working(url, clock, settings, tmp_path / "spool", batches=2, log=log)
        yield Scene(engine, tables, publisher, working)
        working.kill()


@pytest.mark.long
def test_a_worker_may_be_killed_fifty_times(scene: Scene) -> None:
    engine, chance, working = scene.engine, random.Random(2), scene.working
    for _ in range(KILLS):
        working.start()
        time.sleep(chance.uniform(1, LONGEST_LIFE))
        working.kill()
    rounds = len(rounds_done(engine))
    last = working.start()
    wait_for(lambda: len(rounds_done(engine)) > rounds + 2, 90)
    wait_for(lambda: (streams(engine)["state"] == "live").all(), 30)
    time.sleep(2)
    scene.publisher.stop()
    time.sleep(2)
    end(last)
    assert last.returncode == 0
    scored = assert_everything_is_there_once(engine, scene.tables["candles_1h"])
    assert_no_event_was_lost(scene, f"{scored} bars scored in {len(rounds_done(engine))} rounds")


def streams(engine: Engine) -> pd.DataFrame:
    with engine.connect() as conn:
        return load_streams(conn)


def assert_no_event_was_lost(scene: Scene, said: str) -> None:
    engine, events = scene.engine, events_of(scene.engine)
    sent = pd.DataFrame(scene.publisher.sent)
    keys = pd.MultiIndex.from_frame(events[["venue", "price"]])
    missing = sent[~pd.MultiIndex.from_frame(sent[["venue", "price"]]).isin(keys)]
    slack = pd.Timedelta(hours=IN_FLIGHT_SECONDS / HOUR_SECONDS)
    inside = inside_a_gap(engine, missing, pd.Timedelta(0))
    nearly = inside_a_gap(engine, missing, slack)
    stored = events.groupby("venue").size()
    with engine.connect() as conn:
        gaps = load_gaps(conn)
    say(
        f"{engine.dialect.name}: {KILLS} kills, {said}; {len(sent):,} events sent, "
        f"{len(events):,} stored, each once; {len(missing):,} missing, all but {(~inside).sum()} "
        f"within {len(gaps)} recorded gaps and those in flight",
        f"stored {stored.to_dict()}, received {streams(engine)['received'].to_dict()}",
    )
    assert len(stored) == len(scene.publisher.venues)
    assert len(events) > len(sent) / 10
    assert nearly.all(), missing[~nearly]
    assert (stored >= streams(engine)["received"]).all(), "acknowledged events are missing"
