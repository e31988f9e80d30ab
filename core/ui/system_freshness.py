"""How fresh each column of the market frame is, and which source it is served by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from core.market.files import FILES, VENUES
from core.market.frame import COLUMNS
from core.market.sources import ORDER
from core.settings import Settings
from core.store.published import Published
from core.ui.system_words import asked_for, frame_title, steps_hours
from core.ui.venues import venue_name

# Statistics are spread over the hour, so a value may come that much later than its time.
_GRACE = timedelta(minutes=30)


@dataclass(frozen=True)
class VenueView:
    """Rows of one venue in one table; ``serves`` counts the markets whose newest value is its own,
    ``stands_in`` those of them that a preferred venue has served within the last 24 hours."""

    title: str
    newest_at: datetime | None
    rows: int
    markets: int
    serves: int
    stands_in: int
    stale: bool


@dataclass(frozen=True)
class TableView:
    """One table, the frame's columns that come from it, and who is asked for it, in order."""

    table: str
    columns: tuple[str, ...]
    asked: tuple[str, ...]
    per_symbol: bool
    venues: tuple[VenueView, ...]

    @property
    def newest_at(self) -> datetime | None:
        times = [one.newest_at for one in self.venues if one.newest_at is not None]
        return max(times, default=None)

    @property
    def stale(self) -> bool:
        """Whether every venue's newest row is old; False where none has ever come."""
        return self.newest_at is not None and all(one.stale for one in self.venues)


def expected_rows(settings: Settings) -> list[tuple[str, str]]:
    """Tables and venues whose rows should keep coming with these settings.

    Where a table has no venues its venue is "". Providers fill in rows of the exchanges.
    """
    found: list[tuple[str, str]] = []
    for table in ORDER:
        asked = asked_for(table, settings)
        exchanges = [name for name in asked if name in settings.exchanges]
        found += [(table, name) for name in exchanges[:1]]
        found += [(table, "")] if asked and not exchanges else []
    return found


def table_views(published: Published, settings: Settings, now: datetime) -> list[TableView]:
    """Every table of the stated order, with its venues in the order of preference."""
    return [_table(table, published, settings, now) for table in ORDER]


def _table(table: str, published: Published, settings: Settings, now: datetime) -> TableView:
    source = FILES[table]
    rows = published.rows
    found = rows[rows.index.get_level_values("table") == table].droplevel("table")
    venues = _venues(found, settings) if len(found) else []
    views = [] if not venues else _views(table, found, venues, now)
    views += [
        VenueView(venue_name(venue) if venue else "", newest, 0, 0, 0, 0, stale=True)
        for (of, venue), newest in published.older.items()
        if of == table and newest is not None
    ]
    return TableView(
        table,
        tuple(frame_title(one.name) for one in COLUMNS if one.source == source.name),
        tuple(venue_name(name) for name in asked_for(table, settings)),
        source.per_symbol,
        tuple(views),
    )


def _venues(found: pd.DataFrame, settings: Settings) -> list[str]:
    held = set(found.index.get_level_values("venue"))
    ordered = [*settings.exchanges, *(name for name in VENUES if name not in settings.exchanges)]
    return sorted(held, key=lambda name: (ordered.index(name) if name in ordered else 99, name))


def _views(table: str, found: pd.DataFrame, venues: list[str], now: datetime) -> list[VenueView]:
    newest = found["newest_at"].unstack("venue")[venues]
    # Of several venues with the same newest time the preferred one is used; an unknown time, as a
    # number, is the smallest there is.
    place_of = newest.to_numpy(dtype="datetime64[us]").astype(np.int64).argmax(axis=1)
    serving = pd.Series([venues[place] for place in place_of], index=newest.index)
    had_better = {
        venue: newest[venues[:place]].notna().any(axis=1) for place, venue in enumerate(venues)
    }
    longest = 2 * timedelta(hours=steps_hours(table)) + _GRACE
    views = []
    for venue in venues:
        rows, own = found.xs(venue, level="venue"), serving == venue
        at = rows["newest_at"].max().to_pydatetime()
        views.append(
            VenueView(
                venue_name(venue) if venue else "",
                at,
                int(rows["rows"].sum()),
                len(rows),
                int(own.sum()),
                int((own & had_better[venue]).sum()),
                stale=now - at > longest,
            )
        )
    return views
