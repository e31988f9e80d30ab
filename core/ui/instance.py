"""What this server serves: its settings, its market, and its open databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Engine

from core.accounts.home import open_accounts
from core.market.choice import ACCOUNTS, Market, accounts_url, choose_market, database_url
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
    accounts: Engine

    @property
    def guests_welcome(self) -> bool:
        """Whether anyone may look around: on the simulated market, in development only."""
        return self.market.kind == "demo" and self.settings.env == "development"


def instance() -> Instance:
    """The instance of this process; its databases are opened once and then shared."""
    settings = load_settings()
    market = choose_market(settings)
    url = database_url(settings, market)
    engine = _engine(url, market.key, lambda: open_store(url, market.key))
    if settings.database_url is not None:
        return Instance(settings, market, engine, engine)
    accounts = _engine(accounts_url(settings), ACCOUNTS, lambda: open_accounts(settings))
    return Instance(settings, market, engine, accounts)


def _engine(url: str, key: str, open_it: Callable[[], Engine]) -> Engine:
    with _opening:
        if (url, key) not in _engines:
            _engines[url, key] = open_it()
        return _engines[url, key]
