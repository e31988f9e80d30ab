"""One connection to a venue's stream: subscribed, listened to, and cut when it is dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from core.errors import SourceUnavailable
from core.market.stream.feeds import Feed

_FRAMES_WAITING = 256
_AFTER_HOUR_S = 0.02
_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Patience:
    """Seconds: ``open_s`` to connect, a ping every ``ping_s``, dead after ``silent_s`` without a sign.

    Waits between attempts double from ``first_wait_s`` to ``longest_wait_s``, shortened at random by
    up to a half so that not everybody comes back at once. A connection that could not be renewed
    is renewed again after ``renew_again_s``.
    """

    open_s: float = 10.0
    ping_s: float = 15.0
    silent_s: float = 40.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    renew_again_s: float = 60.0


class Connection:
    """A socket that is listened to by `run` until it ends.

    ``hear`` is called with every message and with None for any other sign of life. ``subscribed``
    is set at the first sign after the subscriptions were sent. By ``clock`` a ping follows every
    full hour, so that soon after it is known that the hour was heard to its end.
    """

    def __init__(
        self,
        feed: Feed,
        contracts: Sequence[str],
        patience: Patience,
        hear: Callable[[str | bytes | None], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.subscribed = asyncio.Event()
        self._feed, self._contracts, self._patience = feed, contracts, patience
        self._hear, self._clock = hear, clock
        self._heard = 0.0
        self._silent = False

    async def run(self) -> None:
        """Raises `SourceError`, `OSError` or `WebSocketException`: a stream has no good end."""
        async with connect(
            self._feed.url,
            compression=None,
            open_timeout=self._patience.open_s,
            ping_interval=None,
            close_timeout=1,
            max_size=_MOST_BYTES,
            max_queue=_FRAMES_WAITING,
        ) as socket:
            for message in self._feed.subscribe(self._contracts):
                await socket.send(message)
            watch = asyncio.create_task(self._watch(socket))
            try:
                async for text in socket:
                    self._note(None if text == "pong" else text)
            except ConnectionClosed:
                if not self._silent:
                    raise
            finally:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
        raise SourceUnavailable(self._end())

    def _end(self) -> str:
        if self._silent:
            return f"{self._feed.venue} gave no sign of life for {self._patience.silent_s:g} s."
        return f"{self._feed.venue} closed the connection."

    async def _watch(self, socket: ClientConnection) -> None:
        """Ping, and cut the connection when neither an answer nor anything else comes."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        while loop.time() - self._heard < self._patience.silent_s:
            await self._ping(socket)
            usual = min(self._patience.ping_s, self._patience.silent_s / 2)
            await asyncio.sleep(min(usual, self._seconds_to_hour() + _AFTER_HOUR_S))
        self._silent = True
        socket.transport.abort()

    def _seconds_to_hour(self) -> float:
        return 3600.0 - self._clock().timestamp() % 3600.0

    async def _ping(self, socket: ClientConnection) -> None:
        if self._feed.ping is not None:
            await socket.send(self._feed.ping)
        else:
            asyncio.ensure_future(await socket.ping()).add_done_callback(self._note_pong)

    def _note_pong(self, pong: asyncio.Future[float]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._note(None)

    def _note(self, text: str | bytes | None) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._hear(text)
        self.subscribed.set()
