"""The gate: what is refused before anything of ours runs, and how much of the rest at a time."""

from __future__ import annotations

import math
from functools import partial
from time import monotonic

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.edges import hosts
from core.edges.address import neighbourhood, plain_address
from core.edges.exchange import Exchange
from core.edges.limits import Limits, Places, limits_of
from core.edges.rate import Rate
from core.edges.refusing import Refused, is_for_programs, refuse
from core.observing.instruments import WEBSOCKETS
from core.settings import Settings, load_settings

BUSY = Refused(
    503,
    "busy",
    "Too much is asked for at once: try again in a moment.",
    {"Retry-After": "1"},
)
# For machines beside this one, which know no host name and speak no HTTPS.
PROBES = frozenset(("/health", "/health/live", "/health/ready", "/metrics"))
# What an open page asks for by itself, in files and from time to time.
_FILES = (
    "/static/",
    "/app/static/",
    "/media/",
    "/component/",
    "/_stcore/bidi-components/",
    "/session/marks",
)
_METHODS = ("GET", "POST", "DELETE")
_ASKED = ("Authorization", "Content-Type", "If-None-Match", "Last-Event-ID", "Mcp-Session-Id")
_TOLD = ("ETag", "Mcp-Session-Id", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")


class Gate:
    """Middleware behind `RealAddress`; settings are read at the first request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._open: _Gate | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if self._open is None:
            settings = load_settings()
            self._open = _Gate(self.app, settings, limits_of(settings.edge_limits))
        await self._open(scope, receive, send)


class _Gate:
    def __init__(self, app: ASGIApp, settings: Settings, limits: Limits) -> None:
        self._app, self._settings, self._limits = app, settings, limits
        self._api: ASGIApp = self._admit
        if settings.cors_origins:
            # Never with credentials: a script of another site has a key of its own or nothing.
            self._api = CORSMiddleware(
                self._admit,
                allow_origins=settings.cors_origins,
                allow_methods=_METHODS,
                allow_headers=_ASKED,
                allow_credentials=False,
                expose_headers=_TOLD,
            )
        self._requests = Places(most=limits.at_once, each=limits.at_once_per_address)
        self._files = Places(most=4 * limits.at_once, each=4 * limits.at_once)
        self._pages = Places(most=limits.pages, each=limits.pages_per_address)
        self._rates = {
            kind: Rate(per_minute, max(1, per_minute // 2))
            for kind, per_minute in (
                ("request", limits.requests),
                ("api", limits.requests),
                ("file", limits.files),
                ("probe", limits.probes),
            )
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in PROBES:
            refused = self._stranger(scope)
            if refused is not None:
                await refuse(refused, scope, receive, send)
                return
            if self._settings.env == "production" and not hosts.is_secure(scope):
                await self._to_https(scope, receive, send)
                return
        onward = self._api if is_for_programs(scope["path"]) else self._admit
        await onward(scope, receive, send)

    def _stranger(self, scope: Scope) -> Refused | None:
        """What is wrong with where a request wants to go and comes from."""
        allowed = self._settings.allowed_hosts
        if allowed:
            told = [value for name, value in scope["headers"] if name == b"host"]
            host = told[0].decode("latin-1") if len(told) == 1 else ""
            if not hosts.is_allowed_host(host, allowed):
                return hosts.OTHER_HOST
        if scope["type"] == "websocket" and not hosts.is_own_site(scope, self._settings.url):
            return hosts.OTHER_SITE
        return None

    async def _to_https(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = hosts.secure_address(scope, self._settings)
        if address is None:
            await refuse(hosts.PLAIN_HTTP, scope, receive, send)
        else:
            await RedirectResponse(address, 308)(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = neighbourhood(plain_address(scope))
        kind = kind_of(scope["path"])
        wait = self._rates[kind].wait(visitor, now=monotonic())
        if wait > 0:
            await refuse(_too_often(wait), scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(visitor, scope, receive, send)
        elif kind == "probe":
            await self._exchange(scope, receive, send)
        else:
            places = self._files if kind == "file" else self._requests
            with places.taken(visitor) as there_is_one:
                if there_is_one:
                    await self._exchange(scope, receive, send)
                else:
                    await refuse(BUSY, scope, receive, send)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(scope, receive, send, self._limits).run(self._app)

    async def _connect(self, visitor: str, scope: Scope, receive: Receive, send: Send) -> None:
        with self._pages.taken(visitor) as there_is_one:
            if not there_is_one:
                await refuse(BUSY, scope, receive, send)
                return
            WEBSOCKETS.inc()
            try:
                each = Rate(self._limits.messages, max(1, self._limits.messages // 4))
                heard = partial(_hear, receive, send, each, self._limits.bytes)
                await self._app(scope, heard, send)
            finally:
                WEBSOCKETS.dec()


def kind_of(path: str) -> str:
    """What kind of thing an address is, each of which is counted by itself.

    >>> kind_of("/static/js/a.js"), kind_of("/signals"), kind_of("/api/v1/signals"), kind_of("/health")
    ('file', 'request', 'api', 'probe')
    """
    if path in PROBES:
        return "probe"
    if is_for_programs(path):
        return "api"
    return "file" if path.startswith(_FILES) else "request"


async def _hear(receive: Receive, send: Send, rate: Rate, most: int) -> Message:
    """The next message of a page; one too many or too large ends the connection."""
    message = await receive()
    if message["type"] != "websocket.receive":
        return message
    size = len(message.get("bytes") or b"") + len(message.get("text") or "")
    often = rate.wait("", now=monotonic()) > 0
    if size <= most and not often:
        return message
    await send({"type": "websocket.close", "code": 1008 if often else 1009})
    return {"type": "websocket.disconnect", "code": 1008 if often else 1009}


def _too_often(wait: float) -> Refused:
    seconds = math.ceil(wait)
    sentence = f"Too many requests from this address: go on in {seconds} s."
    return Refused(429, "too-many-requests", sentence, {"Retry-After": str(seconds)})
