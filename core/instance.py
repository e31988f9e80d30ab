"""What this server serves: its settings, its market, and its open databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from sqlalchemy import Engine

from core.accounts.home import open_accounts
from core.accounts.keys import Bearer
from core.accounts.sessions import Limits, Session
from core.market.choice import ACCOUNTS, Market, accounts_url, choose_market, database_url
from core.market.probe import Answer
from core.settings import Settings, load_settings
from core.store import held_market, open_store

_engines: dict[tuple[str, str], Engine] = {}
_opening = Lock()
# What the exchanges said when this server last asked them, and since when it serves its market.
_answer: Answer | None = None
_serving_since = datetime.now(UTC)


@dataclass(frozen=True)
class Instance:
    """Read anew at every use, so that nothing holds on to settings of another environment."""

    settings: Settings
    market: Market
    engine: Engine
    accounts: Engine

    @property
    def session_limits(self) -> Limits:
        """How long people stay signed in."""
        return Limits(
            idle=timedelta(hours=self.settings.session_idle_hours),
            lifetime=timedelta(days=self.settings.session_days),
        )

    def lacks_factor(self, who: Session | Bearer) -> bool:
        """Whether a person has to set up a second factor before anything else.

        Whoever is signed in by an organisation has no password here, and its factors are its own.
        """
        required = self.settings.second_factor == "required" and who.person.role == "admin"
        return required and who.password and not who.factor

    @property
    def guests_welcome(self) -> bool:
        """Whether anyone may look around: on the simulated market, in development only."""
        return self.market.kind == "demo" and self.settings.env == "development"


def instance() -> Instance:
    """The instance of this process; its databases are opened once and then shared.

    It asks no exchange: ``auto`` is the demo until `take_answer` says that one is there.
    """
    return _instance(_answer)


def is_open_question(settings: Settings) -> bool:
    """Whether the market depends on the exchanges, and not on the settings or the set database."""
    return settings.market == "auto" and _held(settings) is None


def take_answer(answer: Answer) -> Instance:
    """Serve from now on what follows from an answer; what cannot be opened changes nothing."""
    global _answer, _serving_since
    here = _instance(answer)
    _answer, _serving_since = answer, datetime.now(UTC)
    return here


def last_answer() -> Answer | None:
    """What the exchanges said last; None where they were not asked."""
    return _answer


def serving_since() -> datetime:
    """When this server began to serve its market."""
    return _serving_since


def _instance(answer: Answer | None) -> Instance:
    settings = load_settings()
    answered = answer is not None and answer.venue is not None
    market = choose_market(settings, answered=answered, held=_held(settings))
    url = database_url(settings, market)
    engine = _engine(url, market.key, lambda: open_store(url, market.key))
    if settings.database_url is not None:
        return Instance(settings, market, engine, engine)
    accounts = _engine(accounts_url(settings), ACCOUNTS, lambda: open_accounts(settings))
    return Instance(settings, market, engine, accounts)


def _held(settings: Settings) -> str | None:
    """The market of the set database, where it decides; one that is open has been claimed."""
    if settings.market != "auto" or settings.database_url is None:
        return None
    for key in ("live", "demo"):
        if (settings.database_url, key) in _engines:
            return key
    return held_market(settings.database_url)


def _engine(url: str, key: str, open_it: Callable[[], Engine]) -> Engine:
    with _opening:
        if (url, key) not in _engines:
            _engines[url, key] = open_it()
        return _engines[url, key]
