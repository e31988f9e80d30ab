"""Liquidations as venues report them, read into one type of event.

What the side means differs: Binance and Coinglass send the side of the ORDER that closed the
position (SELL: a long was liquidated), Bybit the side of the POSITION (Buy: a long was liquidated),
OKX the position's side in words. Binance reports at most one liquidation per symbol and second,
and OKX the bankruptcy price instead of the fill, so sums over events are lower bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

from core.errors import SourceRefused, SourceReplyWrong
from core.market.symbols import Contract

Side = Literal["long", "short"]

# A clock may run a little fast; what lies further ahead is no time that has been.
AHEAD = timedelta(seconds=60)
_YEAR_2000_MS = 946_684_800_000
_SIDES = {
    "order": {"SELL": "long", "BUY": "short"},
    "position": {"BUY": "long", "SELL": "short"},
}


class Event(NamedTuple):
    """One reported liquidation.

    ``price`` and ``quantity`` are in the units of ``symbol``, ``usd`` is what was liquidated in
    dollars. ``identity`` is the same whenever the venue sends the event again, and sorts by time.
    """

    venue: str
    symbol: str
    liquidated_side: Side
    price: float
    quantity: float
    usd: float
    occurred_at: datetime
    received_at: datetime
    identity: str


class Reading(NamedTuple):
    """The events of a message, and for each entry that could not be read a sentence why."""

    events: list[Event]
    refused: list[str]


class _Entry(NamedTuple):
    venue: str
    contract: str
    side: Side
    price: float
    size: float | None
    usd: float | None
    at_ms: int


def parse_message(
    venue: str, message: object, received_at: datetime, contracts: Mapping[str, Contract]
) -> Reading:
    """Read one message of a venue's stream; an answer to a subscription holds no events.

    ``contracts`` is by the venue's own names; what is not in it is not followed, and left out.
    Entries that cannot be read, or lie in the future, are refused one by one. Raises `SourceRefused` when
    the message is the venue's refusal, `SourceReplyWrong` when it is nothing that is known.

    >>> message = {"e": "forceOrder", "o": {"s": "BTCUSDT", "S": "SELL", "ap": "50000", "z": "0.2",
    ...     "T": 1765416983918}}
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> bitcoin = Contract("binance", "BTCUSDT", "BTC", "USDT", symbol="BTCUSDT")
    >>> event = parse_message("binance", message, now, {"BTCUSDT": bitcoin}).events[0]
    >>> event.liquidated_side, event.usd
    ('long', 10000.0)
    """
    if not isinstance(message, Mapping):
        raise SourceReplyWrong(f"{venue} sent a message that is no object.")
    reader = _READERS[venue]
    events: list[Event] = []
    refused: list[str] = []
    for raw in reader.entries(message):
        try:
            entry = reader.read(raw)
            if (contract := contracts.get(entry.contract)) is not None:
                events.append(_event(entry, received_at, contract))
        except SourceReplyWrong as error:
            refused.append(str(error))
    return Reading(events, refused)


def check_answer(venue: str, message: object) -> None:
    """Raise as `parse_message` does for a message that is a refusal, or nothing that is known."""
    if not isinstance(message, Mapping):
        raise SourceReplyWrong(f"{venue} sent a message that is no object.")
    _READERS[venue].entries(message)


def _event(entry: _Entry, received_at: datetime, contract: Contract) -> Event:
    occurred_at = datetime.fromtimestamp(entry.at_ms / 1000, UTC)
    if occurred_at > received_at + AHEAD:
        raise SourceReplyWrong(f"{entry.venue} sent a time that is still to come: {occurred_at}.")
    price, quantity, usd = _amounts(entry, contract)
    if not (0 < usd < math.inf and 0 < quantity < math.inf):
        raise SourceReplyWrong(f"{entry.venue} sent an amount that cannot be: {usd:g} USD.")
    return Event(
        entry.venue,
        contract.symbol,
        entry.side,
        price,
        quantity,
        usd,
        occurred_at,
        received_at,
        _identity(entry),
    )


def _amounts(entry: _Entry, contract: Contract) -> tuple[float, float, float]:
    """Price and quantity in the units of the symbol, and dollars."""
    price = entry.price * contract.scale
    if entry.size is None:
        usd = entry.usd or 0.0
        return price, usd / price, usd
    coins = entry.size * contract.contract_size
    return price, coins / contract.scale, coins * entry.price


def _identity(entry: _Entry) -> str:
    """The venues send no number of their own, so: the time, and a digest of what was reported."""
    told = f"{entry.contract}|{entry.side}|{entry.price!r}|{entry.size!r}|{entry.usd!r}"
    return f"{entry.at_ms:011x}{blake2b(told.encode(), digest_size=8).hexdigest()}"


def _binance_entries(message: Mapping[str, Any]) -> Sequence[Any]:
    body = message.get("data", message)
    if isinstance(body, Mapping) and body.get("e") == "forceOrder":
        return [body.get("o")]
    if "error" in message:
        raise SourceRefused(f"binance refused the subscription: {message['error']}.")
    if "result" in message and "id" in message:
        return []
    raise _unknown("binance", message)


def _read_binance(raw: Any) -> _Entry:
    order = _object(raw, "binance", "o")
    return _Entry(
        venue="binance",
        contract=_text(order, "s", "binance"),
        side=_side(order, "S", "binance", "order"),
        price=_number(order, "ap", "binance"),
        size=_number(order, "z", "binance"),
        usd=None,
        at_ms=_milliseconds(order, "T", "binance"),
    )


def _bybit_entries(message: Mapping[str, Any]) -> Sequence[Any]:
    if str(message.get("topic", "")).startswith("allLiquidation"):
        return _list(message, "data", "bybit")
    if message.get("success") is False:
        raise SourceRefused(f"bybit refused the subscription: {message.get('ret_msg')}.")
    if message.get("op") in ("subscribe", "ping", "pong"):
        return []
    raise _unknown("bybit", message)


def _read_bybit(raw: Any) -> _Entry:
    entry = _object(raw, "bybit", "data")
    return _Entry(
        venue="bybit",
        contract=_text(entry, "s", "bybit"),
        side=_side(entry, "S", "bybit", "position"),
        price=_number(entry, "p", "bybit"),
        size=_number(entry, "v", "bybit"),
        usd=None,
        at_ms=_milliseconds(entry, "T", "bybit"),
    )


def _okx_entries(message: Mapping[str, Any]) -> Sequence[Any]:
    if message.get("event") == "error":
        raise SourceRefused(
            f"okx refused the subscription: {message.get('code')} {message.get('msg')}."
        )
    if "event" in message:
        return []
    if "data" not in message:
        raise _unknown("okx", message)
    return [
        (_text(block, "instId", "okx"), detail)
        for block in _list(message, "data", "okx")
        for detail in _list(_object(block, "okx", "data"), "details", "okx")
    ]


def _read_okx(raw: Any) -> _Entry:
    contract, entry = raw[0], _object(raw[1], "okx", "details")
    return _Entry(
        venue="okx",
        contract=contract,
        side=_okx_side(entry),
        price=_number(entry, "bkPx", "okx"),
        size=_number(entry, "sz", "okx"),
        usd=None,
        at_ms=_milliseconds(entry, "ts", "okx"),
    )


def _okx_side(entry: Mapping[str, Any]) -> Side:
    """An account that holds one net position has no posSide; the order against it has a side."""
    position = _text(entry, "posSide", "okx")
    if position == "long":
        return "long"
    if position == "short":
        return "short"
    if position != "net":
        raise SourceReplyWrong(f"okx sent {position!r} in posSide, which is not long or short.")
    return _side(entry, "side", "okx", "order")


def _coinglass_entries(message: Mapping[str, Any]) -> Sequence[Any]:
    if message.get("channel") == "liquidationOrders":
        return _list(message, "data", "coinglass")
    if str(message.get("code", "0")) != "0" or message.get("success") is False:
        raise SourceRefused(f"coinglass refused the subscription: {message.get('msg')}.")
    if "event" in message or "code" in message or "success" in message:
        return []
    raise _unknown("coinglass", message)


def _read_coinglass(raw: Any) -> _Entry:
    entry = _object(raw, "coinglass", "data")
    order = entry.get("side")
    if order not in (1, 2):
        raise SourceReplyWrong(f"coinglass sent {order!r} in side, which is not 1 or 2.")
    return _Entry(
        venue=f"coinglass:{_exchange(entry)}",
        contract=_text(entry, "symbol", "coinglass"),
        side="short" if order == 1 else "long",
        price=_number(entry, "price", "coinglass"),
        size=None,
        usd=_number(entry, "volUsd", "coinglass"),
        at_ms=_milliseconds(entry, "time", "coinglass"),
    )


def _exchange(entry: Mapping[str, Any]) -> str:
    name = _text(entry, "exName", "coinglass").lower()
    if len(name) > 20 or not name.isprintable():
        raise SourceReplyWrong(f"coinglass sent {name[:20]!r} in exName, which is no exchange.")
    return name


class _Reader(NamedTuple):
    entries: Callable[[Mapping[str, Any]], Sequence[Any]]
    read: Callable[[Any], _Entry]


_READERS = {
    "binance": _Reader(_binance_entries, _read_binance),
    "bybit": _Reader(_bybit_entries, _read_bybit),
    "okx": _Reader(_okx_entries, _read_okx),
    "coinglass": _Reader(_coinglass_entries, _read_coinglass),
}


def _unknown(venue: str, message: Mapping[str, Any]) -> SourceReplyWrong:
    return SourceReplyWrong(f"{venue} sent a message with the fields {sorted(message)[:8]}.")


def _object(value: Any, venue: str, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SourceReplyWrong(f"{venue} sent no object in {field}.")
    return value


def _list(message: Mapping[str, Any], field: str, venue: str) -> Sequence[Any]:
    value = message.get(field)
    if not isinstance(value, list):
        raise SourceReplyWrong(f"{venue} sent no list in {field}.")
    return value


def _text(entry: Any, field: str, venue: str) -> str:
    value = _object(entry, venue, field).get(field)
    if not isinstance(value, str) or not value:
        raise SourceReplyWrong(f"{venue} sent {value!r} in {field}, which must be text.")
    return value


def _side(entry: Mapping[str, Any], field: str, venue: str, of: str) -> Side:
    value = _text(entry, field, venue)
    side = _SIDES[of].get(value.upper())
    if side is None:
        raise SourceReplyWrong(f"{venue} sent {value!r} in {field}, which is not buy or sell.")
    return "long" if side == "long" else "short"


def _number(entry: Mapping[str, Any], field: str, venue: str) -> float:
    value = entry.get(field)
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise SourceReplyWrong(
            f"{venue} sent {value!r} in {field}, which must be a number above 0."
        )
    return number


def _milliseconds(entry: Mapping[str, Any], field: str, venue: str) -> int:
    value = _number(entry, field, venue)
    if not _YEAR_2000_MS <= value <= 4_102_444_800_000:
        raise SourceReplyWrong(f"{venue} sent {value:g} in {field}, which is no time.")
    return int(value)
