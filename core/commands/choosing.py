"""The market that a command works on, and why it is this one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url

from core.errors import SettingsError
from core.market.choice import Market, choose_market, database_url, live_market
from core.market.probe import ask_exchanges
from core.settings import Settings
from core.store import held_market


def choose(settings: Settings) -> tuple[Market, str]:
    """The market, and why; ``auto`` asks the exchanges where no set database decides."""
    if settings.market != "auto":
        return choose_market(settings), "it is set in CRYPTOSATX_MARKET"
    held = None if settings.database_url is None else held_market(settings.database_url)
    if held is not None:
        return choose_market(settings, held=held), "the database of DATABASE_URL holds it"
    answer = ask_exchanges(settings)
    if answer.venue is not None:
        return choose_market(settings, answered=True), f"{answer.venue} answered"
    return choose_market(settings), f"no exchange answered: {answer.reasons}"


def market_to_work_on(settings: Settings) -> Market:
    """The market a worker serves; `SettingsError` where ``auto`` finds no exchange.

    A worker that is meant for the live market must not settle for the simulated one for ever.
    """
    market, why = choose(settings)
    if market.kind == "live" or settings.market != "auto":
        return market
    if settings.database_url is not None and held_market(settings.database_url):
        return market
    raise SettingsError(
        f"There is no live market to work on, {why} Set CRYPTOSATX_MARKET=live to wait for one, "
        "or CRYPTOSATX_MARKET=demo to serve the simulated one."
    )


def market_observed(settings: Settings) -> Market:
    """The live market, asking nobody: ``auto`` takes it where it has been followed before."""
    if settings.market == "live" or (settings.market == "auto" and _was_followed(settings)):
        return live_market()
    raise SettingsError("What was observed is of the live market: set CRYPTOSATX_MARKET=live.")


def _was_followed(settings: Settings) -> bool:
    url = database_url(settings, live_market())
    if settings.database_url is None:
        return Path(str(make_url(url).database)).is_file()
    return held_market(url) == "live"
