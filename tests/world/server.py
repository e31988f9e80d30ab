"""The servers of the stand-in world: one port for each source, all on one loop in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from aiohttp import web

from tests.world.tape import MANNERS, Tape

T = TypeVar("T")
SECONDS = 20.0


class Site:
    """One source's server, on the same port however often it is switched off and on."""

    def __init__(self, app: web.Application) -> None:
        self.app = app
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def up(self) -> bool:
        return self._runner is not None

    async def start(self) -> None:
        self._runner = web.AppRunner(self._fresh(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
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

    def _fresh(self) -> web.Application:
        """An application that was stopped cannot be started again, so its routes are copied."""
        app = web.Application(middlewares=list(self.app.middlewares))
        for route in self.app.router.routes():
            assert route.resource is not None
            app.router.add_route(route.method, route.resource.canonical, route.handler)
        return app


class World:
    """Every source on a port of its own, from `with World() as world` to the end of the block."""

    def __init__(self) -> None:
        self.tapes = {venue: Tape(manners) for venue, manners in MANNERS.items()}
        self._sites = {venue: Site(self._app(venue)) for venue in MANNERS}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="world", daemon=True)

    def __enter__(self) -> World:
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
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    def socket_url(self, venue: str) -> str:
        return f"ws://127.0.0.1:{self._sites[venue].port}{MANNERS[venue].path}"

    def switch_off(self, source: str) -> None:
        """Nothing listens on the source's port any more."""
        self.do(self._sites[source].stop())

    def switch_on(self, source: str) -> None:
        self.do(self._sites[source].start())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the world's loop and wait for it; to be called from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def _app(self, venue: str) -> web.Application:
        app = web.Application()
        app.router.add_get(MANNERS[venue].path, self.tapes[venue].answer)
        return app
