"""5,000 liquidations a second over a real socket. `pytest -m long -s tests/endurance/test_stream_load.py`."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest
from sqlalchemy import Engine

from core.market.stream.batch import Batch
from core.market.stream.feeds import FEEDS
from core.market.symbols import Contract
from core.store import liquidations as store
from core.streaming import follow_stream, saving
from tests.world.firehose import SYMBOLS, firehose

RATE, SECONDS = 5_000, float(os.environ.get("FIREHOSE_SECONDS", "60"))


@pytest.mark.long
def test_5000_events_a_second_for_a_minute(engine: Engine, tmp_path: Path) -> None:
    save, delays, memory, used = saving(engine), [], [], []
    process = psutil.Process()

    def saved(batch: Batch) -> None:
        save(batch)
        now = datetime.now(UTC)
        delays.extend((now - event.received_at).total_seconds() for event in batch.events)

    async def scene(url: str) -> None:
        task = asyncio.create_task(
            follow_stream(
                engine,
                replace(FEEDS["binance"], url=url),
                {name: Contract("binance", name, "", "USDT", symbol=name) for name in SYMBOLS},
                tmp_path / "spool",
                store=saved,
            )
        )
        await asyncio.sleep(1)
        used.append(sum(process.cpu_times()[:2]))
        hose.open(RATE, SECONDS)
        give_up = time.monotonic() + SECONDS + 60
        while len(delays) < RATE * SECONDS and time.monotonic() < give_up:
            assert not task.done(), task.exception()
            memory.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(0.5)
        used.append(sum(process.cpu_times()[:2]))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with firehose() as hose:
        asyncio.run(scene(hose.url))
        told = hose.sent(30)
    with engine.connect() as conn:
        minutes, state = store.load_minutes(conn), store.load_stream(conn, "binance")
        gaps = store.load_gaps(conn)
    stored = minutes["long_count"].sum() + minutes["short_count"].sum()
    usd = minutes["long_usd"].sum() + minutes["short_usd"].sum()
    half, p99 = np.percentile(delays, [50, 99])
    settled = memory[len(memory) // 4 :]
    print(  # noqa: T201 - the figures are what this test is for
        f"\n{engine.dialect.name}: sent {told['sent']:,} in {told['seconds']:.1f} s, "
        f"stored {stored:,}; receipt to database: median {half:.3f} s, p99 {p99:.3f} s, "
        f"longest {max(delays):.3f} s; memory {settled[0]:.0f} to {settled[-1]:.0f} MB; "
        f"{(used[1] - used[0]) / told['seconds']:.0%} of a core, load of the machine {os.getloadavg()[0]:.1f}"
    )
    assert state is not None
    assert stored == told["sent"] == RATE * SECONDS
    assert usd == pytest.approx(told["usd"], rel=1e-9)
    assert (state.lost, len(gaps)) == (0, 0)
    assert p99 < 1
    assert told["seconds"] < SECONDS * 1.05
    # The delays that this test collects are part of what grows: 32 bytes each.
    assert settled[-1] - settled[0] < 25
