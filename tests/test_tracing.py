"""Where the values of a bar come from, as they were observed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
from sqlalchemy import Engine

from core.store.observations import save_observations
from core.store.tracing import Provenance, load_provenance

TIME = datetime(2025, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOON = TIME + timedelta(seconds=3)


def candle(venue: str) -> dict[str, object]:
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 100.0)
    times = {"open_at": TIME - HOUR, "published_at": TIME}
    return {"symbol": "BTCUSDT", "venue": venue, **times, **prices}


def rate(venue: str, at: datetime) -> dict[str, object]:
    times = {"settled_at": at, "interval_hours": 8.0}
    return {"symbol": "BTCUSDT", "venue": venue, "funding_rate": 1e-4, **times}


def save(engine: Engine, seen_at: datetime, **tables: list[dict[str, object]]) -> None:
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    with engine.begin() as conn:
        save_observations(conn, frames, seen_at)


def test_every_source_names_its_venue_and_when_it_was_published_and_seen(engine: Engine) -> None:
    save(engine, SOON, candles_1h=[candle("okx"), candle("binance")])
    save(engine, SOON, funding=[rate("bybit", TIME - 9 * HOUR), rate("bybit", TIME - HOUR)])
    with engine.connect() as conn:
        found = load_provenance(conn, "BTCUSDT", TIME, SOON)
        assert load_provenance(conn, "ETHUSDT", TIME, SOON) == {}
    assert found == {
        "candles": Provenance("binance", TIME, SOON),
        "funding": Provenance("bybit", TIME - HOUR, SOON),
    }


def test_what_came_after_the_signal_was_stored_is_not_its_origin(engine: Engine) -> None:
    save(engine, SOON, funding=[rate("binance", TIME - 9 * HOUR)])
    save(engine, SOON + HOUR, funding=[rate("binance", TIME - HOUR)])
    with engine.connect() as conn:
        found = load_provenance(conn, "BTCUSDT", TIME, SOON)
    assert found["funding"].published_at == TIME - 9 * HOUR
