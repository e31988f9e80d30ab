"""The stored record that a command reads: that of the chosen market, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from core.commands.choosing import choose
from core.commands.console import beside
from core.errors import StoreError
from core.market.choice import Market, database_url
from core.settings import load_settings
from core.store import held_market, open_store


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
