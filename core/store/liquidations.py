"""Saving and loading liquidations. An event is stored once, however often it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import pandas as pd
from sqlalchemy import Connection, Row, Select, Table, and_, bindparam, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from core.market.stream.batch import Batch, Gap, StreamState
from core.market.stream.events import Event
from core.store.reading import moments, numbers, read_columns
from core.store.tables import liquidation_minutes, liquidations, stream_gaps, streams

AnyInsert = TypeVar("AnyInsert", postgresql.Insert, sqlite.Insert)
# SQLite's driver keeps statements for reuse, and one of a thousand rows takes megabytes.
_FEW_ROWS = {"insertmanyvalues_page_size": 100}
_SUMS = ("long_usd", "short_usd", "long_count", "short_count")


def save_batch(conn: Connection, batch: Batch) -> int:
    """Store a batch whole; how many of its events were new."""
    new = save_liquidations(conn, batch.events)
    for gap in batch.gaps:
        save_gap(conn, gap)
    if batch.state is not None:
        save_stream(conn, batch.state, batch.at)
    return new


def save_liquidations(conn: Connection, events: Iterable[Event]) -> int:
    """Store events, and add those that were new to the sums of their minutes; how many were new."""
    given = {(event.venue, event.identity): event for event in events}
    if not given:
        return 0
    stored = _insert_new(conn, [given[key] for key in sorted(given)])
    new = [given[row.venue, row.identity] for row in stored]
    _add_to_minutes(conn, new)
    return len(new)


def save_gap(conn: Connection, gap: Gap) -> None:
    """Store a gap, or what is now known of one that began at the same time."""
    statement = _insert(conn, stream_gaps).values(**gap._asdict())
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["venue", "started_at"],
            set_={name: statement.excluded[name] for name in ("ended_at", "reason", "lost")},
        )
    )


def save_stream(conn: Connection, state: StreamState, at: datetime) -> None:
    values = {**vars(state), "updated_at": at}
    statement = _insert(conn, streams).values(**values)
    del values["venue"]
    conn.execute(statement.on_conflict_do_update(index_elements=["venue"], set_=values))


def load_stream(conn: Connection, venue: str) -> StreamState | None:
    """The state a stream was left in, or None where it was never followed."""
    row = conn.execute(select(streams).where(streams.c.venue == venue)).mappings().one_or_none()
    if row is None:
        return None
    return StreamState(**{name: value for name, value in row.items() if name != "updated_at"})


def load_open_gap(conn: Connection, venue: str) -> Gap | None:
    """The gap that has not ended, if there is one."""
    query = select(stream_gaps).where(
        stream_gaps.c.venue == venue, stream_gaps.c.ended_at.is_(None)
    )
    row = conn.execute(query.order_by(stream_gaps.c.started_at)).mappings().first()
    return None if row is None else Gap(**row)


def load_streams(conn: Connection) -> pd.DataFrame:
    """Every stream as it was last noted, index venue."""
    rows = conn.execute(select(streams).order_by(streams.c.venue)).mappings().all()
    return pd.DataFrame(rows, columns=[column.name for column in streams.c]).set_index("venue")


def load_events(
    conn: Connection,
    *,
    limit: int,
    start: datetime | None = None,
    end: datetime | None = None,
    venues: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    least_usd: float = 0.0,
    largest: bool = False,
) -> pd.DataFrame:
    """Up to ``limit`` events of at least ``least_usd``, the newest first, or the largest; the
    columns of the table."""
    query = _chosen(select(liquidations), liquidations, "occurred_at", start, end, venues, symbols)
    if least_usd > 0:
        query = query.where(liquidations.c.usd >= least_usd)
    order = liquidations.c.usd if largest else liquidations.c.occurred_at
    query = query.order_by(order.desc(), liquidations.c.identity.desc()).limit(limit)
    return _frame(conn, query, ("occurred_at", "received_at"), ("price", "quantity", "usd"))


def load_events_before(
    conn: Connection,
    place: tuple[datetime, str, str] | None,
    *,
    limit: int,
    start: datetime | None = None,
    end: datetime | None = None,
    venues: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    least_usd: float = 0.0,
) -> pd.DataFrame:
    """Up to ``limit`` events, the newest first, that come behind one with this time, identity and
    venue; all of them have one place in this order, whatever is stored meanwhile."""
    table = liquidations.c
    query = _chosen(select(liquidations), liquidations, "occurred_at", start, end, venues, symbols)
    if least_usd > 0:
        query = query.where(table.usd >= least_usd)
    if place is not None:
        time, identity, venue = place
        same = and_(table.identity == identity, table.venue < venue)
        later = and_(table.occurred_at == time, or_(table.identity < identity, same))
        query = query.where(table.occurred_at <= time, or_(table.occurred_at < time, later))
    order = (table.occurred_at.desc(), table.identity.desc(), table.venue.desc())
    query = query.order_by(*order).limit(limit)
    return _frame(conn, query, ("occurred_at", "received_at"), ("price", "quantity", "usd"))


def load_minutes(
    conn: Connection,
    start: datetime | None = None,
    end: datetime | None = None,
    venues: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Sums per minute, symbol and venue, sorted; minutes without an event have no row."""
    table = liquidation_minutes
    query = _chosen(select(table), table, "minute", start, end, venues, symbols)
    query = query.order_by(table.c.minute, table.c.symbol, table.c.venue)
    return _frame(conn, query, ("minute",), ("long_usd", "short_usd"))


def load_gaps(
    conn: Connection, start: datetime | None = None, end: datetime | None = None
) -> pd.DataFrame:
    """Gaps that touch the time from ``start`` to ``end``, the earliest first; NaT: it lasts."""
    query = select(stream_gaps).order_by(stream_gaps.c.started_at, stream_gaps.c.venue)
    if start is not None:
        query = query.where(stream_gaps.c.ended_at.is_(None) | (stream_gaps.c.ended_at >= start))
    if end is not None:
        query = query.where(stream_gaps.c.started_at <= end)
    return _frame(conn, query, ("started_at", "ended_at"), ())


def drop_liquidations(conn: Connection, before: datetime) -> int:
    """Delete single events that occurred before a time; the sums of their minutes stay."""
    return conn.execute(delete(liquidations).where(liquidations.c.occurred_at < before)).rowcount


def _insert_new(conn: Connection, events: Sequence[Event]) -> Sequence[Row[Any]]:
    """Keys of the rows that were new. For PostgreSQL whole columns travel as arrays, because its
    driver takes longer to read a statement with thousands of values than the server to run it.
    """
    keys = (liquidations.c.venue, liquidations.c.identity)
    if conn.dialect.name == "sqlite":
        statement = sqlite.insert(liquidations).on_conflict_do_nothing().returning(*keys)
        rows = [event._asdict() for event in events]
        return conn.execute(statement, rows, execution_options=_FEW_ROWS).all()
    statement = _from_arrays(liquidations, Event._fields).on_conflict_do_nothing().returning(*keys)
    return conn.execute(statement, _by_column(Event._fields, events)).all()


def _from_arrays(table: Table, names: Sequence[str]) -> postgresql.Insert:
    """An insert of rows that come as one array per column."""
    arrays = (bindparam(name, type_=postgresql.ARRAY(table.c[name].type)) for name in names)
    given = func.unnest(*arrays).table_valued(*names).render_derived()
    return postgresql.insert(table).from_select(list(names), select(*given.c))


def _by_column(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _add_to_minutes(conn: Connection, new: Sequence[Event]) -> None:
    sums: dict[tuple[datetime, str, str], list[float]] = {}
    for event in new:
        minute = event.occurred_at.replace(second=0, microsecond=0)
        total = sums.setdefault((minute, event.symbol, event.venue), [0.0, 0.0, 0, 0])
        short = event.liquidated_side == "short"
        total[short] += event.usd
        total[2 + short] += 1
    if not sums:
        return
    rows = [(*key, *sums[key]) for key in sorted(sums)]
    keys = ("minute", "symbol", "venue")
    if conn.dialect.name == "sqlite":
        conn.execute(
            _adding(sqlite.insert(liquidation_minutes), keys),
            [dict(zip((*keys, *_SUMS), row, strict=True)) for row in rows],
        )
    else:
        statement = _from_arrays(liquidation_minutes, (*keys, *_SUMS))
        conn.execute(_adding(statement, keys), _by_column((*keys, *_SUMS), rows))


def _adding(statement: AnyInsert, keys: Sequence[str]) -> AnyInsert:
    added = {name: liquidation_minutes.c[name] + statement.excluded[name] for name in _SUMS}
    return statement.on_conflict_do_update(index_elements=keys, set_=added)


def _insert(conn: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    if conn.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _chosen(
    query: Select[Any],
    table: Table,
    time: str,
    start: datetime | None,
    end: datetime | None,
    venues: Sequence[str] | None,
    symbols: Sequence[str] | None,
) -> Select[Any]:
    if start is not None:
        query = query.where(table.c[time] >= start)
    if end is not None:
        query = query.where(table.c[time] <= end)
    if venues is not None:
        # Made into an expression, or SQLite looks through all that the venues ever reported instead
        # of the stretch of time.
        query = query.where((table.c.venue + "").in_(venues))
    return query if symbols is None else query.where(table.c.symbol.in_(symbols))


def _frame(
    conn: Connection, query: Select[Any], times: Sequence[str], floats: Sequence[str]
) -> pd.DataFrame:
    columns: dict[str, Any] = read_columns(conn, query)
    for name in times:
        columns[name] = moments(columns[name], name)
    for name in floats:
        columns[name] = numbers(columns[name])
    return pd.DataFrame(columns)
