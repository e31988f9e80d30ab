"""One request and its answer: how large the one may be, and how long the other may take."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.edges.limits import Limits
from core.edges.refusing import Refused, refuse

_logger = logging.getLogger(__name__)
FAILED = Refused(500, "failed", "This failed here, and not for what was sent; the log says why.")
BROKEN = Refused(400, "length-not-valid", "The length of the body is not a number.")


# After these the rest of a body may still be on its way, and is waited for by nobody.
_LAST = frozenset((408, 413, 503))


class _TooLarge(Exception):
    """The body is larger than it may be."""


class Exchange:
    """A request on its way through the application.

    The application runs in a task of its own, so that an answer goes out in time even while a thread
    of it cannot be stopped; what it says afterwards is dropped.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._limits, self._got = limits, 0
        self._megabytes = limits.megabytes_at(scope["path"])
        self._begun = self._over = self._streams = False

    async def run(self, app: ASGIApp) -> None:
        if (refused := self._declared()) is not None:
            await self._refuse(refused)
            return
        task = asyncio.ensure_future(app(self._scope, self._take, self._give))
        try:
            await asyncio.wait({task}, timeout=self._limits.seconds)
            if not task.done() and self._begun:
                await asyncio.wait({task}, timeout=None if self._streams else self._rest)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_forget)
        if task.done() and not task.cancelled():
            await self._end(task.exception())
        elif not self._begun:
            await self._refuse(self._too_slow)
        self._over = True

    async def _end(self, error: BaseException | None) -> None:
        if error is None:
            return
        if isinstance(error, _TooLarge):
            if not self._begun:
                await self._refuse(self._too_large)
        elif isinstance(error, Exception):
            _logger.error("A request could not be answered.", exc_info=error)
            if not self._begun:
                await self._refuse(FAILED)
        else:
            raise error

    def _declared(self) -> Refused | None:
        """What is wrong with the length that the body is said to have."""
        told = Headers(scope=self._scope).get("content-length")
        if told is None:
            return None
        if not (told.isascii() and told.isdigit()):
            return BROKEN
        return self._too_large if int(told) > self._most else None

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._got += len(message.get("body", b""))
            if self._got > self._most:
                raise _TooLarge
        return message

    async def _give(self, message: Message) -> None:
        if self._over:
            return
        if message["type"] == "http.response.start":
            self._begun = True
            kind = Headers(raw=list(message.get("headers", ()))).get("content-type", "")
            self._streams = kind.startswith("text/event-stream")
            if message["status"] in _LAST:
                MutableHeaders(scope=message)["Connection"] = "close"
        await self._send(message)

    async def _refuse(self, refused: Refused) -> None:
        self._over = True
        await refuse(refused, self._scope, self._receive, self._send)

    @property
    def _most(self) -> int:
        return self._megabytes * 1024 * 1024

    @property
    def _rest(self) -> float:
        return float(max(0, self._limits.long_seconds - self._limits.seconds))

    @property
    def _too_large(self) -> Refused:
        words = f"A request may have at most {self._megabytes} MB."
        return Refused(413, "too-large", words, {"Connection": "close"})

    @property
    def _too_slow(self) -> Refused:
        words = f"This took longer than {self._limits.seconds} s: ask for less, or try again later."
        return Refused(503, "took-too-long", words, {"Retry-After": "5", "Connection": "close"})


def _forget(task: asyncio.Future[None]) -> None:
    """What comes of it is not wanted any more."""
    with suppress(asyncio.CancelledError):
        task.exception()
