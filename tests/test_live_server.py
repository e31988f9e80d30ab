"""The dashboard on the live market, with its worker beside it, as processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from sqlalchemy import create_engine, text

from core.market.demo import demo_tables
from core.market.sources import BUDGETS
from tests.server import free_port, running
from tests.world import World

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def tables_until(end: datetime) -> dict[str, pd.DataFrame]:
    tables = {
        name: table[table["symbol"].isin(SYMBOLS)] if "symbol" in table else table
        for name, table in demo_tables(days=8, end=end).items()
    }
    closes = tables["candles_1h"]["open_at"] + pd.Timedelta(hours=1)
    return tables | {"candles_1h": tables["candles_1h"].assign(published_at=closes)}


def wait_for(what: Callable[[], object], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up, "it took too long"
        time.sleep(0.3)


def asked_of(addresses: dict[str, str]) -> dict[str, str]:
    endpoints = ",".join(f"{name}={url}" for name, url in addresses.items())
    return {
        "CRYPTOSATX_MARKET": "live",
        "CRYPTOSATX_WORKER": "on",
        "CRYPTOSATX_ENDPOINTS": endpoints,
        "CRYPTOSATX_LIMITS": "attempts=1,connect=1",
    }


def count(data: Path, query: str) -> int:
    engine = create_engine(f"sqlite:///{data}/live.sqlite")
    with engine.connect() as conn:
        found = conn.scalar(text(query))
    engine.dispose()
    return int(found or 0)


def workers(data: Path) -> list[str]:
    """Those that have not said goodbye, by name."""
    engine = create_engine(f"sqlite:///{data}/live.sqlite")
    with engine.connect() as conn:
        found = conn.scalars(text("SELECT holder FROM leases WHERE name LIKE 'worker %'")).all()
    engine.dispose()
    return list(found)


def process_of(worker: str) -> int:
    return int(worker.split("-")[-2])


def test_the_dashboard_fills_itself_from_the_exchanges(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    with (
        World(tables_until(end)) as world,
        running(tmp_path, **asked_of(world.endpoints)) as server,
    ):
        wait_for(lambda: server.health().json()["market"]["state"] == "ok", 60)
        done = "SELECT count(*) FROM rounds WHERE state = 'done'"
        wait_for(lambda: count(tmp_path, done) > 0, 60)
        body = server.health().json()
        assert server.health().status_code == 200
        assert "Market: Live market" in server.terminal
        wait_for(lambda: world.tapes["binance"].listeners == 1, 20)
        # Of the sources one knows what the worker said that asks them; the next one has to ask first.
        healthy = "SELECT count(*) FROM source_health WHERE healthy"
        wait_for(lambda: count(tmp_path, healthy) >= 4, 20)
        killed = workers(tmp_path)[-1]
        os.kill(process_of(killed), signal.SIGKILL)
        wait_for(lambda: [name for name in workers(tmp_path) if name != killed], 30)
        assert "ended with code -9 and is started again in 1 s" in server.terminal
    last = datetime.fromisoformat(body["market"]["last_bar_at"])
    assert timedelta(0) <= now - last < timedelta(hours=2)
    assert count(tmp_path, "SELECT count(DISTINCT symbol) FROM bars") == len(SYMBOLS)
    assert count(tmp_path, "SELECT count(*) FROM signals") > 3 * 300


def test_without_any_exchange_it_comes_up_and_the_reason_is_kept(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(BUDGETS, f"http://127.0.0.1:{free_port()}")
    with running(tmp_path, **asked_of(nowhere)) as server:
        failed = "SELECT count(*) FROM rounds WHERE state = 'failed'"
        wait_for(lambda: count(tmp_path, failed) > 0, 60)
        health = server.health()
        assert health.status_code == 200
        assert health.json()["market"] == {"state": "empty", "kind": "live"}
    said = "SELECT count(*) FROM rounds WHERE message LIKE 'No exchange has given a candle%'"
    assert count(tmp_path, said) == 1
    unhealthy = "SELECT count(*) FROM source_health WHERE NOT healthy AND last_failure != ''"
    assert count(tmp_path, unhealthy) >= 4
