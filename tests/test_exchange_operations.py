"""ccxt's unified methods as operations, on exchanges of the stand-in world."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import ccxt  # Loading it takes seconds on a busy machine, which are not those of whoever asks first.
import pandas as pd
import pytest

from core.errors import SourceReplyWrong, SourceUnavailable, TookTooLong
from core.market.demo import demo_tables
from core.market.sources import BUDGETS
from core.market.sources.exchange import CCXT_IDS
from core.operations import WrongParameters
from core.operations.sources import close_readers
from core.operations.sources.exchanges import exchange_operations
from core.operations.sources.table import load_table
from core.settings import Settings, load_settings
from tests.test_source_operations import ask, context_of
from tests.test_world import small
from tests.world import World

END = datetime(2025, 11, 1, tzinfo=UTC)
SINCE = int((END - timedelta(days=2)).timestamp() * 1000)
TABLE = load_table("ccxt")
OPERATIONS = {one.name: one for one in exchange_operations()}
EACH = [(endpoint, venue) for endpoint in TABLE.endpoints for venue in endpoint.venues]


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return small(demo_tables(days=10, end=END))


@pytest.fixture(scope="module")
def world(tables: dict[str, pd.DataFrame]) -> Iterator[World]:
    with World(tables, lambda: END) as world:
        yield world
        close_readers()


def settings_of(world: World, **changes: str) -> Settings:
    endpoints = ",".join(f"{venue}={world.endpoints[venue]}" for venue in CCXT_IDS)
    roomy = ",".join(
        f"{venue}.{budget.name}={budget.amount * 1000}"
        for venue in CCXT_IDS
        for budget in BUDGETS[venue]
    )
    return load_settings(
        {
            "CRYPTOSATX_ENDPOINTS": endpoints,
            "CRYPTOSATX_BUDGETS": roomy,
            "CRYPTOSATX_LIMITS": "attempts=1,failures_to_open=1000",
            **changes,
        }
    )


def given_to(endpoint: Any, venue: str) -> dict[str, Any]:
    """Everything that it takes, with the examples of the table."""
    given = {one.name: one.kind.example for one in TABLE.taken(endpoint)}
    given["exchange"] = venue
    return {**given, "since": SINCE} if "since" in given else given


@pytest.mark.parametrize(
    ("endpoint", "venue"), EACH, ids=[f"{one.name}-{venue}" for one, venue in EACH]
)
def test_every_method_is_asked_and_read_on_every_exchange_that_has_it(
    world: World, endpoint: Any, venue: str
) -> None:
    context, operation = context_of(settings_of(world)), OPERATIONS[f"ccxt_{endpoint.name}"]
    before = world.sources[venue].requests
    found = ask(operation, context, given_to(endpoint, venue))
    assert (found.source, found.endpoint) == (venue, endpoint.name)
    assert found.reply or endpoint.name == "fetch_funding_intervals"
    assert world.sources[venue].requests > before
    assert "'info'" not in str(found.reply)
    if (
        endpoint.name not in ("fetch_time", "fetch_funding_intervals")
        and "ohlcv" not in endpoint.name
    ):
        assert "BTC/USDT:USDT" in str(found.reply)


def test_the_table_names_the_exchanges_that_ccxt_says_have_a_method() -> None:
    made = {venue: getattr(ccxt, name)() for venue, name in CCXT_IDS.items()}
    for endpoint in TABLE.endpoints:
        assert set(endpoint.venues) <= {v for v, one in made.items() if one.has.get(endpoint.has)}
        assert all(hasattr(one, endpoint.name) for one in made.values())


def test_candles_are_those_of_the_exchange_and_are_kept_for_a_while(
    world: World, tables: dict[str, pd.DataFrame]
) -> None:
    context, operation = context_of(settings_of(world)), OPERATIONS["ccxt_fetch_ohlcv"]
    given = {
        "exchange": "binance",
        "symbol": "ethusdt",
        "timeframe": "1h",
        "since": SINCE,
        "limit": 3,
    }
    found = ask(operation, context, given)
    candles = tables["candles_1h"]
    chosen = candles[
        (candles["symbol"] == "ETHUSDT") & (candles["open_at"] >= END - timedelta(days=2))
    ]
    assert [row[4] for row in found.reply] == chosen["close"].head(3).tolist()
    before = world.sources["binance"].requests
    again = ask(operation, context, given)
    assert world.sources["binance"].requests == before
    assert (again.fetched_at, again.reply) == (found.fetched_at, found.reply)


def test_a_market_that_an_exchange_does_not_have_is_said_with_those_that_are_close(
    world: World,
) -> None:
    context = context_of(settings_of(world))
    with pytest.raises(
        WrongParameters, match="binance has no perpetual ETHUSD; did you mean ETHUSDT"
    ):
        ask(OPERATIONS["ccxt_fetch_ticker"], context, {"exchange": "binance", "symbol": "ETHUSD"})


def test_an_exchange_that_is_not_followed_is_refused(world: World) -> None:
    context = context_of(settings_of(world, CRYPTOSATX_EXCHANGES="binance"))
    with pytest.raises(WrongParameters, match="does not follow okx: it follows binance"):
        ask(OPERATIONS["ccxt_fetch_time"], context, {"exchange": "okx"})
    with pytest.raises(WrongParameters, match="exchange"):
        OPERATIONS["ccxt_fetch_bids_asks"].check({"exchange": "okx"})


def test_an_exchange_that_fails_is_away_and_one_that_hangs_ends_in_time(world: World) -> None:
    context = context_of(settings_of(world))
    given = {"exchange": "bybit", "symbol": "SUIUSDT"}
    with world.failing("bybit", "html"), pytest.raises(SourceUnavailable, match="bybit"):
        ask(OPERATIONS["ccxt_fetch_ticker"], context, given)
    with world.failing("bybit", "truncated"), pytest.raises((SourceUnavailable, SourceReplyWrong)):
        ask(OPERATIONS["ccxt_fetch_ticker"], context, given)
    world.sources["bybit"].latency_s = 2.0
    try:
        hasty = context_of(settings_of(world), seconds=0.3)
        with pytest.raises(TookTooLong, match="bybit"):
            ask(OPERATIONS["ccxt_fetch_order_book"], hasty, given)
    finally:
        world.sources["bybit"].latency_s = 0.0
