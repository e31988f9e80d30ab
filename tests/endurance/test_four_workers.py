"""Four workers on one PostgreSQL, started and killed at random."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from core.market.demo import END
from core.store.database import open_database
from core.store.leases import load_leases
from tests.endurance.figures import Sampled, length, say, wait_for
from tests.endurance.markets import fill, made_tables
from tests.endurance.outside import Outside, outside
from tests.endurance.publishing import VENUES
from tests.endurance.working import Working, settings_of, write_tables
from tests.live_market import FastClock
from tests.stored import assert_everything_is_there_once, events_of, rounds_done

SECONDS = length("WORKERS_SECONDS", 600)
SYMBOLS = int(length("WORKERS_SYMBOLS", 500))
HOUR_SECONDS = length("WORKERS_HOUR_SECONDS", 20)
WORKERS, BATCHES, RATE = 4, 16, 50.0
# A worker lives this long at most, and this long a place stays empty.
LIVES, AWAY = (20.0, 80.0), (0.5, 6.0)
# A stream's lease lasts 2 s here, and whoever takes it over then has to connect.
HANDED_OVER_SECONDS = 8.0


def start_and_kill(working: Working, seconds: float, chance: random.Random) -> int:
    """Keep about four workers at work for so long; how many were killed."""
    began, killed = time.monotonic(), 0
    ends = {working.start(): chance.uniform(*LIVES) * (n + 1) / WORKERS for n in range(WORKERS)}
    starts: list[float] = []
    while (passed := time.monotonic() - began) < seconds:
        for worker in [one for one, at in ends.items() if at < passed]:
            del ends[worker]
            assert worker.poll() is None, "a worker ended by itself"
            worker.kill()
            killed += 1
            starts.append(passed + chance.uniform(*AWAY))
        for at in [one for one in starts if one < passed]:
            starts.remove(at)
            ends[working.start()] = passed + chance.uniform(*LIVES)
        time.sleep(0.1)
    return killed


@pytest.mark.long
def test_four_workers_share_the_work_while_they_are_killed(
    new_postgres: Callable[[], str], tmp_path: Path
) -> None:
    url, folder = new_postgres(), tmp_path / "tables"
    engine = open_database(url)
    hours = int((SECONDS + 300) / HOUR_SECONDS) + 2
    first = END - timedelta(hours=hours)
    tables = made_tables(SYMBOLS, END, 10 + hours // 24 + 1)
    fill(engine, tables, first)
    write_tables(folder, tables)
    clock = FastClock(first, time.time(), HOUR_SECONDS)
    with outside(folder, clock, rate=RATE) as world:
        working = Working(
            url,
            clock,
            settings_of(world.endpoints),
            tmp_path / "spool",
            folder=folder,
            streams=VENUES,
            batches=BATCHES,
            log=tmp_path / "workers.txt",
        )
        asked = {"leases": lambda: holders(engine), "listeners": world.listeners}
        try:
            with Sampled(0.25, asked) as samples:
                killed = start_and_kill(working, SECONDS, random.Random(3))
            rounds = len(rounds_done(engine))
            wait_for(lambda: len(rounds_done(engine)) > rounds, 120)
            settle(engine, world)
        finally:
            working.kill()
    assert not samples.failed, samples.failed[:1]
    scored = assert_everything_is_there_once(engine, tables["candles_1h"], pd.Timestamp(first))
    done, events = rounds_done(engine), events_of(engine)
    taken = shares(engine)
    say(
        f"{killed} workers killed, {len(working.started)} started; {scored:,} bars of {SYMBOLS} "
        f"symbols scored once in {len(done) - 1} rounds, {hours_of(clock)} bars have closed",
        f"a round takes {took(done, clock):.1f} s (median); {len(events):,} liquidations stored",
        "share of each part by worker:",
        taken.to_string(),
    )
    assert_held_by_one(samples)
    of_batches = taken[taken.index.get_level_values("part") == "decide"]
    assert len(of_batches) >= min(WORKERS, len(done))
    engine.dispose()


def holders(engine: Engine) -> dict[str, str]:
    with engine.connect() as conn:
        return dict(load_leases(conn, "stream ", datetime.now(UTC)))


def settle(engine: Engine, world: Outside) -> None:
    """Every stream has found a holder who listens."""
    wait_for(
        lambda: (
            len(holders(engine)) == len(VENUES)
            and all(world.listeners()[venue] == 1 for venue in VENUES)
        ),
        30,
    )


def assert_held_by_one(samples: Sampled) -> None:
    """Never two who listen, and nobody for no longer than a lease takes to be handed over."""
    listeners = pd.DataFrame(samples.found["listeners"])[list(VENUES)]
    held = pd.DataFrame(samples.found["leases"]).reindex(columns=[f"stream {v}" for v in VENUES])
    silent = {venue: longest_run(listeners[venue] == 0) * 0.25 for venue in VENUES}
    say(
        f"{len(listeners)} samples: listeners at most {listeners.max().to_dict()}, "
        f"exactly one in {(listeners == 1).mean().round(3).to_dict()} of them, "
        f"nobody for {silent} s at most; holders {held.nunique().to_dict()}"
    )
    assert (listeners <= 1).all().all()
    assert all(seconds <= HANDED_OVER_SECONDS + AWAY[1] for seconds in silent.values())


def longest_run(yes: pd.Series) -> int:
    after_start = yes.index > (yes.index[~yes].min() if (~yes).any() else 0)
    runs = (~yes).cumsum()[yes & after_start]
    return int(runs.value_counts().max()) if len(runs) else 0


def shares(engine: Engine) -> pd.DataFrame:
    """By part of a round and worker: how many DBOS has it down for, and their share."""
    query = text(
        "SELECT name AS part, executor_id AS worker, count(*) AS done FROM dbos.workflow_status "
        "WHERE status = 'SUCCESS' GROUP BY name, executor_id ORDER BY name, done DESC"
    )
    with engine.connect() as conn:
        found = pd.DataFrame(conn.execute(query).mappings().all())
    found["share"] = (found["done"] / found.groupby("part")["done"].transform("sum")).round(3)
    return found.set_index(["part", "worker"])


def took(done: pd.DataFrame, clock: FastClock) -> float:
    """Median seconds on our clock from a round's start to its end."""
    real = done[done["worker"] != "filled beforehand"]
    hours = (real["finished_at"] - real["started_at"]) / pd.Timedelta(hours=1)
    return float(hours.median() * clock.seconds)


def hours_of(clock: FastClock) -> int:
    return int((clock() - clock.first) / timedelta(hours=1))
