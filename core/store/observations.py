"""Saving and loading what sources published, in the columns of a recording's files.

What was seen first stays: a later, other value of the same number is not taken, because nobody
could have known it at the time. A number that was missing is taken when it comes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, Table, delete, exists, func, literal, select

from core.errors import StoreError
from core.market.files import (
    CANDLES,
    FILES,
    LIQUIDATIONS,
    LONG_SHORT,
    OPEN_INTEREST,
    Source,
)
from core.store.bulk import floats, insert_new, times
from core.store.reading import among, instants, moments, numbers, raw, read_columns, words
from core.store.tables import bars, observed


def save_observations(
    conn: Connection, tables: Mapping[str, pd.DataFrame], seen_at: datetime
) -> int:
    """Store rows of a recording's files, seen now; how many were new. `StoreError` for other files."""
    unknown = sorted(set(tables) - set(observed))
    if unknown:
        raise StoreError(
            f"There is no table for {unknown[0]}; observations go to {', '.join(observed)}."
        )
    return sum(_save(conn, FILES[name], tables[name], seen_at) for name in sorted(tables))


def load_observations(
    conn: Connection,
    start: datetime | None = None,
    end: datetime | None = None,
    symbols: Collection[str] | None = None,
    *,
    held: bool = False,
) -> dict[str, pd.DataFrame]:
    """Every table that has rows published from ``start`` to ``end`` (both included).

    ``held``: values that are held begin some of their steps earlier, so that the first bar shows
    them. Each table has the columns of its file and ``seen_at``, sorted by symbol, venue
    and time.
    """
    found = {}
    for name, table in observed.items():
        source = FILES[name]
        early = timedelta(hours=_reach_hours(source) if held else 0)
        rows = _load(conn, source, table, None if start is None else start - early, end, symbols)
        if len(rows):
            found[name] = rows
    return found


def _reach_hours(source: Source) -> float:
    """Enough for the newest value and what its step is told by. Exchanges are asked by the hour."""
    if source is CANDLES:
        return 0
    hourly = source in (OPEN_INTEREST, LONG_SHORT, LIQUIDATIONS)
    return 16 if hourly else 8 * source.step_hours


def load_newest_times(conn: Connection, since: datetime) -> dict[str, dict[str, datetime]]:
    """When each symbol's newest row since then was published, by file; "" where it is of none."""
    found: dict[str, dict[str, datetime]] = {}
    for name, table in observed.items():
        source = FILES[name]
        known_at = table.c[source.known_at]
        key = table.c.symbol if source.per_symbol else literal("")
        query = select(key, func.max(known_at)).where(known_at >= since)
        query = query.group_by(table.c.symbol) if source.per_symbol else query
        found[name] = {symbol: time for symbol, time in conn.execute(query) if time is not None}
    return found


def load_closes(
    conn: Connection, symbols: Collection[str], start: datetime, end: datetime
) -> pd.MultiIndex:
    """Symbol and close of every candle of these symbols that was published from ``start`` to ``end``."""
    table = observed[CANDLES.file]
    query = select(*raw(table, "symbol"), *instants(table, "open_at")).where(
        among(conn, table.c.symbol, symbols), table.c.published_at.between(start, end)
    )
    found = read_columns(conn, query)
    closes = moments(found["open_at"], "time") + pd.Timedelta(hours=1)
    return pd.MultiIndex.from_arrays([words(found["symbol"]), closes], names=["symbol", "time"])


def load_symbols(conn: Connection, since: datetime) -> list[str]:
    """The symbols that have had a candle since then, sorted."""
    table = observed[CANDLES.file]
    query = select(table.c.symbol).where(table.c.published_at >= since)
    # Asked to, SQLite reads the whole table instead of the newest rows.
    query = query if conn.dialect.name == "sqlite" else query.distinct()
    return sorted(set(conn.scalars(query)))


def count_bars(conn: Connection, start: datetime, end: datetime) -> int:
    """How many observed candles from ``start`` to ``end`` are no stored bars yet."""
    table = observed["candles_1h"]
    candles = select(table.c.symbol, table.c.published_at).where(
        table.c.published_at > start, table.c.published_at <= end
    )
    stored = exists().where(bars.c.symbol == table.c.symbol, bars.c.time == table.c.published_at)
    missing = candles.where(~stored).distinct().subquery()
    return conn.scalar(select(func.count()).select_from(missing)) or 0


def drop_observations(conn: Connection, before: datetime) -> int:
    """Delete what was published before a time; how many rows."""
    return sum(
        conn.execute(delete(table).where(table.c[FILES[name].known_at] < before)).rowcount
        for name, table in observed.items()
    )


def _save(conn: Connection, source: Source, rows: pd.DataFrame, seen_at: datetime) -> int:
    rows = rows if "venue" in rows else rows.assign(venue="")
    table = observed[source.file]
    keys = [column.name for column in table.primary_key]
    rows = rows.drop_duplicates(keys).sort_values(keys, kind="stable")
    columns: dict[str, Any] = {name: rows[name].tolist() for name in _labels(source)}
    columns |= {name: times(conn, pd.DatetimeIndex(rows[name])) for name in source.times}
    given = [name for name in (*source.numbers, *source.optional) if name in rows]
    columns |= {name: floats(rows[name], name) for name in given}
    columns["seen_at"] = times(conn, pd.DatetimeIndex([seen_at])) * len(rows)
    return insert_new(conn, table, columns, fill=given)


def _load(
    conn: Connection,
    source: Source,
    table: Table,
    start: datetime | None,
    end: datetime | None,
    symbols: Collection[str] | None,
) -> pd.DataFrame:
    stamped = (*source.times, "seen_at")
    others = [column.name for column in table.c if column.name not in stamped]
    query: Select[Any] = select(*raw(table, *others), *instants(table, *stamped))
    query = query.order_by(*table.primary_key)
    known_at = table.c[source.known_at]
    if start is not None:
        query = query.where(known_at >= start)
    if end is not None:
        query = query.where(known_at <= end)
    if symbols is not None and source.per_symbol:
        query = query.where(among(conn, table.c.symbol, symbols))
    found = read_columns(conn, query)
    rows = pd.DataFrame({name: words(found[name]).astype("str") for name in _labels(source)})
    for name in stamped:
        rows[name] = moments(found[name], name)
    for name in (*source.numbers, *source.optional):
        rows[name] = numbers(found[name])
    return rows


def _labels(source: Source) -> tuple[str, ...]:
    return ("symbol", "venue") if source.per_symbol else ("venue",)
