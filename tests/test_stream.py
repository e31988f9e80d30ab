"""The stream over a real socket: from the stand-in world into both databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from core.market.stream.batch import Batch, StreamState
from core.market.stream.connection import Patience
from core.market.stream.feeds import FEEDS, Feed
from core.market.stream.writer import Pace
from core.market.symbols import Contract
from core.store import liquidations as store
from core.store.database import open_database
from core.streaming import follow_stream, saving
from tests.world import World, messages

SOON = Patience(open_s=2, ping_s=0.1, silent_s=8, first_wait_s=0.01, longest_wait_s=0.05)
QUICK = Pace(every_s=0.02, retry_s=0.05, note_s=0.05)


def named(*names: str) -> dict[str, Contract]:
    return {name: Contract("binance", name, "", "USDT", symbol=name) for name in names}


CONTRACTS = named("BTCUSDT", "BTC-USDT-SWAP")
SECONDS = 15.0


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def feed_of(world: World, venue: str = "binance") -> Feed:
    return replace(FEEDS[venue], url=world.socket_url(venue))


class Followed:
    """A stream that is followed while a test does things to the world."""

    def __init__(self, engine: Engine, world: World, folder: Path, **changes: object) -> None:
        self.engine, self.world, self.folder = engine, world, folder
        self.feed = changes.pop("feed", None) or feed_of(world)
        self.options = {"patience": SOON, "pace": QUICK, "contracts": CONTRACTS, **changes}

    async def __aenter__(self) -> Followed:
        self.task = asyncio.create_task(
            follow_stream(
                self.engine,
                self.feed,
                spool_folder=self.folder,
                **self.options,
            )
        )
        await self.until(lambda: self.state().state == "live")
        await self.until(lambda: self.world.tapes[self.feed.venue].listeners > 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def do(self, work: object) -> None:
        await asyncio.to_thread(self.world.do, work)

    async def publish(self, *told: str) -> None:
        await self.do(self.world.tapes[self.feed.venue].publish(told))

    def state(self) -> StreamState:
        with self.engine.connect() as conn:
            return store.load_stream(conn, self.feed.venue) or StreamState(self.feed.venue)

    def events(self) -> pd.DataFrame:
        with self.engine.connect() as conn:
            return store.load_events(conn, limit=1_000_000)

    def count(self) -> int:
        with self.engine.connect() as conn:
            return int(store.load_minutes(conn)[["long_count", "short_count"]].sum().sum())

    def gaps(self) -> pd.DataFrame:
        with self.engine.connect() as conn:
            return store.load_gaps(conn)

    async def until(self, holds: Callable[[], bool]) -> None:
        give_up = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < give_up, (self.state(), self.gaps().to_dict("records"))
            if self.task.done():
                self.task.result()
            await asyncio.sleep(0.02)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]


def now_ms(before: int = 0) -> int:
    return time.time_ns() // 1_000_000 - before


def orders(count: int) -> list[str]:
    """Different ones, also from those of other calls."""
    end = now_ms()
    return [messages.binance_order(end - n, price=50_000 + end % 10_000) for n in range(count)]


def test_what_a_venue_reports_is_in_the_database(
    engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Followed(engine, world, tmp_path) as stream:
            await stream.publish(*orders(30))
            await stream.until(lambda: len(stream.events()) == 30)
            assert stream.gaps().empty

    play(scene)


@pytest.mark.parametrize("venue", ["bybit", "okx"])
def test_other_venues_are_subscribed_in_their_own_words(
    sqlite_engine: Engine, world: World, tmp_path: Path, venue: str
) -> None:
    told = {"bybit": messages.bybit_liquidation, "okx": messages.okx_liquidation}[venue]

    async def scene() -> None:
        feed = feed_of(world, venue)
        async with Followed(sqlite_engine, world, tmp_path, feed=feed) as stream:
            await stream.publish(told(now_ms()))
            await stream.until(lambda: len(stream.events()) == 1)

    play(scene)
    asked = world.tapes[venue].subscriptions[0]
    assert asked["op"] == "subscribe"
    assert "allLiquidation.BTCUSDT" in asked["args"] or asked["args"][0]["instType"] == "SWAP"


def test_a_cut_connection_is_a_gap_and_what_is_sent_again_counts_once(
    engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        tape = world.tapes["binance"]
        tape.resend = 50
        sent = 0
        async with Followed(engine, world, tmp_path) as stream:
            for cut in range(5):
                await stream.publish(*orders(20))
                sent += 20
                await stream.until(lambda: len(stream.events()) >= sent)  # noqa: B023
                await stream.do(tape.drop())
                await stream.until(lambda: len(stream.gaps()) > cut)  # noqa: B023
                await stream.until(lambda: tape.listeners > 0)
            await stream.until(lambda: bool(stream.gaps()["ended_at"].notna().all()))
            assert len(stream.events()) == sent
            assert len(stream.gaps()) == 5

    play(scene)


def test_a_dead_but_open_socket_is_told_from_a_quiet_one(
    sqlite_engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        tape = world.tapes["binance"]
        hasty = replace(SOON, silent_s=0.6)
        async with Followed(sqlite_engine, world, tmp_path, patience=hasty) as stream:
            await asyncio.sleep(1.2)  # quiet for longer than a dead one is given
            assert tape.connections == 1
            assert stream.gaps().empty
            tape.dead = True
            await stream.until(lambda: stream.state().state == "down")
            assert "no sign of life" in stream.gaps()["reason"].iloc[0]
            tape.dead = False
            await stream.until(lambda: stream.state().state == "live")
            assert stream.gaps()["ended_at"].notna().all()

    play(scene)


def test_a_venue_that_cannot_be_reached_is_one_gap_until_it_answers(
    sqlite_engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Followed(sqlite_engine, world, tmp_path) as stream:
            await asyncio.to_thread(world.switch_off, "binance")
            await stream.until(lambda: stream.state().state == "down")
            await asyncio.sleep(0.3)
            await asyncio.to_thread(world.switch_on, "binance")
            await stream.until(lambda: stream.state().state == "live")
            (gap,) = stream.gaps().to_dict("records")
            assert 0.3 < (gap["ended_at"] - gap["started_at"]).total_seconds() < 10

    play(scene)


def test_an_ageing_connection_is_replaced_without_a_gap(
    sqlite_engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        feed = replace(feed_of(world), max_age_s=0.3)
        async with Followed(sqlite_engine, world, tmp_path, feed=feed) as stream:
            for n in range(60):
                await stream.publish(messages.binance_order(now_ms(), price=50_000 + n))
                await asyncio.sleep(0.02)
            await stream.until(lambda: len(stream.events()) == 60)
            assert world.tapes["binance"].connections >= 3
            assert stream.gaps().empty

    play(scene)


def test_the_time_in_which_nobody_listened_is_a_gap(
    sqlite_engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Followed(sqlite_engine, world, tmp_path) as stream:
            left = stream.state().heard_at
        assert left is not None
        await asyncio.sleep(0.2)
        async with Followed(sqlite_engine, world, tmp_path) as stream:
            await stream.until(lambda: bool(stream.gaps()["ended_at"].notna().sum() == 1))
            (gap,) = stream.gaps().to_dict("records")
            assert gap["reason"] == "Nobody listened."
            assert gap["started_at"] >= left

    play(scene)


def test_what_cannot_be_read_is_counted_and_said(
    sqlite_engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Followed(sqlite_engine, world, tmp_path) as stream:
            await stream.publish("{", "<html>", '{"renamed": 1}', messages.binance_order(now_ms()))
            await stream.publish(messages.binance_order(now_ms(), quantity=float("nan")))
            await stream.until(lambda: stream.state().refused == 4)
            assert len(stream.events()) == 1
            assert "in z, which must be a number" in (stream.state().message or "")

    play(scene)


def test_a_burst_waits_on_disk_when_memory_is_full(
    engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        pace = replace(QUICK, batch=100, capacity=500)
        async with Followed(engine, world, tmp_path, pace=pace) as stream:
            await stream.publish(*orders(5_000))
            await stream.until(lambda: stream.count() == 5_000)
            await stream.until(lambda: stream.state().received == 5_000)
            assert stream.state().lost == 0

    play(scene)


class AwayAtTimes:
    """Saves like the real thing, except while ``away``."""

    def __init__(self, engine: Engine) -> None:
        self.away = False
        self.most = 0
        self._save = saving(engine)

    def __call__(self, batch: Batch) -> None:
        if self.away:
            raise OperationalError("INSERT", {}, Exception("the server closed the connection"))
        self.most = max(self.most, len(batch.events))
        self._save(batch)


def test_nothing_is_lost_while_the_database_is_away(
    engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        saves = AwayAtTimes(engine)
        async with Followed(engine, world, tmp_path, store=saves) as stream:
            saves.away = True
            await stream.publish(*orders(3_000))
            await asyncio.sleep(0.3)
            assert stream.events().empty
            saves.away = False
            await stream.until(lambda: len(stream.events()) == 3_000)
            await stream.until(lambda: not list(tmp_path.glob("*.jsonl")))
            assert stream.gaps().empty
            assert stream.state().lost == 0

    play(scene)


@contextmanager
def refusing(engine: Engine, server: str) -> Iterator[None]:
    """The database throws everybody out and lets nobody in."""
    name = engine.url.database
    url = server.replace("{database}", "postgres").replace("%7Bdatabase%7D", "postgres")
    admin = open_database(url).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = :name AND pid <> pg_backend_pid()"
            ),
            {"name": name},
        )
        yield
        conn.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
    admin.dispose()


def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    new_postgres: Callable[[], str], postgres_server: str, world: World, tmp_path: Path
) -> None:
    engine = open_database(new_postgres())

    async def scene() -> None:
        async with Followed(engine, world, tmp_path) as stream:
            await stream.publish(*orders(500))
            with refusing(engine, postgres_server):
                await stream.publish(*orders(500))
                await asyncio.sleep(0.5)
                assert list(tmp_path.glob("binance-*.jsonl"))
            await stream.publish(*orders(500))
            await stream.until(lambda: stream.count() == 1_500)
            assert stream.gaps().empty

    play(scene)
    engine.dispose()


def test_what_finds_no_room_is_counted_as_lost(
    sqlite_engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        saves = AwayAtTimes(sqlite_engine)
        options = {"store": saves, "spool_bytes": 20_000}
        async with Followed(sqlite_engine, world, tmp_path, **options) as stream:
            saves.away = True
            await stream.publish(*orders(1_000))
            await asyncio.sleep(0.3)
            assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) <= 20_000
            saves.away = False
            await stream.until(lambda: stream.state().lost > 0)
            await stream.until(lambda: len(stream.events()) + stream.state().lost == 1_000)
            assert stream.gaps()["lost"].sum() == stream.state().lost > 500
            assert "no more room" in stream.gaps()["reason"].iloc[0]

    play(scene)


def test_what_lies_on_disk_is_stored_by_the_next_process(
    sqlite_engine: Engine, world: World, tmp_path: Path
) -> None:
    async def scene() -> None:
        saves = AwayAtTimes(sqlite_engine)
        async with Followed(sqlite_engine, world, tmp_path, store=saves) as stream:
            saves.away = True
            await stream.publish(*orders(100))
            await stream.until(lambda: any(tmp_path.glob("*.jsonl")))
        (left,) = tmp_path.glob("binance-*.jsonl")
        with left.open("ab") as file:
            file.write(b'["binance","BTC')  # cut short by a crash
        async with Followed(sqlite_engine, world, tmp_path) as stream:
            await stream.until(lambda: len(stream.events()) == 100)
            await stream.until(lambda: not left.exists())

    play(scene)


def test_every_real_order_is_stored_once_also_after_20_cuts(
    engine: Engine, world: World, tmp_path: Path, shared_recording: Path
) -> None:
    orders = pd.read_parquet(shared_recording / "liquidation_orders_binance.parquet")
    told = list(messages.binance_orders(orders))
    contracts = named(*orders["symbol"].unique())
    parts = [list(part) for part in np.array_split(np.array(told, dtype=object), 21)]

    async def scene() -> None:
        tape = world.tapes["binance"]
        tape.resend = 50
        async with Followed(engine, world, tmp_path, contracts=contracts) as stream:
            for cut, part in enumerate(parts):
                if cut:
                    await stream.do(tape.drop())
                    await stream.until(lambda: tape.listeners > 0)
                await stream.publish(*part)
                await stream.until(lambda: stream.count() >= sum(map(len, parts[: cut + 1])))  # noqa: B023
            await stream.until(lambda: bool(stream.gaps()["ended_at"].notna().sum() == 20))
            assert stream.state().received == len(told) + 20 * 50

    play(scene)
    with engine.connect() as conn:
        events = store.load_events(conn, limit=100_000)
        minutes = store.load_minutes(conn)
    orders["usd"] = orders["cum_filled"] * orders["avg_price"]
    longs, shorts = orders[orders["side"] == "SELL"], orders[orders["side"] == "BUY"]
    assert events["liquidated_side"].value_counts().to_dict() == {
        "long": len(longs),
        "short": len(shorts),
    }
    assert minutes["long_count"].sum() == len(longs)
    assert minutes["short_count"].sum() == len(shorts)
    assert minutes["long_usd"].sum() == pytest.approx(longs["usd"].sum(), rel=1e-12)
    assert minutes["short_usd"].sum() == pytest.approx(shorts["usd"].sum(), rel=1e-12)
    by_symbol = events.groupby("symbol")["usd"].sum()
    expected = orders.groupby("symbol")["usd"].sum()
    np.testing.assert_allclose(by_symbol[expected.index], expected, rtol=1e-12)
    assert events["occurred_at"].min() == pd.Timestamp(orders["ts_ms"].min(), unit="ms", tz=UTC)
    assert datetime.now(UTC) > events["received_at"].max()
