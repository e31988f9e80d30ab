"""What the page of liquidations asks of the store, summed up in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    cast,
    extract,
    func,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from core.store.reading import moments, numbers, raw, read_columns
from core.store.tables import bars, liquidation_minutes, stream_gaps

_MINUTE = timedelta(minutes=1)
_SIDES = ("long_usd", "short_usd")
_OF_BARS = ("long_liquidations_usd", "short_liquidations_usd")


def load_sums(
    conn: Connection, start: datetime, end: datetime | None = None, step: timedelta = _MINUTE
) -> pd.DataFrame:
    """Sums per slot of ``step``, symbol and venue, of minutes from ``start`` to before ``end``.

    Columns as in `core.market.liquidation_sums`; slots begin at whole steps since 1970.
    """
    table = liquidation_minutes
    slot = _slot(conn, step)
    keys = (table.c.symbol, table.c.venue)
    sums = (func.sum(table.c[name]).label(name) for name in _SIDES)
    query = select(slot, *keys, *sums) if step > _MINUTE else select(slot, *keys, *_sides())
    query = _within(query, start, end)
    if step > _MINUTE:
        query = query.group_by(slot, *keys)
    found = read_columns(conn, query)
    return pd.DataFrame(
        {
            "slot": _times(found["slot"]),
            "symbol": _names(found["symbol"]),
            "venue": _names(found["venue"]),
            **{name: numbers(found[name]) for name in _SIDES},
        }
    )


def load_past(
    conn: Connection, start: datetime, end: datetime, step: timedelta, venues: Sequence[str]
) -> pd.DataFrame:
    """Longs and shorts together of these venues, slot by symbol; NaN where nothing was reported."""
    table, slot = liquidation_minutes, _slot(conn, step)
    usd = func.sum(table.c.long_usd + table.c.short_usd).label("usd")
    query = _within(select(slot, table.c.symbol, usd), start, end)
    query = query.where(table.c.venue.in_(venues)).group_by(slot, table.c.symbol)
    found = read_columns(conn, query)
    index = pd.MultiIndex.from_arrays(
        [_times(found["slot"]), pd.Index(found["symbol"], dtype=object)], names=["slot", "symbol"]
    )
    return pd.Series(numbers(found["usd"]), index=index).unstack("symbol").sort_index()


def load_pairs(conn: Connection, start: datetime) -> list[tuple[str, str]]:
    """Symbol and venue of everything reported since ``start``, sorted."""
    table = liquidation_minutes
    query = select(table.c.symbol, table.c.venue).where(table.c.minute >= start).distinct()
    return sorted((row.symbol, row.venue) for row in conn.execute(query))


def load_first_known(conn: Connection) -> pd.Series:
    """When each stream was first followed; index venue.

    A stream begins with the gap before it; one that reported earlier is known since then.
    """
    query = select(stream_gaps.c.venue, func.min(stream_gaps.c.started_at).label("began"))
    found = read_columns(conn, query.group_by(stream_gaps.c.venue))
    return pd.Series(
        moments(found["began"], "began"), index=pd.Index(found["venue"], dtype=object), name="began"
    )


def load_live_since(conn: Connection) -> pd.Series:
    """When the last gap of each stream ended; index venue."""
    query = select(stream_gaps.c.venue, func.max(stream_gaps.c.ended_at).label("since"))
    query = query.where(stream_gaps.c.ended_at.is_not(None)).group_by(stream_gaps.c.venue)
    found = read_columns(conn, query)
    return pd.Series(
        moments(found["since"], "since"), index=pd.Index(found["venue"], dtype=object), name="since"
    )


def load_bar_totals(conn: Connection, start: datetime, end: datetime) -> pd.DataFrame:
    """Totals of the bars that close after ``start`` up to ``end``: symbol, time and both sides.

    NaN where a bar does not know them.
    """
    query = select(*raw(bars, "symbol", "time", *_OF_BARS))
    query = query.where(bars.c.time > start, bars.c.time <= end).order_by(bars.c.time)
    found = read_columns(conn, query)
    sides = dict(zip(_SIDES, _OF_BARS, strict=True))
    return pd.DataFrame(
        {
            "symbol": _names(found["symbol"]),
            "time": moments(found["time"], "time"),
            **{name: numbers(found[column]) for name, column in sides.items()},
        }
    )


def _sides() -> list[ColumnElement[Any]]:
    return raw(liquidation_minutes, *_SIDES)


def _slot(conn: Connection, step: timedelta) -> ColumnElement[Any]:
    """The beginning of a minute's slot, in seconds since 1970."""
    minute, seconds = liquidation_minutes.c.minute, int(step.total_seconds())
    if conn.dialect.name == "sqlite":
        since = cast(func.strftime("%s", minute), Integer)
    else:
        since = cast(extract("epoch", minute), BigInteger)
    return (since - since % seconds).label("slot")


def _within(query: Select[Any], start: datetime, end: datetime | None) -> Select[Any]:
    query = query.where(liquidation_minutes.c.minute >= start)
    return query if end is None else query.where(liquidation_minutes.c.minute < end)


def _names(values: Sequence[str]) -> pd.Categorical:
    """Names as categories, of one type even where there are none."""
    return pd.Categorical(values, categories=pd.Index(sorted(set(values)), dtype=object))


def _times(seconds: Sequence[int]) -> pd.DatetimeIndex:
    plain = np.array(seconds, dtype=np.int64).astype("datetime64[s]").astype("datetime64[us]")
    return pd.DatetimeIndex(plain, tz="UTC", name="slot")
