"""The collector of the live market against the stand-in world, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import Engine

from core.errors import SourceUnavailable
from core.jobs.collecting import collect
from core.jobs.live import SETTLING, LiveCollector
from core.market.demo import demo_tables
from core.market.recording import assemble
from core.settings import Settings, load_settings
from core.store.coins import load_coins
from core.store.health import load_health
from core.store.observations import load_observations
from tests.world import World

END = datetime(2025, 11, 1, tzinfo=UTC)
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SUIUSDT"]
# Everything but the last day is stored.
DAY_OLD = {
    name: dict.fromkeys(SYMBOLS, END - timedelta(hours=26))
    for name in ("candles_1h", "funding", "open_interest", "long_short", "liquidations_4h")
}
# Candles are asked for when they can be there.
SETTLED = END + SETTLING
HASTY = "connect=3,read=3,total=5,patience=5,attempts=1,refused=0.05,open_seconds=0.05"


def small(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Three symbols, and no candle that came late: a venue does not say when a candle came."""
    chosen = {
        name: table[table["symbol"].isin(SYMBOLS)] if "symbol" in table else table
        for name, table in tables.items()
    }
    candles = chosen["candles_1h"]
    closes = candles["open_at"] + pd.Timedelta(hours=1)
    return {**chosen, "candles_1h": candles.assign(published_at=closes)}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return small(demo_tables(days=12, end=END))


@pytest.fixture
def world(tables: dict[str, pd.DataFrame]) -> Iterator[World]:
    with World(tables, lambda: END) as world:
        yield world


def settings_for(world: World, **more: str) -> Settings:
    endpoints = ",".join(f"{name}={url}" for name, url in world.endpoints.items())
    return load_settings(
        {"CRYPTOSATX_ENDPOINTS": endpoints, "CRYPTOSATX_LIMITS": HASTY, "CRYPTOSATX_MARKET": "live"}
        | more
    )


def assert_same_market(heard: dict[str, pd.DataFrame], told: dict[str, pd.DataFrame]) -> None:
    one, other = assemble(heard).frame, assemble(told).frame
    assert len(other) > 800
    pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-9, check_index_type=False)


def test_what_is_collected_makes_bar_for_bar_the_market_behind_the_sources(
    world: World, tables: dict[str, pd.DataFrame], engine: Engine
) -> None:
    settings = settings_for(world, COINGLASS_API_KEY="key")
    with LiveCollector(settings, lambda: SETTLED) as collector:
        new, waiting = collect(engine, collector, END, "me", lambda: END)
        assert (new > 1_000, waiting) == (True, 0)
        assert collect(engine, collector, END, "me", lambda: END) == (0, 0)
    with engine.connect() as conn:
        heard, health = load_observations(conn), load_health(conn)
    told = {name: table for name, table in tables.items() if name != "social"}
    assert_same_market({n: t.drop(columns="seen_at") for n, t in heard.items()}, told)
    asked = ["binance", "bybit", "okx", "alternative_me", "coinglass"]
    assert set(asked) <= set(health.index)
    assert health["healthy"].all()


def test_a_provider_with_a_key_is_asked(world: World, tables: dict[str, pd.DataFrame]) -> None:
    settings = settings_for(world, LUNARCRUSH_API_KEY="key")
    with LiveCollector(settings, lambda: SETTLED) as collector:
        heard = collector.fetch(DAY_OLD, END).tables["social"]
    told = tables["social"].merge(heard, on=["symbol", "published_at"])
    assert len(told) == len(heard) > 0
    assert (told["social_score_x"] == told["social_score_y"]).all()


@pytest.mark.parametrize("fault", ["refuse", "500", "hang"])
def test_a_source_that_fails_is_named_and_the_round_goes_on(
    world: World, engine: Engine, fault: str
) -> None:
    collector = LiveCollector(settings_for(world), lambda: SETTLED)
    with collector, world.failing("binance", fault):
        assert collect(engine, collector, END, "me", lambda: END)[0] > 500
    with engine.connect() as conn:
        health, heard = load_health(conn), load_observations(conn)
    assert health["healthy"].drop("coingecko", errors="ignore").to_dict() == {
        "binance": False, "bybit": True, "okx": True, "alternative_me": True
    }  # fmt: skip
    assert "binance" in health.loc["binance", "last_failure"]
    assert set(heard["candles_1h"]["venue"]) == {"bybit"}
    assert set(heard["candles_1h"]["symbol"]) == set(SYMBOLS)


@pytest.mark.parametrize("fault", ["late", "nan"])
def test_another_exchange_gives_the_candles_that_the_first_lacks(world: World, fault: str) -> None:
    with LiveCollector(settings_for(world), lambda: SETTLED) as collector:
        collector.fetch(DAY_OLD, END)
        with world.failing("binance", fault):
            candles = collector.fetch(DAY_OLD, END).tables["candles_1h"]
        remarks = {one.source: one.remarks for one in collector.states()}["binance"]
    newest = candles[candles["published_at"] == END]
    assert set(newest["symbol"]) == set(SYMBOLS)
    if fault == "late":
        assert set(newest["venue"]) == {"bybit"}
        assert remarks["candles"].startswith("3 of 3 markets had no candle that closed at 00:00")


def test_an_exchange_that_fails_later_leaves_its_markets_their_names(
    world: World, tables: dict[str, pd.DataFrame]
) -> None:
    with LiveCollector(settings_for(world), lambda: SETTLED) as collector:
        collector.fetch(DAY_OLD, END)
        with world.failing("binance", "500"):
            heard = collector.fetch(DAY_OLD, END).tables
    assert set(heard["candles_1h"]["symbol"]) == set(SYMBOLS)
    assert set(heard["candles_1h"]["venue"]) == {"bybit"}
    assert set(heard["long_short"]["venue"]) == {"binance"}


def test_without_any_exchange_the_round_fails_with_the_reason(world: World, engine: Engine) -> None:
    for venue in ("binance", "bybit", "okx"):
        world.switch_off(venue)
    collector = LiveCollector(settings_for(world), lambda: SETTLED)
    with collector, pytest.raises(SourceUnavailable, match="No exchange has given a candle"):
        collect(engine, collector, END, "me", lambda: END)
    with engine.connect() as conn:
        assert not load_health(conn).loc["binance", "healthy"]
        assert load_observations(conn).keys() == {"fear_greed"}


def test_a_market_knows_its_coin_and_its_rank(
    world: World, tables: dict[str, pd.DataFrame], sqlite_engine: Engine
) -> None:
    with LiveCollector(settings_for(world), lambda: SETTLED) as collector:
        give_up = time.monotonic() + 10
        while not world.sources["coingecko"].requests and time.monotonic() < give_up:
            time.sleep(0.02)
        time.sleep(0.2)
        collect(sqlite_engine, collector, END, "me", lambda: END)
    with sqlite_engine.connect() as conn:
        coins = load_coins(conn)
    assert coins["name"].to_dict() == {"BTCUSDT": "Btc", "ETHUSDT": "Eth", "SUIUSDT": "Sui"}
    assert coins["rank"].tolist() == [1, 2, 3]


def test_a_market_waits_until_the_statistics_of_its_past_are_asked_for(
    world: World, sqlite_engine: Engine
) -> None:
    """The budget allows the rates of some markets only: no bar of the others is taken yet."""
    changes = {"CRYPTOSATX_EXCHANGES": "binance", "CRYPTOSATX_BUDGETS": "binance.funding=3"}
    settings = settings_for(world, **changes)
    with LiveCollector(settings, lambda: SETTLED, past_seconds=1.0) as collector:
        waiting, give_up = len(SYMBOLS), time.monotonic() + 60
        while waiting == len(SYMBOLS) and time.monotonic() < give_up:
            _, waiting = collect(sqlite_engine, collector, END, "me", lambda: END)
        with sqlite_engine.connect() as conn:
            taken = set(load_observations(conn)["candles_1h"]["symbol"])
    assert waiting > 0
    assert len(taken) == len(SYMBOLS) - waiting


def test_the_past_of_social_scores_is_asked_for_until_it_has_come(
    world: World, tables: dict[str, pd.DataFrame], sqlite_engine: Engine
) -> None:
    settings = settings_for(world, LUNARCRUSH_API_KEY="key")
    social = tables["social"]
    past = social[social["published_at"] < END - timedelta(days=1)]
    with LiveCollector(settings, lambda: SETTLED) as collector:
        give_up = time.monotonic() + 60
        seen = pd.DataFrame()
        while len(seen) < len(past) and time.monotonic() < give_up:
            collect(sqlite_engine, collector, END, "me", lambda: END)
            with sqlite_engine.connect() as conn:
                seen = load_observations(conn, end=END - timedelta(days=1, seconds=1)).get(
                    "social", seen
                )
    assert len(seen) == len(past)


def test_what_another_worker_spent_counts(world: World) -> None:
    with LiveCollector(settings_for(world), lambda: SETTLED) as collector:
        collector.fetch(DAY_OLD, END)
        before = {state.source: state for state in collector.states()}
        used = before["binance"].budgets
        collector.take_over({"binance": used})
        after = {state.source: state for state in collector.states()}
    assert [one.used for one in after["binance"].budgets] >= [2 * one.used for one in used]


def test_a_rate_settled_with_a_bar_is_there_for_that_bar(tables: dict[str, pd.DataFrame]) -> None:
    times = [END - timedelta(hours=1)]
    with World(tables, lambda: times[-1]) as world:
        settings = settings_for(world)
        with LiveCollector(settings, lambda: times[-1]) as collector:
            collector.fetch(DAY_OLD, times[-1])  # here the intervals are asked for, and kept
            collector.saved()
            times.append(END + timedelta(seconds=2))
            rates = collector.fetch(DAY_OLD, END).tables["funding"]
    settled = tables["funding"]["settled_at"] == END
    assert set(rates.loc[rates["settled_at"] == END, "symbol"]) == set(
        tables["funding"].loc[settled, "symbol"]
    )
