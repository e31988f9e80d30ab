"""What this server serves: its settings, its market and its open database."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Engine

from core.market.choice import Market, choose_market, database_url
from core.settings import Settings, load_settings
from core.store import open_store

_engines: dict[tuple[str, str], Engine] = {}
_opening = Lock()


@dataclass(frozen=True)
class Instance:
    """Read anew at every use, so that nothing holds on to settings of another environment."""

    settings: Settings
    market: Market
    engine: Engine

    @property
    def guests_welcome(self) -> bool:
        """Whether anyone may look around: on the simulated market, in development only."""
        return self.market.kind == "demo" and self.settings.env == "development"


def instance() -> Instance:
    """The instance of this process; its database is opened once and then shared."""
    settings = load_settings()
    market = choose_market(settings)
    return Instance(settings, market, _engine(database_url(settings, market), market.key))


def _engine(url: str, market_key: str) -> Engine:
    with _opening:
        if (url, market_key) not in _engines:
            _engines[url, market_key] = open_store(url, market_key)
        return _engines[url, market_key]
