"""A receiver of webhooks on a real socket: it checks signatures, counts keys, and fails as it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.world.site import Site, Sites

SECONDS = 20.0
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four.").decode()
MODES = ("good", "429", "429 date", "429 silent", "hang", "drip", "close", "redirect", "enormous")


@dataclass(frozen=True)
class Received:
    path: str
    key: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    # The connection it came by.
    peer: Any = None

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def is_signed(received: Received, secret: str = SECRET) -> bool:
    """By the Standard Webhooks specification, written here anew."""
    headers = received.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in headers["webhook-signature"].split()


@dataclass
class Receiver(Sites):
    """`with Receiver() as receiver`: every path is a target of its own, whose mode is in ``modes``
    (else ``mode``); a number is answered as a status. ``retry_after`` goes with the modes of 429.

    ``received`` is what came; ``accepted`` counts by path and key what was answered with 200.
    """

    mode: str = "good"
    modes: dict[str, str] = field(default_factory=dict)
    retry_after: str = "7"
    latency_s: float = 0.0
    received: list[Received] = field(default_factory=list)
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    script: deque[str] = field(default_factory=deque)
    host: str = "127.0.0.1"
    tls: Any = None

    def __post_init__(self) -> None:
        super().__init__("receiver")
        self._sites["receiver"] = Site(self._app, self.host, self.tls)
        self._at_once: Counter[str] = Counter()

    @property
    def port(self) -> int:
        return self._sites["receiver"].port

    def url(self, path: str = "/hook") -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{self.host}:{self.port}{path}"

    def keys(self, path: str | None = None) -> list[str]:
        """The keys that were accepted, in the order in which they first were."""
        return [key for at, key in self.accepted if path in (None, at)]

    @property
    def repeated(self) -> int:
        """How often something was accepted that had been accepted before."""
        return sum(self.accepted.values()) - len(self.accepted)

    def switch_off(self) -> None:
        """Nothing listens any more."""
        self.do(self._sites["receiver"].stop())

    def switch_on(self) -> None:
        self.do(self._sites["receiver"].start())

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._receive)
        return app

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        self._at_once[request.path] += 1
        busiest = max(self.most_at_once[request.path], self._at_once[request.path])
        self.most_at_once[request.path] = busiest
        try:
            return await self._answer(request)
        finally:
            self._at_once[request.path] -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        key = headers.get("webhook-id", "")
        peer = request.transport and request.transport.get_extra_info("peername")
        one = Received(request.path, key, headers, body, time.time(), peer)
        self.received.append(one)
        mode = self.script.popleft() if self.script else self.modes.get(request.path, self.mode)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        return await self._in_mode(mode, one, request)

    async def _in_mode(self, mode: str, one: Received, request: web.Request) -> web.StreamResponse:
        if mode == "good":
            self.accepted[one.path, one.key] += 1
            return web.json_response({"ok": True})
        if mode.startswith("429"):
            wait = {} if mode.endswith("silent") else {"Retry-After": self.retry_after}
            return web.Response(status=429, text="slower", headers=wait)
        if mode == "telegram 429":
            said = "Too Many Requests: retry after 35"
            body = {"ok": False, "error_code": 429, "description": said}
            return web.json_response(body, status=429)
        if mode == "good and slow":
            self.accepted[one.path, one.key] += 1
            return await _never_whole(request)
        if mode == "ok":
            return web.Response(text="ok")
        if mode == "hang":
            await asyncio.sleep(3600)
        if mode == "close":
            assert request.transport is not None
            request.transport.abort()
        if mode == "redirect":
            return web.Response(status=302, headers={"Location": self.url("/elsewhere")})
        if mode in ("drip", "enormous"):
            return await _endless(request, mode)
        if mode.startswith("echo"):
            return web.Response(status=500, text=f"{request.rel_url} {dict(request.headers)}")
        return web.Response(status=int(mode) if mode.isdecimal() else 200, text="said so")


async def _never_whole(request: web.Request) -> web.StreamResponse:
    """Accepted, and of what it says the end never comes."""
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"so")
    await asyncio.sleep(3600)
    return response


async def _endless(request: web.Request, mode: str) -> web.StreamResponse:
    """A byte at a time, or as fast as they go; without an end."""
    response = web.StreamResponse(status=500)
    await response.prepare(request)
    while True:
        await response.write(b"x" if mode == "drip" else b"x" * 65_536)
        await asyncio.sleep(0.05 if mode == "drip" else 0)
