"""The stored record that a command reads: that of the chosen market, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine, inspect

from core.commands.choosing import choose
from core.commands.console import beside
from core.errors import CryptoSatXError, StoreError
from core.market.choice import Market, choose_market, database_url, live_market
from core.settings import Settings, load_settings
from core.store import held_market, open_store, tables
from core.store.channels import list_channels
from core.store.database import open_database


@contextmanager
def stored_record() -> Iterator[tuple[Market, Engine]]:
    """The market and its database; `StoreError` where nothing has been stored for it."""
    settings = load_settings()
    market, why = choose(settings)
    url = database_url(settings, market)
    if held_market(url) is None:
        raise StoreError(
            f"Nothing is stored yet of {market.label.lower()} (chosen because {why}): "
            "set CRYPTOSATX_MARKET or DATABASE_URL to what you mean."
        )
    engine = open_store(url, market.key)
    try:
        yield market, engine
    finally:
        engine.dispose()


def shared_channels() -> tuple[dict[int, str] | None, str]:
    """The shared channels of what is stored here, by id; None and the reason where nobody can look.

    Asks no exchange, and makes and changes nothing. Under ``auto`` the live market counts, where it has
    been followed before.
    """
    try:
        settings = load_settings()
        for url in _addresses(settings):
            if held_market(url) is not None:
                return _read_channels(url)
    except CryptoSatXError as error:
        return None, str(error)
    return None, "nothing is stored yet here. DATABASE_URL or CRYPTOSATX_DATA say where to look."


def _addresses(settings: Settings) -> Iterator[str]:
    if settings.database_url is not None:
        yield settings.database_url
        return
    if settings.market == "auto":
        yield database_url(settings, live_market())
    yield database_url(settings, choose_market(settings))


def _read_channels(url: str) -> tuple[dict[int, str] | None, str]:
    engine = open_database(url)
    try:
        with engine.connect() as conn:
            if not inspect(conn).has_table(tables.channels.name):
                return None, "the database is of an older version. The next start brings it up."
            return {one.id: one.name for one in list_channels(conn)}, ""
    finally:
        engine.dispose()


def progress_bar(unit: str) -> Progress:
    """How far it is, beside the result, where somebody looks on."""
    return Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=beside,
        disable=not beside.is_terminal,
    )
