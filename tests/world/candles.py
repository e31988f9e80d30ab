"""The candle streams of a venue: what runs a few times a second, and what has closed once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.world import messages
from tests.world.market import HOUR_MS, Market, Row

_TICK_S, _EVERY_TICKS = 0.02, 12
# Candles that have closed are told of one after the other, within this time of their close.
_FIRST_MS, _LAST_MS = 40, 200


@dataclass(frozen=True)
class Words:
    """How a venue names and tells candles; ``write`` is given a name, a row and ``closed``."""

    names: Callable[[Mapping[str, Any]], list[str]]
    symbol: Callable[[str], str]
    write: Callable[..., str]


def _binance_names(asked: Mapping[str, Any]) -> list[str]:
    streams = [str(one).partition("@") for one in asked.get("params", [])]
    return [name.upper() for name, _, kind in streams if kind == "kline_1h"]


def _bybit_names(asked: Mapping[str, Any]) -> list[str]:
    topics = [str(one) for one in asked.get("args", [])]
    return [one.removeprefix("kline.60.") for one in topics if one.startswith("kline.60.")]


def _okx_names(asked: Mapping[str, Any]) -> list[str]:
    return [one["instId"] for one in asked.get("args", []) if one.get("channel") == "candle1H"]


CANDLES = {
    "binance": Words(_binance_names, str, messages.binance_kline),
    "bybit": Words(_bybit_names, str, messages.bybit_kline),
    "okx": Words(
        _okx_names, lambda name: name.removesuffix("-USDT-SWAP") + "USDT", messages.okx_candle
    ),
}


class CandleTape:
    """Who follows which candles. ``last`` makes of a closing message what is sent instead of it;
    with ``cut`` every connection ends at the close, ``refused`` subscriptions too. ``asked`` counts
    subscriptions and ``told`` closing messages."""

    def __init__(self, words: Words, market: Market) -> None:
        self.last: Callable[[str, str], Iterable[str]] = lambda _name, message: [message]
        self.cut = self.dead = self.refused = False
        self.asked = self.told = 0
        self.names_in = words.names
        self._words, self._market = words, market
        self._followed: dict[web.WebSocketResponse, dict[str, int]] = {}
        self._telling: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        return len(self._followed)

    def follow(self, socket: web.WebSocketResponse, names: list[str]) -> None:
        """From now on the candle that runs, and its end; not of those that have closed."""
        running = self._market.now_ms // HOUR_MS
        self._followed.setdefault(socket, {}).update(dict.fromkeys(names, running))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    def forget(self, socket: web.WebSocketResponse) -> None:
        self._followed.pop(socket, None)

    async def _tell(self) -> None:
        tick = 0
        while self._followed:
            for socket, names in list(self._followed.items()):
                try:
                    await self._tell_one(socket, names, updates=tick % _EVERY_TICKS == 0)
                except ConnectionError:
                    self.forget(socket)
            tick += 1
            await asyncio.sleep(_TICK_S)

    async def _tell_one(
        self, socket: web.WebSocketResponse, names: dict[str, int], *, updates: bool
    ) -> None:
        now_ms = self._market.now_ms
        hour, since_ms = divmod(now_ms, HOUR_MS)
        for place, (name, running) in enumerate(names.items()):
            if self.dead:
                return
            if running < hour:
                if self.cut:
                    self.forget(socket)
                    await socket.close()
                    return
                if since_ms < _FIRST_MS + place * (_LAST_MS - _FIRST_MS) / len(names):
                    continue
                names[name] = hour
                self.told += 1
                for message in self.last(name, self._closed(name, hour)):
                    await socket.send_str(message)
            elif updates:
                await socket.send_str(self._running(name, hour))

    def _closed(self, name: str, hour: int) -> str:
        row = self._market.newest("candles_1h", self._words.symbol(name))
        assert row is not None
        assert row["known_ms"] <= hour * HOUR_MS
        return self._words.write(name, row, closed=True)

    def _running(self, name: str, hour: int) -> str:
        newest = self._market.newest("candles_1h", self._words.symbol(name))
        price = 1.0 if newest is None else newest["close"]
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        row: Row = {"open_ms": hour * HOUR_MS, **prices, "volume": 1.0, "quote_volume": price}
        return self._words.write(name, row, closed=False)
