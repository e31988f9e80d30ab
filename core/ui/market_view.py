"""What the page of all markets shows, made once for all readers who look at the same."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

import orjson
import pandas as pd

from core.overview import chosen, market_rows
from core.signals import Profile
from core.ui import loaders
from core.ui.formats import Clock
from core.ui.loaders.shared import shared
from core.ui.market_rows import summary
from core.ui.market_table import table_data


@dataclass(frozen=True)
class Wanted:
    """What the reader filters by and the order they want; see `core.overview.chosen`."""

    show: str
    verdicts: tuple[str, ...]
    search: str
    order: str


@dataclass(frozen=True)
class Table:
    """The table's data as JSON text, the profile that it is judged by, and how many rows it has."""

    text: str
    profile: Profile
    shown: int


@shared
def read_rows(mode: str) -> pd.DataFrame:
    """A row for every market; see `core.overview.market_rows`."""
    return market_rows(
        loaders.load_newest(mode),
        loaders.load_closes(24),
        loaders.load_coins(),
        loaders.load_newest_verdicts(mode),
    )


@shared
def read_summary(mode: str) -> str:
    """All rows in a sentence."""
    return summary(read_rows(mode))


@shared
def read_table(
    mode: str, wanted: Wanted, clock: Clock, now: datetime, query: Collection[tuple[str, str]]
) -> Table:
    """The rows that are wanted; ``query`` is what every link carries on, ``now`` tells ages."""
    rows = read_rows(mode)
    profile = loaders.load_schedule(mode).at(rows["time"].max())
    found = chosen(
        rows,
        show=wanted.show,
        verdicts=wanted.verdicts,
        search=wanted.search,
        order=wanted.order,
    )
    data = table_data(
        found,
        profile,
        order=wanted.order,
        clock=clock,
        now=now,
        link=lambda symbol: f"symbol?{urlencode({'symbol': symbol} | dict(query))}",
    )
    return Table(orjson.dumps(data).decode(), profile, len(found))
