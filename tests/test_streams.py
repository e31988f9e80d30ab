"""Streams held by one worker at a time, and what their hours add up to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.jobs import streams
from core.jobs.passed_on import PassedOn
from core.jobs.streams import HOUR, Streams, hour_totals, note_first
from core.market.stream.batch import Gap, StreamState
from core.market.stream.events import Event
from core.market.symbols import Contract
from core.store.leases import load_leases
from core.store.liquidations import (
    load_events,
    load_stream,
    save_gap,
    save_liquidations,
    save_stream,
)
from tests.world import World, messages

BAR = datetime(2025, 11, 1, 12, tzinfo=UTC)
CONTRACTS = {
    "binance": {n: Contract("binance", n, "", "USDT", symbol=n) for n in ("BTCUSDT", "ETHUSDT")},
    "bybit": {"BTCUSDT": Contract("bybit", "BTCUSDT", "", "USDT", symbol="BTCUSDT")},
}


def event(venue: str, minutes: float, usd: float, side: str = "long") -> Event:
    at = BAR - timedelta(minutes=minutes)
    return Event(venue, "BTCUSDT", side, 100.0, usd / 100, usd, at, at, f"{minutes}")  # type: ignore[arg-type]


@pytest.fixture
def heard(engine: Engine) -> Engine:
    """Both streams were heard all the hour; on one of them something happened."""
    with engine.begin() as conn:
        for venue in CONTRACTS:
            save_stream(conn, StreamState(venue, "live", heard_at=BAR + timedelta(seconds=3)), BAR)
        events = [event("binance", 5, 1_000.0), event("binance", 59, 500.0, "short")]
        save_liquidations(conn, [*events, event("binance", 61, 9.0), event("binance", -0.1, 9.0)])
    return engine


def totals(engine: Engine) -> dict[tuple[str, str], tuple[float, float]]:
    with engine.connect() as conn:
        rows = hour_totals(conn, CONTRACTS, BAR)
    assert (rows["published_at"] == BAR).all()
    assert (rows["open_at"] == BAR - HOUR).all()
    names = ["symbol", "venue", "long_liquidations_usd", "short_liquidations_usd"]
    return {(row[0], row[1]): (row[2], row[3]) for row in rows[names].itertuples(index=False)}


def test_an_hour_that_was_heard_is_summed_up_and_silence_is_nothing(heard: Engine) -> None:
    assert totals(heard) == {
        ("BTCUSDT", "binance"): (1_000.0, 500.0),
        ("ETHUSDT", "binance"): (0.0, 0.0),
        ("BTCUSDT", "bybit"): (0.0, 0.0),
    }


@pytest.mark.parametrize(
    ("before", "after", "known"), [(30, 29, False), (90, 59, False), (90, 61, True)]
)
def test_a_gap_in_the_hour_leaves_it_unknown(
    heard: Engine, before: int, after: int, known: bool
) -> None:
    since, until = (BAR - timedelta(minutes=minutes) for minutes in (before, after))
    with heard.begin() as conn:
        save_gap(conn, Gap("binance", since, until, "It was away."))
    assert (("BTCUSDT", "binance") in totals(heard)) is known
    assert ("BTCUSDT", "bybit") in totals(heard)


def test_a_gap_that_lasts_leaves_the_hour_unknown(heard: Engine) -> None:
    with heard.begin() as conn:
        save_gap(conn, Gap("bybit", BAR - timedelta(minutes=1), None, "It is away."))
    assert {venue for _, venue in totals(heard)} == {"binance"}


def test_a_stream_not_heard_after_the_close_leaves_the_hour_unknown(heard: Engine) -> None:
    with heard.begin() as conn:
        state = StreamState("binance", "live", heard_at=BAR - timedelta(seconds=1))
        save_stream(conn, state, BAR)
    assert {venue for _, venue in totals(heard)} == {"bybit"}


def test_before_anybody_listened_is_unknown(engine: Engine) -> None:
    with engine.begin() as conn:
        note_first(conn, "binance", BAR + timedelta(minutes=1))
        save_stream(conn, StreamState("binance", "live", heard_at=BAR + HOUR), BAR)
    assert totals(engine) == {}


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def wait_for(what: Callable[[], object], seconds: float = 20) -> None:
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up, "it took too long"
        time.sleep(0.05)


def test_one_of_two_workers_follows_and_the_other_takes_over(
    world: World, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RENEW_SECONDS", 0.2)
    tape, own = world.tapes["binance"], {"binance": CONTRACTS["binance"]}

    def holders() -> set[str]:
        with engine.connect() as conn:
            return set(load_leases(conn, "stream ", datetime.now(UTC)).values())

    def events() -> int:
        with engine.connect() as conn:
            return len(load_events(conn, limit=10))

    def start(name: str) -> Streams:
        return Streams(engine, own, name, tmp_path / name, world.endpoints)

    def publish(minute: int) -> None:
        at_ms = int(BAR.timestamp() * 1000) + minute * 60_000
        world.do(tape.publish([messages.binance_order(at_ms)]))

    with start("one"):
        wait_for(lambda: tape.listeners == 1)
        with start("two"):
            publish(1)
            wait_for(lambda: events() == 1)
            assert holders() == {"one"}
            assert tape.connections == 1
    assert holders() == set()
    with start("two"):
        wait_for(lambda: tape.connections == 2 and tape.listeners == 1)
        publish(2)
        wait_for(lambda: events() == 2)
        assert holders() == {"two"}
    with engine.connect() as conn:
        state = load_stream(conn, "binance")
    assert state is not None
    assert state.received == 2


def test_a_provider_adds_venues_that_are_not_followed_and_no_other_coin_of_the_name(
    world: World, sqlite_engine: Engine, tmp_path: Path
) -> None:
    tape = world.tapes["coinglass"]
    passed_on = PassedOn({"binance": {}}, lambda: {"BTCUSDT": 50_000.0}, "key")
    following = Streams(sqlite_engine, {}, "one", tmp_path, world.endpoints, passed_on=passed_on)
    told = messages.coinglass_orders(
        int(BAR.timestamp() * 1000),
        ("Bitget", "BTCUSDT", 50_100.0),
        ("Binance", "BTCUSDT", 50_100.0),
        ("Gate", "BTCUSDT", 0.02),
        ("Bitget", "OTHERUSDT", 50_000.0),
    )

    def events() -> list[tuple[str, str, float]]:
        with sqlite_engine.connect() as conn:
            rows = load_events(conn, limit=10)
        return list(rows[["venue", "symbol", "usd"]].itertuples(index=False, name=None))

    with following:
        wait_for(lambda: tape.listeners == 1)
        world.do(tape.publish([told]))
        wait_for(events)
    assert events() == [("coinglass:bitget", "BTCUSDT", 1_000.0)]
