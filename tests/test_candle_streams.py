"""Candles that have closed, from the exchanges' streams, and from their replies where those fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import pandas as pd
import pytest

from core.errors import SourceRefused, SourceReplyWrong
from core.jobs.live import HOUR, LiveCollector
from core.market.demo import demo_tables
from core.market.http import Http
from core.market.sources import BUDGETS, binance, bybit, okx
from core.market.sources.exchange import to_ms
from core.market.sources.venue import Venue
from core.market.stream.candles import CANDLE_FEEDS, read_closed
from core.market.symbols import Contract
from core.settings import load_settings
from tests.live_market import few
from tests.world import World, messages

BAR = datetime(2025, 11, 1, 3, tzinfo=UTC)
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SUIUSDT"]
CANDLES = {
    "binance": "/fapi/v1/klines",
    "bybit": "/v5/market/kline",
    "okx": "/api/v5/market/candles",
}
WRITE = {
    "binance": messages.binance_kline,
    "bybit": messages.bybit_kline,
    "okx": messages.okx_candle,
}
ROW = {"open_ms": to_ms(BAR - HOUR), "open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0}
ROW |= {"volume": 7.0, "quote_volume": 705.0}
CONTRACTS = {
    "binance": Contract("binance", "BTCUSDT", "BTC", "USDT", symbol="BTCUSDT"),
    "bybit": Contract("bybit", "SHIB1000USDT", "SHIB1000", "USDT", symbol="1MSHIBUSDT", scale=1e3),
    "okx": Contract("okx", "PEPE-USDT-SWAP", "PEPE", "USDT", 0.01, None, "1000PEPEUSDT", 1000.0),
}
# The same candle in the replies of each exchange.
REPLIES: dict[str, Any] = {
    "binance": [[ROW["open_ms"], "100", "102", "99", "101", "7", 0, "705", 9, "1", "1", "0"]],
    "bybit": {"result": {"list": [[str(ROW["open_ms"]), "100", "102", "99", "101", "7", "705"]]}},
    "okx": {
        "0": {"data": [[str(ROW["open_ms"]), "100", "102", "99", "101", "700", "7", "705", "1"]]}
    },
}
MODULES = {"binance": binance, "bybit": bybit, "okx": okx}
VENUES = ("binance", "bybit", "okx")


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """A market without candles that came late: a venue does not say when a candle came."""
    chosen = few(demo_tables(days=4, end=BAR + 2 * HOUR), SYMBOLS)
    closes = chosen["candles_1h"]["open_at"] + pd.Timedelta(hours=1)
    return chosen | {"candles_1h": chosen["candles_1h"].assign(published_at=closes)}


class MovedClock:
    """Goes on by itself from a time on, and can be moved."""

    def __init__(self, start: datetime) -> None:
        self.move(start)

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=monotonic() - self._began)

    def move(self, to: datetime) -> None:
        self._start, self._began = to, monotonic()


class Scene:
    """A world and a collector around the close of `BAR`."""

    def __init__(self, world: World, collector: LiveCollector, clock: MovedClock) -> None:
        self.world, self.collector, self.clock = world, collector, clock

    def collect(self, bar: datetime, stored: datetime) -> pd.DataFrame:
        tables = ("candles_1h", "funding", "open_interest", "long_short", "fear_greed")
        newest = {name: dict.fromkeys([*SYMBOLS, ""], stored) for name in tables}
        found = self.collector.fetch(newest, bar).tables["candles_1h"]
        self.collector.saved()
        return found[found["published_at"] == bar].sort_values("symbol", ignore_index=True)

    def close(self, venue: str, ahead: float = 0.0) -> pd.DataFrame:
        """The candles of the bar, as a round that begins at its very close collects them."""
        self.clock.move(BAR - timedelta(seconds=15))
        wait_for(lambda: self.world.candles[venue].asked)
        self.clock.move(BAR - timedelta(seconds=ahead + 0.05))
        wait_for(lambda: self.clock() >= BAR)
        for source in self.world.sources.values():
            source.asked.clear()
        return self.collect(BAR, BAR - HOUR)

    def asked(self, venue: str) -> int:
        """How many requests for candles the close took."""
        return self.world.sources[venue].asked[CANDLES[venue]]

    def remarks(self, venue: str) -> str:
        states = {one.source: one for one in self.collector.states()}
        return states[venue].remarks.get("candle stream", "")


def wait_for(what: Callable[[], object]) -> None:
    give_up = monotonic() + 20
    while not what():
        assert monotonic() < give_up, "it took too long"
        sleep(0.01)


@contextmanager
def following(
    tables: dict[str, pd.DataFrame], venue: str, *, ahead: float = 0.0, known: bool = True
) -> Iterator[Scene]:
    """The exchange's clock is so many seconds ahead; the bar before may have been collected."""
    clock = MovedClock(BAR - HOUR + timedelta(seconds=5))
    with World(tables, lambda: clock() + timedelta(seconds=ahead)) as world:
        endpoints = ",".join(f"{name}={url}" for name, url in world.endpoints.items())
        settings = load_settings(
            {
                "CRYPTOSATX_ENDPOINTS": endpoints,
                "CRYPTOSATX_EXCHANGES": venue,
                "CRYPTOSATX_LIMITS": "attempts=1,connect=1",
                "CRYPTOSATX_MARKET": "live",
            }
        )
        with LiveCollector(settings, clock, patience_seconds=0.1) as collector:
            scene = Scene(world, collector, clock)
            collector.take_over({})
            if known:
                scene.collect(BAR - HOUR, BAR - 2 * HOUR)
            yield scene


def rows_in_replies(world: World, venue: str) -> pd.DataFrame:
    """What the exchange says of the same candles when it is asked."""

    async def ask() -> list[pd.DataFrame]:
        http = Http({venue: BUDGETS[venue]}, endpoints=world.endpoints, now=lambda: BAR + HOUR)
        async with http:
            own = Venue(venue, http)
            listed = [one for one in await own.contracts() if one.venue == venue]
            placed = [
                Contract(venue, one.name, one.base, "USDT", symbol=f"{one.base}USDT")
                for one in listed
                if one.name in (f"{one.base}USDT", f"{one.base}-USDT-SWAP")
            ]
            return [await own.candles(one, since=BAR - 2 * HOUR, until=BAR) for one in placed]

    rows = pd.concat(asyncio.run(ask()))
    return rows[rows["published_at"] == BAR].sort_values("symbol", ignore_index=True)


@pytest.mark.parametrize("venue", VENUES)
def test_candles_come_by_the_stream_and_none_is_asked_for(
    tables: dict[str, pd.DataFrame], venue: str
) -> None:
    with following(tables, venue) as scene:
        told = scene.close(venue)
        assert scene.asked(venue) == 0
        assert not scene.world.sources["alternative_me"].asked
        assert told["symbol"].tolist() == SYMBOLS
        pd.testing.assert_frame_equal(told, rows_in_replies(scene.world, venue))
        assert scene.remarks(venue) == ""
        wait_for(lambda: scene.world.candles[venue].listeners == 0)


def test_only_what_a_stream_did_not_tell_is_asked_for(tables: dict[str, pd.DataFrame]) -> None:
    def badly(name: str, message: str) -> list[str]:
        """Nothing of one market, another hour of the next, and of the last the same twice."""
        if name == "BTCUSDT":
            return ["no JSON", "[]", json.dumps({"e": "kline", "k": {"x": True, "i": "1h"}})]
        if name == "ETHUSDT":
            return [message.replace(str(ROW["open_ms"]), str(ROW["open_ms"] - 3_600_000))]
        return [message, message]

    with following(tables, "binance") as scene:
        scene.world.candles["binance"].last = badly
        told = scene.close("binance")
        assert told["symbol"].tolist() == SYMBOLS
        assert scene.asked("binance") == 2
        assert scene.world.candles["binance"].told == 3
        pd.testing.assert_frame_equal(told, rows_in_replies(scene.world, "binance"))
        said = scene.remarks("binance")
    assert said.startswith("2 of 3 candles that closed at 03:00 UTC did not come by its stream")
    assert "without the field t" in said


def test_candles_that_cannot_be_or_contradict_each_other_are_asked_for(
    tables: dict[str, pd.DataFrame],
) -> None:
    def badly(name: str, message: str) -> list[str]:
        candle = json.loads(message)
        entry = candle["data"][0]
        if name == "BTCUSDT":
            entry["high"] = "0.5"
        elif name == "ETHUSDT":
            entry["close"] = entry["low"]
            return [message, json.dumps(candle)]
        else:
            entry["volume"] = "NaN"
        return [json.dumps(candle)]

    with following(tables, "bybit") as scene:
        scene.world.candles["bybit"].last = badly
        told = scene.close("bybit")
        assert scene.asked("bybit") == 3
        pd.testing.assert_frame_equal(told, rows_in_replies(scene.world, "bybit"))
        assert "3 of 3 candles" in scene.remarks("bybit")


@pytest.mark.parametrize("fault", ["cut", "silent", "refused"])
def test_without_a_stream_candles_are_asked_for_as_ever(
    tables: dict[str, pd.DataFrame], fault: str
) -> None:
    with following(tables, "okx") as scene:
        scene.world.candles["okx"].cut = fault == "cut"
        if fault == "silent":
            scene.world.candles["okx"].last = lambda _name, _message: []
        if fault == "refused":
            scene.world.candles["okx"].refused = True
        told = scene.close("okx")
        assert told["symbol"].tolist() == SYMBOLS
        assert scene.asked("okx") == 3
        assert "3 of 3 candles" in (said := scene.remarks("okx"))
        assert ("closed the connection" in said) is (fault == "cut")
        assert ("refused the subscription: 60018" in said) is (fault == "refused")


def test_the_first_bar_of_a_process_is_asked_for_with_what_may_be_missing_before(
    tables: dict[str, pd.DataFrame],
) -> None:
    with following(tables, "binance", known=False) as scene:
        told = scene.close("binance")
        assert scene.asked("binance") == 3
        assert told["symbol"].tolist() == SYMBOLS
        assert scene.world.candles["binance"].told == 3


def test_a_clock_that_is_slow_does_not_lose_a_candle(tables: dict[str, pd.DataFrame]) -> None:
    with following(tables, "binance", ahead=1.0) as scene:
        told = scene.close("binance", ahead=1.0)
        assert scene.asked("binance") == 0
        assert told["symbol"].tolist() == SYMBOLS


def test_who_does_not_ask_the_sources_does_not_listen(tables: dict[str, pd.DataFrame]) -> None:
    with following(tables, "binance") as scene:
        scene.collector.rest()
        scene.clock.move(BAR - timedelta(seconds=15))
        sleep(0.3)
        assert scene.world.candles["binance"].asked == 0
        scene.collector.take_over({})
        wait_for(lambda: scene.world.candles["binance"].listeners == 1)


@pytest.mark.parametrize("venue", VENUES)
def test_a_told_candle_is_the_row_of_a_reply(venue: str) -> None:
    contract = CONTRACTS[venue]
    own = Venue(venue, Http({venue: BUDGETS[venue]}))
    [told] = read_closed(venue, json.loads(WRITE[venue](contract.name, ROW)))
    assert (told.contract, told.open_ms) == (contract.name, ROW["open_ms"])
    rows = own.streamed_candles([(contract, told.row)], BAR)
    replied = MODULES[venue].parse_candles(REPLIES[venue], contract, BAR)
    pd.testing.assert_frame_equal(rows, replied)
    assert (rows["published_at"] == BAR).all()


@pytest.mark.parametrize("venue", VENUES)
def test_a_candle_that_runs_is_not_told(venue: str) -> None:
    assert read_closed(venue, json.loads(WRITE[venue]("A", ROW, closed=False))) == []


@pytest.mark.parametrize(
    ("venue", "message"),
    [
        ("binance", {"result": None, "id": 1}),
        ("bybit", {"success": True, "ret_msg": "", "op": "subscribe"}),
        ("bybit", {"success": True, "ret_msg": "pong", "op": "ping"}),
        ("okx", {"event": "subscribe", "arg": {"channel": "candle1H", "instId": "A"}}),
    ],
)
def test_an_answer_tells_nothing(venue: str, message: dict[str, Any]) -> None:
    assert read_closed(venue, message) == []


@pytest.mark.parametrize(
    ("venue", "message", "error"),
    [
        ("binance", {"error": {"code": 2, "msg": "Invalid request"}, "id": 1}, SourceRefused),
        ("bybit", {"success": False, "ret_msg": "error:handler not found"}, SourceRefused),
        ("okx", {"event": "error", "code": "60018", "msg": "no such channel"}, SourceRefused),
        ("binance", {"e": "kline", "k": {"x": True, "i": "1h", "t": 1}}, SourceReplyWrong),
        ("binance", {"e": "kline", "k": None}, SourceReplyWrong),
        ("bybit", {"topic": "kline.60.A", "data": [{"confirm": True}]}, SourceReplyWrong),
        ("bybit", {"topic": "kline.60.A", "data": None}, SourceReplyWrong),
        ("okx", {"arg": {"channel": "candle4H", "instId": "A"}, "data": []}, SourceReplyWrong),
        ("okx", {"arg": {"channel": "candle1H", "instId": "A"}, "data": [[1]]}, SourceReplyWrong),
        ("okx", [], SourceReplyWrong),
        ("binance", "kline", SourceReplyWrong),
    ],
)
def test_what_is_no_candle_is_refused(venue: str, message: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_closed(venue, message)


def test_many_markets_are_asked_for_in_messages_that_a_venue_takes() -> None:
    names = [f"COIN{number}-USDT-SWAP" for number in range(200)]
    for feed in CANDLE_FEEDS.values():
        sent = feed.subscribe(names)
        assert len(sent) == 2
        assert all(len(one) < 8_000 for one in sent)
        assert all(one in " ".join(sent).upper() for one in names)
