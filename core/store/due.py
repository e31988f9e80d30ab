"""Work that waits in the database: bars to go on from, signals whose outcome can be known."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, and_, exists, func, or_, select

from core.market.frame import INDEX, NAMES
from core.outcomes import HORIZONS
from core.signals import Profile, parse_profile
from core.store import rows
from core.store.reading import (
    among,
    between,
    instants,
    moments,
    numbers,
    raw,
    read_columns,
    words,
)
from core.store.tables import bars, outcomes, profiles, signals

LONGEST = max(pd.Timedelta(horizon) for horizon in HORIZONS).to_pytimedelta()


def load_frame(
    conn: Connection,
    symbols: Collection[str],
    start: datetime | None = None,
    end: datetime | None = None,
) -> pd.DataFrame:
    """Stored bars of these symbols from ``start`` to ``end`` (both included), a market frame."""
    columns = [*raw(bars, "symbol", *NAMES), *instants(bars, "time")]
    query = select(*columns).where(among(conn, bars.c.symbol, symbols))
    query = between(query, bars, start, end).order_by(bars.c.symbol, bars.c.time)
    found = read_columns(conn, query)
    index = pd.MultiIndex.from_arrays(
        [words(found["symbol"]).astype("str"), moments(found["time"], "time")], names=list(INDEX)
    )
    return pd.DataFrame({name: numbers(found[name]) for name in NAMES}, index=index)


def count_frame(conn: Connection, symbols: Collection[str], start: datetime, end: datetime) -> int:
    """How many rows `load_frame` would give."""
    query = select(func.count()).where(among(conn, bars.c.symbol, symbols))
    return conn.scalar(between(query, bars, start, end)) or 0


def load_due(
    conn: Connection, symbols: Collection[str], start: datetime, end: datetime, newest: datetime
) -> pd.DataFrame:
    """Signals from ``start`` to before ``end`` that lack an outcome due by ``newest``.

    Planned columns with profile_name and profile_version; index (symbol, time).
    """
    names = list(conn.scalars(select(profiles.c.name).distinct().order_by(profiles.c.name)))
    query = _due(start, end, newest).where(
        signals.c.profile_name.in_(names), among(conn, signals.c.symbol, symbols)
    )
    order = (signals.c.profile_name, signals.c.symbol, signals.c.time, signals.c.id)
    found = read_columns(conn, query.order_by(*order))
    frame = rows.from_columns(found)
    for name in ("profile_name", "profile_version"):
        frame[name] = words(found[name]).to_numpy()
    return frame


def _due(start: datetime, end: datetime, newest: datetime) -> Select[Any]:
    lacking = [
        and_(
            signals.c.time <= newest - _length(horizon),
            ~exists().where(outcomes.c.signal_id == signals.c.id, outcomes.c.horizon == horizon),
        )
        for horizon in HORIZONS
    ]
    return rows.whole_rows().where(
        signals.c.time >= start,
        signals.c.time < end,
        signals.c.direction.in_((-1, 1)),
        or_(*lacking),
    )


def _length(horizon: str) -> timedelta:
    length: timedelta = pd.Timedelta(horizon).to_pytimedelta()
    return length


def load_profile_of(conn: Connection, name: str, version: str) -> Profile:
    """A profile as it was when it made signals."""
    query = select(profiles.c.body).where(profiles.c.name == name, profiles.c.version == version)
    return parse_profile(conn.execute(query).scalar_one())
