from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import SourceRefused, SourceReplyWrong
from core.market.stream.events import Event, Reading, parse_message
from core.market.symbols import Contract
from tests.conftest import SHARED
from tests.world import messages

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AT_MS = int(NOW.timestamp() * 1000) - 700


def by_name(venue: str, *contracts: tuple[str, str, float, float]) -> dict[str, Contract]:
    return {
        name: Contract(venue, name, "", "USDT", size, symbol=symbol, scale=scale)
        for name, symbol, size, scale in contracts
    }


CONTRACTS = {
    "binance": by_name("binance", ("BTCUSDT", "BTCUSDT", 1, 1)),
    "bybit": by_name(
        "bybit",
        ("BTCUSDT", "BTCUSDT", 1, 1),
        ("PIPPINUSDT", "PIPPINUSDT", 1, 1),
        ("10000SATSUSDT", "1000SATSUSDT", 1, 0.1),
    ),
    "okx": by_name(
        "okx",
        ("BTC-USDT-SWAP", "BTCUSDT", 0.01, 1),
        ("PEPE-USDT-SWAP", "1000PEPEUSDT", 10_000_000, 1_000),
        ("XRP-USD-230929", "XRPUSDT", 100, 1),
    ),
    "coinglass": by_name("coinglass", ("METUSDT", "METUSDT", 1, 1)),
}


def read(venue: str, message: str | dict[str, Any], received_at: datetime = NOW) -> Reading:
    content = json.loads(message) if isinstance(message, str) else message
    return parse_message(venue, content, received_at, CONTRACTS[venue])


def only(reading: Reading) -> Event:
    assert reading.refused == []
    (event,) = reading.events
    return event


@pytest.fixture(scope="module")
def samples() -> dict[str, Any]:
    path = SHARED / "payloads" / "websocket_liquidations.json"
    if not path.is_file():
        pytest.skip("the venues' sample messages are not beside this repository")
    return {sample["venue"]: sample["message"] for sample in json.loads(path.read_text())}


def test_binance_sends_the_side_of_the_order(samples: dict[str, Any]) -> None:
    event = only(read("binance", samples["binanceusdm"]))
    assert (event.symbol, event.liquidated_side) == ("BTCUSDT", "short")  # a BUY closed a short
    assert event.usd == pytest.approx(0.014 * 4706.04)
    assert event.occurred_at == datetime(2020, 3, 13, 0, 23, 51, 421_000, tzinfo=UTC)


def test_bybit_sends_the_side_of_the_position(samples: dict[str, Any]) -> None:
    event = only(read("bybit", samples["bybit"]))
    assert (event.symbol, event.liquidated_side) == ("PIPPINUSDT", "short")  # a Sell position
    assert event.usd == pytest.approx(2846 * 0.02456)


def test_okx_names_the_position_and_counts_contracts(samples: dict[str, Any]) -> None:
    event = only(read("okx", samples["okx"]))
    assert (event.symbol, event.liquidated_side) == ("XRPUSDT", "short")
    assert event.quantity == 3_900  # 39 contracts, here of 100 coins
    assert event.usd == pytest.approx(3_900 * 0.55205)


def test_coinglass_sends_the_side_of_the_order(samples: dict[str, Any]) -> None:
    event = only(read("coinglass", samples["coinglass"]))
    assert (event.venue, event.symbol) == ("coinglass:bybit", "METUSDT")
    assert (event.liquidated_side, event.usd) == ("short", 2750.13984)


@pytest.mark.parametrize("name", ["", "x" * 40, "By\x00bit", 7])
def test_an_exchange_nobody_can_be_called_is_refused(name: object) -> None:
    entry = {"exName": name, "symbol": "METUSDT", "side": 2, "price": 1.0, "volUsd": 5.0}
    message = {"channel": "liquidationOrders", "data": [{**entry, "time": AT_MS}]}
    reading = read("coinglass", message)
    assert (reading.events, len(reading.refused)) == ([], 1)


def test_the_same_liquidated_long_is_a_long_on_every_venue() -> None:
    told = {
        "binance": messages.binance_order(AT_MS, side="SELL", quantity=0.1),
        "bybit": messages.bybit_liquidation(AT_MS, side="Buy", size=0.1),
        "okx": messages.okx_liquidation(AT_MS, side="long", size=10),
    }
    events = [only(read(venue, message)) for venue, message in told.items()]
    assert {event.liquidated_side for event in events} == {"long"}
    assert [event.usd for event in events] == pytest.approx([5_000.0] * 3)
    assert {event.symbol for event in events} == {"BTCUSDT"}


def test_an_okx_account_with_a_net_position_is_judged_by_its_order() -> None:
    message = json.loads(messages.okx_liquidation(AT_MS, side="long"))
    message["data"][0]["details"][0]["posSide"] = "net"
    assert only(read("okx", message)).liquidated_side == "long"


def test_bundles_of_coins_become_the_units_of_the_symbol() -> None:
    event = only(
        read("okx", messages.okx_liquidation(AT_MS, contract="PEPE-USDT-SWAP", price=1e-5, size=3))
    )
    assert (event.symbol, event.price) == ("1000PEPEUSDT", pytest.approx(0.01))
    assert event.usd == pytest.approx(3 * 10_000_000 * 1e-5)
    event = only(
        read("bybit", messages.bybit_liquidation(AT_MS, symbol="10000SATSUSDT", price=2e-3, size=7))
    )
    assert (event.price, event.quantity) == (pytest.approx(2e-4), 70)
    assert event.usd == pytest.approx(7 * 2e-3)


def test_an_event_keeps_its_identity_when_it_is_sent_again() -> None:
    message = messages.binance_order(AT_MS)
    again = read("binance", {"stream": "x", "data": json.loads(message)}, NOW + timedelta(hours=1))
    assert only(read("binance", message)).identity == only(again).identity


@pytest.mark.parametrize(
    "change", [{"at_ms": AT_MS + 1}, {"side": "BUY"}, {"price": 50_001.0}, {"quantity": 0.2}]
)
def test_another_event_has_another_identity(change: dict[str, Any]) -> None:
    first = only(read("binance", messages.binance_order(AT_MS)))
    other = only(read("binance", messages.binance_order(**{"at_ms": AT_MS, **change})))
    assert first.identity != other.identity


def test_identities_sort_by_time() -> None:
    events = [only(read("binance", messages.binance_order(AT_MS - n * 999))) for n in range(20)]
    assert sorted(events, key=lambda e: e.identity) == sorted(events, key=lambda e: e.occurred_at)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ap", "NaN"),
        ("ap", "inf"),
        ("ap", "-3"),
        ("ap", "0"),
        ("z", None),
        ("z", "much"),
        ("z", True),
        ("S", "HOLD"),
        ("S", 1),
        ("T", "yesterday"),
        ("T", 1_765_416),  # seconds where milliseconds belong
        ("T", AT_MS + 3_600_000),
        ("s", ""),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(field: str, value: object) -> None:
    message = json.loads(messages.binance_order(AT_MS))
    message["o"][field] = value
    reading = read("binance", message)
    assert reading.events == []
    (reason,) = reading.refused
    assert reason.startswith("binance")


def test_contracts_that_are_not_followed_are_left_out() -> None:
    assert read("binance", messages.binance_order(AT_MS, symbol="ETHBTC")) == Reading([], [])


def test_one_bad_entry_does_not_take_the_others_along() -> None:
    message = json.loads(messages.bybit_liquidation(AT_MS))
    message["data"] = [*message["data"], {"T": AT_MS}, *message["data"]]
    reading = read("bybit", message)
    assert (len(reading.events), len(reading.refused)) == (2, 1)


@pytest.mark.parametrize(
    ("venue", "message"),
    [
        ("binance", {"result": None, "id": 1}),
        ("bybit", {"success": True, "ret_msg": "pong", "op": "ping"}),
        ("bybit", {"success": True, "op": "subscribe"}),
        ("okx", {"event": "subscribe", "arg": {"channel": "liquidation-orders"}}),
        ("coinglass", {"code": 0, "success": True}),
    ],
)
def test_an_answer_to_a_subscription_holds_no_events(venue: str, message: dict[str, Any]) -> None:
    assert read(venue, message) == Reading([], [])


@pytest.mark.parametrize(
    ("venue", "message"),
    [
        ("binance", {"error": {"code": 2, "msg": "no"}, "id": 1}),
        ("bybit", {"success": False, "ret_msg": "handler not found", "op": "subscribe"}),
        ("okx", {"event": "error", "code": "60012", "msg": "Illegal request"}),
        ("coinglass", {"code": "40001", "msg": "API key missing"}),
    ],
)
def test_a_refused_subscription_is_said(venue: str, message: dict[str, Any]) -> None:
    with pytest.raises(SourceRefused, match=f"{venue} refused"):
        read(venue, message)


@pytest.mark.parametrize("venue", CONTRACTS)
@pytest.mark.parametrize("message", [{}, [], {"hello": "world"}, "text", None])
def test_a_message_that_nobody_knows_is_wrong(venue: str, message: Any) -> None:
    with pytest.raises(SourceReplyWrong, match=venue):
        parse_message(venue, message, NOW, CONTRACTS[venue])


def test_an_amount_that_cannot_be_is_refused() -> None:
    told = messages.binance_order(int(NOW.timestamp() * 1000), price=1e200, quantity=1e200)
    reading = parse_message("binance", json.loads(told), NOW, CONTRACTS["binance"])
    assert not reading.events
    assert "an amount that cannot be" in reading.refused[0]
