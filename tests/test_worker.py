"""Workers as processes: killed at any moment, or several at once, they do everything once."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic, sleep, time
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from live_market import few, start_worker
from sqlalchemy import Engine
from stored import assert_everything_is_there_once, rounds_done

from core import worker as module
from core.market.demo import END, demo_tables
from core.store.database import open_database
from core.worker import Worker

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
DAYS = 12
FIRST = END - timedelta(hours=48)


def candles() -> pd.DataFrame:
    return few(demo_tables(days=DAYS), SYMBOLS)["candles_1h"]


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    give_up = monotonic() + seconds
    while not what():
        assert monotonic() < give_up, "it took too long"
        sleep(0.1)


def stop(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    for worker in workers:
        worker.wait(timeout=20)


def kill_again_and_again(engine: Engine, times: int, chance: random.Random) -> None:
    url = engine.url.render_as_string(hide_password=False)
    began = time()
    for _ in range(times):
        worker = start_worker(url, symbols=SYMBOLS, days=DAYS, first=FIRST, seconds=2, began=began)
        sleep(chance.uniform(2, 6))
        stop([worker])
    before = len(rounds_done(engine))
    worker = start_worker(url, symbols=SYMBOLS, days=DAYS, first=FIRST, seconds=2, began=began)
    try:
        wait_for(lambda: len(rounds_done(engine)) > before, 120)
    finally:
        stop([worker])
    assert_everything_is_there_once(engine, candles())


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_done_twice(engine: Engine) -> None:
    kill_again_and_again(engine, 2, random.Random(1))


def batches_done(engine: Engine) -> dict[str, int]:
    """How many batches each worker has decided, by DBOS's own notes."""
    query = (
        "SELECT executor_id, count(*) FROM dbos.workflow_status WHERE name = 'decide' GROUP BY 1"
    )
    with engine.connect() as conn:
        return {row[0]: row[1] for row in conn.exec_driver_sql(query)}


def test_two_workers_share_the_work_and_one_goes_on_alone(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    engine, began = open_database(url), time()
    workers = [
        start_worker(
            url, symbols=SYMBOLS, days=DAYS, first=FIRST, seconds=2, began=began, batches=4
        )
        for _ in range(2)
    ]
    try:
        wait_for(lambda: len(rounds_done(engine)) > 2 and len(batches_done(engine)) == 2, 120)
        (leader,) = rounds_done(engine)["worker"].unique()
        leads = [str(worker.pid) in leader for worker in workers].index(True)
        stop([workers.pop(leads)])
        wait_for(lambda: rounds_done(engine)["worker"].nunique() == 2, 120)
    finally:
        stop(workers)
    assert_everything_is_there_once(engine, candles())
    engine.dispose()


class ThreeTicks(threading.Event):
    """Asks to stop when it is waited for the fourth time."""

    waited = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += 1
        return self.waited > 3


@pytest.mark.parametrize(
    ("at", "begun"),
    [("12:30:00", ["adopt", "drop", "forget"]), ("12:59:00", ["adopt"]), ("12:59:58.5", [])],
)
def test_nothing_is_begun_that_would_keep_a_worker_from_a_bar_that_is_about_to_close(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch, at: str, begun: list[str]
) -> None:
    found: list[str] = []

    def begins(name: str) -> Callable[..., list[str]]:
        return lambda *_: found.append(name) or []

    monkeypatch.setattr(module, "adopt_orphans", begins("adopt"))
    monkeypatch.setattr(module, "drop_old", begins("drop"))
    monkeypatch.setattr(module, "forget_finished", begins("forget"))
    moment = datetime.fromisoformat(f"2025-11-01T{at}+00:00")
    worker = Worker(sqlite_engine, None, clock=lambda: moment, stopping=ThreeTicks())
    rounds: Any = SimpleNamespace(backtests=None)
    worker._loop(rounds)
    assert found == begun
