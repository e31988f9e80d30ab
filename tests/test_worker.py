"""Workers as processes: killed at any moment, or several at once, they do everything once."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from time import monotonic, sleep, time

import pandas as pd
from live_market import few, start_worker
from sqlalchemy import Engine
from stored import assert_everything_is_there_once, rounds_done

from core.market.demo import END, demo_tables
from core.store.database import open_database

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
