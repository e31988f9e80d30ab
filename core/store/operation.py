"""What an operator of a live market watches: sources, workers, rounds, streams, in one reading."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from core.store.health import load_health
from core.store.leases import load_holdings
from core.store.liquidations import load_gaps, load_streams
from core.store.rounds import count_stored, first_round, load_rounds
from core.store.signals import load_progress

WATCHED = timedelta(hours=24)


@dataclass(frozen=True)
class Operation:
    """As it was at ``read_at``. Rounds, gaps and ``stored``, the markets with a bar at each time, are
    of the last `WATCHED`; ``first_round_at`` is the first bar ever worked on."""

    read_at: datetime
    health: pd.DataFrame
    leases: pd.DataFrame
    rounds: pd.DataFrame
    first_round_at: datetime | None
    stored: dict[datetime, int]
    streams: pd.DataFrame
    gaps: pd.DataFrame
    past: list[dict[str, Any]]

    def holders(self, prefix: str) -> pd.DataFrame:
        """Who holds the leases whose name begins with ``prefix``, by the rest of the name."""
        found = self.leases[self.leases.index.str.startswith(prefix)]
        return found.set_axis(found.index.str.removeprefix(prefix))

    @property
    def workers(self) -> pd.DataFrame:
        """Every living worker by its name."""
        return self.holders("worker ")


def load_operation(conn: Connection, now: datetime) -> Operation:
    since = now - WATCHED
    rounds = load_rounds(conn, int(WATCHED / timedelta(hours=1)))
    return Operation(
        now,
        load_health(conn),
        load_holdings(conn, now),
        rounds.loc[[time > since for time in rounds.index]],
        first_round(conn),
        count_stored(conn, since),
        load_streams(conn),
        load_gaps(conn, since, now),
        load_progress(conn),
    )
