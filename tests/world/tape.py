"""The WebSocket side of a venue: who listens, what was sent, and ways to let them down."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from tests.world.candles import CandleTape


@dataclass(frozen=True)
class Manners:
    """How a venue speaks: the path of its socket, its answer to a subscription and to a ping text.

    ``candles`` is the path under which it tells of candles, where that is another one, ``refusal``
    what it says to who asks for something that is not there.
    """

    path: str
    acknowledge: Callable[[dict[str, Any]], str | None]
    pong: Callable[[str], str | None] = lambda text: "pong" if text == "ping" else None
    candles: str | None = None
    refusal: str = '{"error":{"code":2,"msg":"Invalid request"},"id":1}'


def _bybit_pong(text: str) -> str | None:
    if json.loads(text).get("op") != "ping":
        return None
    return json.dumps({"success": True, "ret_msg": "pong", "conn_id": "world", "op": "ping"})


MANNERS: dict[str, Manners] = {
    "binance": Manners(
        "/market/ws", lambda asked: json.dumps({"result": None, "id": asked["id"]}), lambda _: None
    ),
    "bybit": Manners(
        "/v5/public/linear",
        lambda _: json.dumps(
            {"success": True, "ret_msg": "", "conn_id": "world", "op": "subscribe"}
        ),
        _bybit_pong,
    ),
    "okx": Manners(
        "/ws/v5/public",
        lambda asked: json.dumps({"event": "subscribe", "arg": asked["args"][0]}),
        candles="/ws/v5/business",
        refusal='{"event":"error","code":"60018","msg":"Wrong URL or channel"}',
    ),
    "coinglass": Manners("/ws-api", lambda _: None),
}


class Tape:
    """One venue's streams. ``resend`` messages are sent again to whoever subscribes to liquidations.

    While ``dead`` every socket stays open and nothing comes out of it, not even an answer to a ping.
    """

    def __init__(self, manners: Manners, candles: CandleTape | None = None) -> None:
        self.candles = candles
        self.resend = 0
        self.dead = False
        self.subscriptions: list[dict[str, Any]] = []
        self.connections = 0
        self._manners = manners
        self._sockets: set[web.WebSocketResponse] = set()
        self._sent: deque[str] = deque(maxlen=1_000)

    @property
    def listeners(self) -> int:
        return len(self._sockets)

    async def publish(self, messages: Iterable[str]) -> None:
        """Send every message to every socket that has subscribed; slow readers slow it down."""
        for number, message in enumerate(messages):
            self._sent.append(message)
            if self.dead:
                continue
            for socket in list(self._sockets):
                try:
                    await socket.send_str(message)
                except ConnectionError:  # who was cut off hears no more
                    self._sockets.discard(socket)
            if number % 100 == 99:
                await asyncio.sleep(0)

    async def drop(self) -> None:
        """Cut every connection without a goodbye."""
        for socket in list(self._sockets):
            self._sockets.discard(socket)
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def answer(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        try:
            async for message in socket:
                while self.dead:
                    await asyncio.sleep(0.05)
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    await self._heard(socket, message.data, request.path)
        except ConnectionError:
            pass
        finally:
            self._sockets.discard(socket)
            if self.candles is not None:
                self.candles.forget(socket)
        return socket

    async def _heard(self, socket: web.WebSocketResponse, text: str, path: str) -> None:
        pong = self._manners.pong(text)
        if pong is not None:
            await socket.send_str(pong)
            return
        asked = json.loads(text)
        if self.candles is not None and (names := self.candles.names_in(asked)):
            self.candles.asked += 1
            if self.candles.refused or path != (self._manners.candles or self._manners.path):
                await socket.send_str(self._manners.refusal)
            else:
                await self._acknowledge(socket, asked)
                self.candles.follow(socket, names)
            return
        await self._acknowledge(socket, asked)
        self.subscriptions.append(asked)
        if socket not in self._sockets:
            self.connections += 1
        for message in list(self._sent)[-self.resend :] if self.resend else []:
            await socket.send_str(message)
        self._sockets.add(socket)

    async def _acknowledge(self, socket: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        acknowledged = self._manners.acknowledge(asked)
        if acknowledged is not None:
            await socket.send_str(acknowledged)
