"""The servers of the stand-in world: one port for each source, all on one loop in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import pandas as pd
from aiohttp import web

from tests.world.candles import CANDLES, CandleTape
from tests.world.faults import FAULTS, SOCKET
from tests.world.market import Market
from tests.world.site import Site, Sites
from tests.world.source import all_sources
from tests.world.tape import MANNERS, Tape

T = TypeVar("T")
SECONDS = 20.0


class World(Sites):
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
        self.candles = {venue: CandleTape(CANDLES[venue], self.market) for venue in CANDLES}
        self.tapes = {
            venue: Tape(manners, self.candles.get(venue)) for venue, manners in MANNERS.items()
        }
        super().__init__("world")
        self._sites = {name: Site(partial(self._app, name)) for name in self.sources}

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
            self._deafen(source)
        if "refuse" in faults:
            self.switch_off(source)

    def heal(self, source: str) -> None:
        was, self.sources[source].faults = self.sources[source].faults, set()
        if source in self.tapes:
            self.tapes[source].dead = False
            self._deafen(source)
        if "refuse" in was:
            self.switch_on(source)

    def _deafen(self, source: str) -> None:
        if source in self.candles:
            self.candles[source].dead = self.tapes[source].dead

    def switch_off(self, source: str) -> None:
        """Nothing listens on the source's port any more."""
        self.do(self._sites[source].stop())

    def switch_on(self, source: str) -> None:
        self.do(self._sites[source].start())

    def _app(self, name: str) -> web.Application:
        app = web.Application()
        self.sources[name].add_routes(app, self.market)
        if name in MANNERS:
            app.router.add_get(MANNERS[name].path, self.tapes[name].answer)
            if (path := MANNERS[name].candles) is not None:
                app.router.add_get(path, self.tapes[name].answer)
        return app
