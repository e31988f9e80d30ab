"""The servers of the stand-in world: one port for each source, all on one loop in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

import pandas as pd
from aiohttp import web

from tests.world.faults import FAULTS, SOCKET
from tests.world.market import Market
from tests.world.source import all_sources
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
            if route.method == "HEAD":
                continue  # comes along with GET
            assert route.resource is not None
            app.router.add_route(route.method, route.resource.canonical, route.handler)
        return app


class World:
    """Every source on a port of its own, from `with World() as world` to the end of the block.

    ``tables`` are what it knows, in the format of a recording; ``clock`` says up to when.
    """

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.market = Market(tables or {}, clock)
        self.sources = all_sources()
        self.tapes = {venue: Tape(manners) for venue, manners in MANNERS.items()}
        self._sites = {name: Site(self._app(name)) for name in self.sources}
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
        self.do(last_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    @property
    def endpoints(self) -> dict[str, str]:
        """The address of every source, as the product's client takes them."""
        return {name: f"http://127.0.0.1:{site.port}" for name, site in self._sites.items()}

    def socket_url(self, venue: str) -> str:
        return f"ws://127.0.0.1:{self._sites[venue].port}{MANNERS[venue].path}"

    @contextmanager
    def failing(self, source: str, *faults: str) -> Iterator[None]:
        """The source fails like this inside the block; several faults come together."""
        self.fail(source, *faults)
        try:
            yield
        finally:
            self.heal(source)

    def fail(self, source: str, *faults: str) -> None:
        unknown = set(faults) - {*FAULTS, *SOCKET}
        assert not unknown, f"there is no fault {unknown}"
        self.sources[source].faults = set(faults)
        if source in self.tapes:
            self.tapes[source].dead = "dead" in faults
        if "refuse" in faults:
            self.switch_off(source)

    def heal(self, source: str) -> None:
        was, self.sources[source].faults = self.sources[source].faults, set()
        if source in self.tapes:
            self.tapes[source].dead = False
        if "refuse" in was:
            self.switch_on(source)

    def switch_off(self, source: str) -> None:
        """Nothing listens on the source's port any more."""
        self.do(self._sites[source].stop())

    def switch_on(self, source: str) -> None:
        self.do(self._sites[source].start())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the world's loop and wait for it; to be called from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def _app(self, name: str) -> web.Application:
        app = web.Application()
        self.sources[name].add_routes(app, self.market)
        if name in MANNERS:
            app.router.add_get(MANNERS[name].path, self.tapes[name].answer)
        return app


async def last_tasks() -> None:
    """Nothing that still hangs outlives the world."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
