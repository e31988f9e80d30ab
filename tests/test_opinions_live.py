"""A bar closes on the live market, and a model is asked about its signals: the whole path."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep, time

import pandas as pd
import pytest
from sqlalchemy import Engine, func, select

from core.jobs.live import LiveCollector
from core.market.demo import END as DEMO_END
from core.market.demo import demo_tables
from core.settings import Settings, load_settings
from core.store.rounds import is_done
from core.store.tables import questions, signals, verdicts
from core.worker import Worker
from tests.live_market import few, start_worker
from tests.opinions import stored_verdicts
from tests.world import World
from tests.world.openai import ModelServer, asked

END = datetime(2025, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]


class MovedClock:
    """Goes on by itself from a time on, and can be moved."""

    def __init__(self, start: datetime) -> None:
        self._start, self._began = start, monotonic()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=monotonic() - self._began)

    def move(self, to: datetime) -> None:
        self._start, self._began = to, monotonic()


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    chosen = few(demo_tables(days=9, end=END + 3 * HOUR), SYMBOLS)
    closes = chosen["candles_1h"]["open_at"] + pd.Timedelta(hours=1)
    return chosen | {"candles_1h": chosen["candles_1h"].assign(published_at=closes)}


@contextmanager
def working(engine: Engine, settings: Settings, clock: Callable[[], datetime]) -> Iterator[None]:
    """A worker with the collector of the live market, from here to the end of the block."""
    with LiveCollector(settings, clock) as collector:
        worker = Worker(engine, collector, clock=clock, tick_seconds=0.05, settings=settings)
        thread = threading.Thread(target=worker.run, name="worker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join(30)


def wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    give_up = monotonic() + seconds
    while not what():
        assert monotonic() < give_up, "it took too long"
        sleep(0.05)


def done(engine: Engine, bar: datetime) -> bool:
    with engine.connect() as conn:
        return is_done(conn, bar)


def spoken(engine: Engine, bar: datetime) -> int:
    """Signals of a bar with a direction."""
    query = select(func.count()).where(signals.c.time == bar, signals.c.direction != 0)
    with engine.connect() as conn:
        return conn.scalar(query) or 0


def judged(engine: Engine, bar: datetime) -> int:
    query = select(func.count(verdicts.c.id)).join(signals, signals.c.id == verdicts.c.signal_id)
    with engine.connect() as conn:
        return conn.scalar(query.where(signals.c.time == bar)) or 0


def test_a_bar_closes_and_its_signals_are_judged_without_delaying_anything(
    sqlite_engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    engine = sqlite_engine
    clock = MovedClock(END + timedelta(minutes=59, seconds=57))
    with World(tables, clock) as world, ModelServer() as model:
        endpoints = ",".join(f"{name}={url}" for name, url in world.endpoints.items())
        settings = load_settings(
            {
                "CRYPTOSATX_ENDPOINTS": endpoints,
                "CRYPTOSATX_LIMITS": "attempts=1,connect=1",
                "CRYPTOSATX_MARKET": "live",
                "CRYPTOSATX_MODEL": "stand-in",
                "OPENAI_BASE_URL": model.url,
            }
        )
        # As long as the model takes, signals, outcomes and rounds do not wait for it.
        model.latency_s = 3.0
        with working(engine, settings, clock):
            bar = END + HOUR
            wait_for(lambda: done(engine, bar))
            assert spoken(engine, bar) > 0, "a bar without signals shows nothing"
            assert judged(engine, bar) == 0
            wait_for(lambda: judged(engine, bar) == spoken(engine, bar))
            model.latency_s = 0.0
            clock.move(END + 2 * HOUR + timedelta(seconds=1))
            wait_for(lambda: done(engine, END + 2 * HOUR))
            wait_for(lambda: judged(engine, END + 2 * HOUR) == spoken(engine, END + 2 * HOUR) > 0)
    found = stored_verdicts(engine)
    assert (found["state"] == "answered").all()
    assert (found["multiplier"] <= found["signal_multiplier"]).all()
    assert (found["signal_direction"] != 0).all()
    # The days before the first bar are the past, which no model is asked about.
    late = found["signal_recorded_at"] - found["signal_time"]
    assert late.max() <= pd.Timedelta(hours=2)
    questions = [body["messages"][1]["content"] for body in model.bodies]
    assert len(questions) == len(set(questions)) == int(found["shared_with"].isna().sum())
    assert all(asked(body)["price"]["return_72h"] is not None for body in model.bodies)


def start(engine: Engine, model: ModelServer, began: float) -> subprocess.Popen[bytes]:
    """A worker whose first bar closes at once, and whose hours take a minute."""
    return start_worker(
        engine.url.render_as_string(hide_password=False),
        symbols=SYMBOLS,
        days=12,
        first=DEMO_END - timedelta(hours=48) + timedelta(seconds=2),
        seconds=60,
        began=began,
        environment={
            "CRYPTOSATX_MODEL": "stand-in",
            "CRYPTOSATX_MODEL_CONCURRENCY": "1",
            "OPENAI_BASE_URL": model.url,
        },
    )


def claims(engine: Engine) -> pd.DataFrame:
    """Every question with the state of its verdict, None where there is none yet."""
    query = select(questions.c.signal_id, questions.c.worker, verdicts.c.state)
    query = query.outerjoin(verdicts, verdicts.c.signal_id == questions.c.signal_id)
    with engine.connect() as conn:
        return pd.DataFrame(conn.execute(query).all(), columns=["signal_id", "worker", "state"])


def kill(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait(20)


def test_what_a_killed_worker_asks_is_lost_and_another_asks_the_rest_once(engine: Engine) -> None:
    began = time()
    with ModelServer(latency_s=1.0) as model:
        workers = [start(engine, model, began)]
        if engine.dialect.name == "postgresql":
            workers.append(start(engine, model, began))
        try:
            wait_for(lambda: len(model.bodies) > 1)
            asking = claims(engine)["worker"].iloc[-1]
            (killed,) = [one for one in workers if f"-{one.pid}-" in asking]
            workers.remove(killed)
            kill(killed)
            model.latency_s = 0.0
            workers = workers or [start(engine, model, began)]
            wait_for(lambda: "lost" in set(claims(engine)["state"]))
            wait_for(lambda: claims(engine)["state"].notna().all())
            wait_for(lambda: set(claims(engine)["worker"]) > {asking})
            wait_for(lambda: claims(engine)["state"].notna().all())
        finally:
            for worker in workers:
                kill(worker)
        contents = [body["messages"][1]["content"] for body in model.bodies]
    assert len(contents) == len(set(contents))
    found = claims(engine)
    assert found["signal_id"].is_unique
    lost = found[found["state"] == "lost"]
    # One at a time was asked about, for up to three modes.
    assert set(lost["worker"]) == {asking}
    assert 1 <= len(lost) <= 3
