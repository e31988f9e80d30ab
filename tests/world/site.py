"""Servers of the tests on real sockets: each on its port, together on a loop of their own thread."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

T = TypeVar("T")
SECONDS = 20.0


class Site:
    """One server, on the same port however often it is switched off and on.

    ``make`` gives its application, for one that was stopped cannot be started again.
    """

    def __init__(
        self,
        make: Callable[[], web.Application],
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.make, self.host, self.tls = make, host, tls
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def up(self) -> bool:
        return self._runner is not None

    async def start(self) -> None:
        self._runner = web.AppRunner(self.make(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self.host, self.port, reuse_address=True, ssl_context=self.tls
        )
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """From here on connections are refused; those that stand are cut."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        for connection in list(runner.server.connections if runner.server else []):
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()


class Sites:
    """Sites that answer from ``with`` to the end of its block."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._sites: dict[str, Site] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        for site in self._sites.values():
            self.do(site.start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for site in self._sites.values():
            self.do(site.stop())
        self.do(_last_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the sites' loop and wait for it; to be called from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)


async def _last_tasks() -> None:
    """Nothing that still hangs outlives the sites."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
