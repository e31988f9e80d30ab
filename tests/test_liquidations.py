from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import Engine

from core.market.stream.batch import Batch, Gap, StreamState
from core.market.stream.events import Event, Side
from core.store import liquidations as store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_event(seconds: float = 0, usd: float = 100.0, **changes: object) -> Event:
    occurred_at = NOON + timedelta(seconds=seconds)
    side: Side = "long"
    event = Event(
        venue="binance",
        symbol="BTCUSDT",
        liquidated_side=side,
        price=50_000.0,
        quantity=usd / 50_000,
        usd=usd,
        occurred_at=occurred_at,
        received_at=occurred_at + timedelta(milliseconds=40),
        identity=f"{int(occurred_at.timestamp() * 1000):x}-{usd}",
    )
    return event._replace(**changes)


def save(engine: Engine, *events: Event) -> int:
    with engine.begin() as conn:
        return store.save_liquidations(conn, events)


def minutes(engine: Engine) -> pd.DataFrame:
    with engine.connect() as conn:
        return store.load_minutes(conn)


def test_an_event_comes_back_as_it_was(engine: Engine) -> None:
    event = make_event(1.234567)
    save(engine, event)
    with engine.connect() as conn:
        (row,) = store.load_events(conn, limit=10).to_dict("records")
    assert Event(**row) == event


def test_an_event_is_stored_once_however_often_it_is_sent(engine: Engine) -> None:
    first, second = make_event(0), make_event(1)
    assert save(engine, first, first) == 1
    assert save(engine, first, second) == 1
    assert save(engine, second._replace(received_at=NOON + timedelta(hours=1))) == 0
    with engine.connect() as conn:
        assert len(store.load_events(conn, limit=10)) == 2


def test_the_minute_sums_count_only_what_was_new(engine: Engine) -> None:
    events = [
        make_event(0, 100),
        make_event(59.999, 50),
        make_event(60, 7),
        make_event(1, 30, liquidated_side="short"),
    ]
    for _ in range(3):
        save(engine, *events)
    told = minutes(engine)[["minute", "long_usd", "short_usd", "long_count", "short_count"]]
    assert told.values.tolist() == [
        [pd.Timestamp(NOON), 150.0, 30.0, 2, 1],
        [pd.Timestamp(NOON) + pd.Timedelta(minutes=1), 7.0, 0.0, 1, 0],
    ]


def test_venues_and_symbols_have_sums_of_their_own(engine: Engine) -> None:
    save(engine, make_event(0), make_event(0, symbol="ETHUSDT", identity="1"))
    save(engine, make_event(0, venue="okx"))
    told = minutes(engine)
    assert told[["symbol", "venue"]].values.tolist() == [
        ["BTCUSDT", "binance"],
        ["BTCUSDT", "okx"],
        ["ETHUSDT", "binance"],
    ]
    with engine.connect() as conn:
        assert len(store.load_minutes(conn, venues=["okx"])) == 1
        assert len(store.load_minutes(conn, symbols=["ETHUSDT"])) == 1


def test_writers_of_the_same_events_at_once_store_them_once(engine: Engine) -> None:
    events = [make_event(n / 10, usd=n + 1.0) for n in range(400)]
    start, new = threading.Barrier(3), []

    def write(order: list[Event]) -> None:
        start.wait()
        for at in range(0, len(order), 50):
            new.append(save(engine, *order[at : at + 50]))

    orders = (events, events[::-1], events[200:] + events[:200])
    threads = [threading.Thread(target=write, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 400
    assert minutes(engine)["long_count"].sum() == 400
    assert minutes(engine)["long_usd"].sum() == pytest.approx(sum(event.usd for event in events))


def test_a_batch_is_stored_whole_or_not_at_all(engine: Engine) -> None:
    broken = make_event(1, liquidated_side="both")
    with pytest.raises(Exception, match="liquidated_side"), engine.begin() as conn:
        store.save_batch(conn, Batch([make_event(0), broken], [], StreamState("binance"), NOON))
    assert minutes(engine).empty


def test_the_newest_and_the_largest_events_come_first(engine: Engine) -> None:
    save(engine, make_event(0, 5), make_event(1, 900), make_event(2, 20))
    with engine.connect() as conn:
        assert store.load_events(conn, limit=2)["usd"].tolist() == [20, 900]
        assert store.load_events(conn, limit=2, largest=True)["usd"].tolist() == [900, 20]
        later = NOON + timedelta(seconds=1)
        assert store.load_events(conn, limit=9, end=later)["usd"].tolist() == [900, 5]


def test_a_gap_lasts_until_its_end_is_known(engine: Engine) -> None:
    gap = Gap("okx", NOON, None, "okx closed the connection.")
    ended_at = NOON + timedelta(minutes=3)
    with engine.begin() as conn:
        store.save_gap(conn, gap)
        assert store.load_open_gap(conn, "okx") == gap
        store.save_gap(conn, gap._replace(ended_at=ended_at, lost=12))
        assert store.load_open_gap(conn, "okx") is None
        told = store.load_gaps(conn, NOON + timedelta(minutes=2), NOON + timedelta(hours=1))
        assert told["lost"].tolist() == [12]
        assert store.load_gaps(conn, NOON + timedelta(minutes=4)).empty


def test_a_stream_is_remembered_as_it_was_left(engine: Engine) -> None:
    state = StreamState("bybit", "live", heard_at=NOON, newest_at=NOON, received=7, lost=2)
    with engine.begin() as conn:
        assert store.load_stream(conn, "bybit") is None
        for received in (5, 7):
            state.received = received
            store.save_stream(conn, state, NOON)
        assert store.load_stream(conn, "bybit") == state
        assert store.load_streams(conn).loc["bybit", "received"] == 7


def test_dropping_old_events_keeps_their_sums(engine: Engine) -> None:
    save(engine, make_event(0), make_event(100))
    with engine.begin() as conn:
        assert store.drop_liquidations(conn, NOON + timedelta(seconds=50)) == 1
    assert minutes(engine)["long_count"].tolist() == [1, 1]
