"""What the writer of a stream vouches for when it notes how the stream is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.market.stream.batch import Batch, StreamState
from core.market.stream.events import Event
from core.market.stream.spool import Spool
from core.market.stream.writer import Pace, Writer

START = datetime(2025, 11, 1, 12, 59, 58, tzinfo=UTC)


def event(number: int) -> Event:
    at = START + timedelta(milliseconds=number)
    return Event("binance", "BTCUSDT", "long", 100.0, 1.0, 100.0, at, at, f"{number:05d}")


class Scene:
    """A writer whose batches are kept instead of stored."""

    def __init__(self, folder: Path, pace: Pace) -> None:
        self.now = START
        self.batches: list[Batch] = []
        spool, state = Spool(folder, "binance"), StreamState("binance", "live")
        self.writer = Writer(self.batches.append, spool, state, lambda: self.now, pace)

    def hear(self, count: int) -> None:
        self.writer.put([event(number) for number in range(count)])
        self.now = event(count).received_at
        self.writer.note_heard(self.now)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.005)

    def play(self, holds: Callable[[], bool]) -> None:
        async def run() -> None:
            writing = asyncio.create_task(self.writer.run())
            await asyncio.wait_for(self.until(holds), 10)
            self.writer.close()
            await writing

        asyncio.run(run())


def test_what_still_waits_in_memory_is_not_vouched_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Pace(batch=2, every_s=0.01))
    scene.hear(23)
    scene.play(lambda: sum(len(batch.events) for batch in scene.batches) == 23)
    first, *_, last = scene.batches
    assert len(first.events) == 10
    assert first.state is not None
    assert first.state.received == 10
    assert first.state.heard_at == event(10).received_at
    assert last.state is not None
    assert (last.state.received, last.state.heard_at) == (23, event(23).received_at)


def test_a_quiet_stream_heard_after_the_hour_is_noted_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Pace(every_s=60, note_s=1e6))

    def noted(hour: int) -> Callable[[], bool]:
        return lambda: any(
            batch.state is not None
            and batch.state.heard_at is not None
            and batch.state.heard_at.hour == hour
            for batch in scene.batches
        )

    async def run() -> None:
        writing = asyncio.create_task(scene.writer.run())
        scene.hear(1)
        await asyncio.wait_for(scene.until(noted(12)), 10)
        scene.now += timedelta(seconds=3)
        scene.writer.note_heard(scene.now)
        await asyncio.wait_for(scene.until(noted(13)), 10)
        scene.writer.close()
        await writing

    asyncio.run(run())


def test_what_another_process_lets_go_of_later_is_taken_up(tmp_path: Path) -> None:
    first = Spool(tmp_path, "binance")
    first.append([event(1), event(2)])
    second = Spool(tmp_path, "binance")
    second.adopt()
    assert not second.waiting
    first.close()
    second.adopt()
    assert [one.identity for one in second.take(10)] == [event(1).identity, event(2).identity]
    second.close()
