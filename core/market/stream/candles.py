"""Candles that have closed, as venues' streams tell them, and where each venue's stream of them is.

While a candle runs its stream tells of it several times a second; only the last message, in which
the venue says that it is over, is taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from core.errors import SourceReplyWrong
from core.market.sources import okx
from core.market.sources.reading import get, milliseconds, records, text
from core.market.stream.events import check_answer
from core.market.stream.feeds import FEEDS, Feed

# Venues allow more streams in one connection (Binance 1,024), but not much longer messages.
PER_CONNECTION, _PER_MESSAGE = 200, 100
_SOME = "A candle of a market in which little is traded may come seconds after its close."
_BYBIT_TOPIC, _OKX_CHANNEL = "kline.60.", "candle1H"


class Told(NamedTuple):
    """A candle that is over; ``row`` is as the venue lists it when it is asked for candles.

    ``contract`` is the venue's own name, ``open_ms`` None where it is no time.
    """

    contract: str
    open_ms: int | None
    row: list[Any]


def read_closed(venue: str, message: object) -> list[Told]:
    """The closed candles of one message, most often none.

    Raises `SourceRefused` when the message is the venue's refusal, `SourceReplyWrong` when it is
    nothing that is known.

    >>> candle = {"t": 1762948800000, "T": 1762952399999, "s": "BTCUSDT", "i": "1h", "x": True,
    ...     "o": "100", "c": "101", "h": "102", "l": "99", "v": "7", "q": "705"}
    >>> [told] = read_closed("binance", {"e": "kline", "s": "BTCUSDT", "k": candle})
    >>> told.contract, told.row[:5]
    ('BTCUSDT', [1762948800000, '100', '102', '99', '101'])
    >>> read_closed("binance", {"e": "kline", "s": "BTCUSDT", "k": {**candle, "x": False}})
    []
    """
    found = _READERS[venue](message) if isinstance(message, Mapping) else None
    if found is None:
        check_answer(venue, message)
    return found or []


def _binance(message: Mapping[str, Any]) -> list[Told] | None:
    body = message.get("data", message)
    if not isinstance(body, Mapping) or body.get("e") != "kline":
        return None
    candle = get(body, "k", "binance")
    if get(candle, "x", "binance") is not True or get(candle, "i", "binance") != "1h":
        return []
    row = [get(candle, name, "binance") for name in "tohlcvTq"]
    return [_told(text(candle, "s", "binance"), row)]


def _bybit(message: Mapping[str, Any]) -> list[Told] | None:
    topic = str(message.get("topic", ""))
    if not topic.startswith(_BYBIT_TOPIC):
        return None
    names = ("start", "open", "high", "low", "close", "volume", "turnover")
    return [
        _told(topic.removeprefix(_BYBIT_TOPIC), [get(one, name, "bybit") for name in names])
        for one in records(message, "bybit", "data")
        if get(one, "confirm", "bybit") is True
    ]


def _okx(message: Mapping[str, Any]) -> list[Told] | None:
    if "data" not in message:
        return None
    channel = get(message, "arg", "okx")
    if get(channel, "channel", "okx") != _OKX_CHANNEL:
        raise SourceReplyWrong("okx sent a channel that was not asked for.")
    name = text(channel, "instId", "okx")
    return [_told(name, one) for one in records(message, "okx", "data") if okx.is_confirmed(one)]


def _told(contract: str, row: list[Any]) -> Told:
    return Told(contract, milliseconds(row[0]), row)


_READERS = {"binance": _binance, "bybit": _bybit, "okx": _okx}


def _subscribe_binance(contracts: Sequence[str]) -> list[str]:
    return [
        json.dumps(
            {"method": "SUBSCRIBE", "params": [f"{one.lower()}@kline_1h" for one in part], "id": at}
        )
        for at, part in enumerate(_parts(contracts), 1)
    ]


def _subscribe_bybit(contracts: Sequence[str]) -> list[str]:
    return [
        json.dumps({"op": "subscribe", "args": [f"{_BYBIT_TOPIC}{one}" for one in part]})
        for part in _parts(contracts)
    ]


def _subscribe_okx(contracts: Sequence[str]) -> list[str]:
    return [
        json.dumps(
            {
                "op": "subscribe",
                "args": [{"channel": _OKX_CHANNEL, "instId": one} for one in part],
            }
        )
        for part in _parts(contracts)
    ]


def _parts(contracts: Sequence[str]) -> list[Sequence[str]]:
    return [
        contracts[start : start + _PER_MESSAGE] for start in range(0, len(contracts), _PER_MESSAGE)
    ]


def _feed(venue: str, url: str, subscribe: Callable[[Sequence[str]], list[str]]) -> Feed:
    return Feed(venue, url, subscribe, FEEDS[venue].ping, _SOME)


CANDLE_FEEDS: dict[str, Feed] = {
    "binance": _feed("binance", FEEDS["binance"].url, _subscribe_binance),
    "bybit": _feed("bybit", FEEDS["bybit"].url, _subscribe_bybit),
    "okx": _feed("okx", "wss://ws.okx.com:8443/ws/v5/business", _subscribe_okx),
}
