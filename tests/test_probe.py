"""Whether an exchange answers, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic

import pytest

from core.errors import SettingsError
from core.market.probe import Answer, ask_exchanges
from core.settings import Settings, load_settings
from tests.server import free_port
from tests.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


def settings_at(endpoints: dict[str, str], **others: str) -> Settings:
    addresses = ",".join(f"{name}={url}" for name, url in endpoints.items())
    return load_settings({"CRYPTOSATX_ENDPOINTS": addresses, **others})


def ask(world: World) -> Answer:
    return ask_exchanges(settings_at(world.endpoints), seconds=1)


def test_one_exchange_that_answers_is_enough(world: World) -> None:
    with world.failing("binance", "refuse"), world.failing("okx", "hang"):
        answer = ask(world)
    assert (answer.venue, answer.reasons) == ("bybit", "")
    assert abs(answer.at - datetime.now(UTC)).total_seconds() < 30


def test_nobody_waits_for_the_slow_ones_when_one_has_answered(world: World) -> None:
    with world.failing("binance", "hang"), world.failing("okx", "hang"):
        began = monotonic()
        answer = ask_exchanges(settings_at(world.endpoints), seconds=60)
    assert answer.venue == "bybit"
    assert monotonic() - began < 30


def test_where_none_answers_in_time_each_has_its_reason(world: World) -> None:
    with (
        world.failing("binance", "hang"),
        world.failing("bybit", "500"),
        world.failing("okx", "refuse"),
    ):
        answer = ask(world)
    assert answer.venue is None
    assert "binance did not answer within 1 s." in answer.reasons
    assert "bybit" in answer.reasons
    assert "okx" in answer.reasons


def test_only_the_chosen_exchanges_are_asked() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    answer = ask_exchanges(settings_at({"okx": nowhere}, CRYPTOSATX_EXCHANGES="okx"), seconds=1)
    assert answer.venue is None
    assert "okx" in answer.reasons
    assert "binance" not in answer.reasons


def test_settings_that_cannot_be_used_are_no_answer() -> None:
    with pytest.raises(SettingsError, match="CRYPTOSATX_LIMITS"):
        ask_exchanges(load_settings({"CRYPTOSATX_LIMITS": "total=soon"}))


def test_an_address_that_swallows_everything_costs_no_more_than_the_time_allowed() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        answer = ask_exchanges(settings_at({"okx": url}, CRYPTOSATX_EXCHANGES="okx"), seconds=0.5)
    assert answer.reasons == "okx did not answer within 0.5 s."
