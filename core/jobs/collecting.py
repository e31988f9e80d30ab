"""From the network into the database: one seam, and what is seen through it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import pandas as pd
from sqlalchemy import Engine

from core.errors import SourceUnavailable
from core.jobs.asking import Newest
from core.market.source_state import SourceState
from core.store.coins import save_coins
from core.store.health import UsedBudgets, save_health
from core.store.observations import load_newest_times, save_observations

BACKFILL = timedelta(days=30)
# A market whose newest row is older is asked for all of the past: little of it is there, or it has
# a gap in which more is missing than candles.
RECENT = timedelta(days=2)


@dataclass(frozen=True)
class Collected:
    """Rows of a recording's files; ``waiting`` are markets whose past is still being asked for.

    ``coins`` are those of `core.store.coins.save_coins`, where they have been asked for anew.
    """

    tables: Mapping[str, pd.DataFrame]
    waiting: tuple[str, ...] = ()
    coins: pd.DataFrame | None = None


class Collector(Protocol):
    """Where the tables of a live market come from."""

    def fetch(self, newest: Newest, bar: datetime) -> Collected:
        """What was published up to ``bar``, a bar's close, after the newest rows there are.

        It may be asked at the very close, and waits then until the candles can be there.
        A source that fails leaves its rows out and says why in `states`.
        """

    def saved(self) -> None:
        """What was fetched last is in the database."""

    def states(self) -> Iterable[SourceState]:
        """How each source is doing."""

    def rest(self) -> None:
        """Ask nothing more until the next `fetch`: another worker does."""

    def take_over(self, used: UsedBudgets) -> None:
        """Count what the worker that asked before has spent of the budgets."""


class NoSources:
    """The collector of a market that is not followed: a recording, or the simulated one."""

    def fetch(self, newest: Newest, bar: datetime) -> Collected:  # noqa: ARG002
        return Collected({})

    def saved(self) -> None:
        return

    def states(self) -> Iterable[SourceState]:
        return ()

    def rest(self) -> None:
        return

    def take_over(self, used: UsedBudgets) -> None:  # noqa: ARG002
        return


def collect(
    engine: Engine,
    collector: Collector,
    bar: datetime,
    worker: str,
    clock: Callable[[], datetime],
) -> tuple[int, int]:
    """Fetch and keep what was published up to ``bar``.

    How many rows were new, and how many markets still wait for their past. Raises
    `SourceUnavailable` when nothing is waited for and there is no candle that closes at ``bar``;
    whatever else came is kept all the same.
    """
    with engine.connect() as conn:
        newest = load_newest_times(conn, bar - RECENT)
    found = collector.fetch(newest, bar)
    states, seen_at = list(collector.states()), clock()
    with engine.begin() as conn:
        new = save_observations(conn, found.tables, seen_at)
        save_health(conn, states, worker, seen_at)
        if found.coins is not None:
            save_coins(conn, found.coins, seen_at)
    collector.saved()
    if not found.waiting and not _has_candle(newest, found, bar):
        raise SourceUnavailable(_nothing_there(bar, states))
    return new, len(found.waiting)


def _has_candle(newest: Newest, found: Collected, bar: datetime) -> bool:
    candles = found.tables.get("candles_1h")
    came = candles is not None and bool((candles["published_at"] == bar).any())
    return came or bar in newest.get("candles_1h", {}).values()


def _nothing_there(bar: datetime, states: Iterable[SourceState]) -> str:
    reasons = [state.last_failure for state in states if not state.healthy and state.last_failure]
    said = f"No exchange has given a candle that closes at {bar:%Y-%m-%d %H:%M} UTC yet."
    return " ".join([said, *reasons[:1]])
