"""From the network into the database: one seam, and what is seen through it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import pandas as pd
from sqlalchemy import Engine

from core.errors import SourceUnavailable
from core.market.source_state import SourceState
from core.store.health import save_health
from core.store.observations import newest_observation, save_observations

BACKFILL = timedelta(days=30)
# Sources publish late and at their own times: every collection reaches back over what it has.
OVERLAP = timedelta(hours=26)


class Collector(Protocol):
    """Where the tables of a live market come from."""

    def fetch(self, since: datetime, bar: datetime) -> Mapping[str, pd.DataFrame]:
        """Rows of a recording's files, published from ``since`` up to ``bar``, a bar's close.

        A source that fails leaves its rows out and says why in `states`.
        """

    def states(self) -> Iterable[SourceState]:
        """How each source is doing."""


def collect(
    engine: Engine,
    collector: Collector,
    bar: datetime,
    worker: str,
    clock: Callable[[], datetime],
) -> int:
    """Fetch and keep what was published up to ``bar``; how many rows were new.

    Reaches back to what is there already, at most `BACKFILL`. Raises `SourceUnavailable` when
    there is no candle that closes at ``bar``; whatever else came is kept all the same.
    """
    with engine.connect() as conn:
        newest = newest_observation(conn, "candles_1h")
    since = bar - BACKFILL if newest is None else max(newest - OVERLAP, bar - BACKFILL)
    tables = collector.fetch(since, bar)
    states, seen_at = list(collector.states()), clock()
    with engine.begin() as conn:
        new = save_observations(conn, tables, seen_at)
        save_health(conn, states, worker, seen_at)
        newest = newest_observation(conn, "candles_1h")
    if newest is None or newest < bar:
        raise SourceUnavailable(_nothing_there(bar, states))
    return new


def _nothing_there(bar: datetime, states: Iterable[SourceState]) -> str:
    reasons = [state.last_failure for state in states if not state.healthy and state.last_failure]
    said = f"No exchange has given a candle that closes at {bar:%Y-%m-%d %H:%M} UTC yet."
    return " ".join([said, *reasons[:1]])
