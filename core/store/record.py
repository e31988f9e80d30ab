"""Reading the record: sums per cell and day; `core.store.record_lists` has the rows behind them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, exists, func, select, type_coerce
from sqlalchemy.types import NullType

from core.accuracy.tallies import CELL, COLUMNS, DAY
from core.errors import StoreError
from core.outcomes import HORIZONS
from core.store.factor_days import WHOLE_DAY
from core.store.filters import (
    DAY_LONG,
    Filters,
    length_of,
    midnight,
    of_cells,
    of_outcomes,
    of_pair_days,
    of_pairs,
    of_signals,
    settled,
    within_days,
)
from core.store.reading import flags, moments, numbers, raw, read_columns, words
from core.store.sums import (
    ANY_BIN,
    BINS,
    Expression,
    added_up,
    day_of,
    judged_by,
    outcome_rows,
    totals,
)
from core.store.tables import (
    bars,
    factor_days,
    outcomes,
    pair_days,
    signals,
    tallies,
    tally_cells,
    verdicts,
)

__all__ = [
    "MOST_SYMBOLS",
    "Filters",
    "Unfinished",
    "count_unfinished",
    "load_factor_days",
    "load_options",
    "load_pairs",
    "load_tallies",
    "load_totals",
    "settled",
]

# Single markets have no sums of their own: theirs are made from their outcomes when asked for.
MOST_SYMBOLS = 10


class Unfinished(NamedTuple):
    """Followed signals without an outcome: ``pending`` while the horizon runs, ``overdue`` where
    it is over and bars are missing."""

    pending: int
    overdue: int


def load_options(conn: Connection) -> pd.DataFrame:
    """What there is to choose from: one row per stored cell, whatever its bins.

    The columns of `CELL` without its bins, ``first_day`` and ``last_day`` of the cell's outcomes, and
    ``last_n``, how many there are of the last day. Only the ends of a cell are read, however many days
    lie between them.
    """
    names = [name for name in CELL if name not in BINS]
    oldest, newest = tallies.c.day, tallies.c.day.desc()
    cells = (
        select(
            tally_cells.c.id,
            *(tally_cells.c[name] for name in names),
            _of_first(tallies.c.day, oldest).label("first_day"),
            _of_first(tallies.c.day, newest).label("last_day"),
            _of_first(tallies.c.n, newest).label("last_n"),
        )
        .where(*(tally_cells.c[name] == ANY_BIN for name in BINS))
        .subquery("cells")
    )
    found = read_columns(
        conn, select(cells).where(cells.c.last_n.is_not(None)).order_by(cells.c.id)
    )
    frame = pd.DataFrame({name: _keys(name, found[name]) for name in names})
    for name in ("first_day", "last_day"):
        frame[name] = moments(found[name], name)
    frame["last_n"] = np.array(found["last_n"], dtype=np.int64)
    return frame


def _of_first(column: Expression, order: Any) -> Expression:
    """What the first of a cell's days with an outcome has, in this order."""
    return (
        select(type_coerce(column, NullType()))
        .where(tallies.c.cell_id == tally_cells.c.id, tallies.c.n > 0)
        .order_by(order)
        .limit(1)
        .scalar_subquery()
    )


def load_tallies(
    conn: Connection, filters: Filters, by: Sequence[str], columns: Sequence[str] = COLUMNS
) -> pd.DataFrame:
    """Sums of the outcomes that pass, per cell of ``by`` and day, as `tally` makes them.

    ``by`` names columns of `CELL`, or "symbol" where the filters name symbols. Index (*by, day),
    sorted, day at midnight UTC; the ``columns`` of `COLUMNS`, float64: fewer are faster.
    `StoreError` for more than `MOST_SYMBOLS` symbols.
    """
    found = read_columns(conn, _sums(conn, settled(conn, filters), [*by, DAY], columns))
    days = moments(found[DAY], DAY)
    content = {name: numbers(found[name]) for name in columns}
    arrays = [*(_keys(name, found[name]) for name in by), days]
    index = pd.MultiIndex.from_arrays(arrays, names=[*by, DAY]) if by else days
    return pd.DataFrame(content, index=index).sort_index()


def load_totals(
    conn: Connection, filters: Filters, by: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """The same over all days: sums of the outcomes that pass, per cell of ``by``, one name or more."""
    found = read_columns(conn, _sums(conn, settled(conn, filters), by, columns))
    arrays = [_keys(name, found[name]) for name in by]
    content = {name: numbers(found[name]) for name in columns}
    return pd.DataFrame(
        content, index=pd.MultiIndex.from_arrays(arrays, names=list(by))
    ).sort_index()


def _sums(
    conn: Connection, chosen: Filters, keys: Sequence[str], columns: Sequence[str]
) -> Select[Any]:
    if chosen.symbols:
        _refuse_many(chosen)
        return added_up(_outcome_rows(conn, chosen, columns).subquery("each"), keys, columns)
    asked = [
        type_coerce(tallies.c.day, NullType()) if name == DAY else tally_cells.c[name]
        for name in keys
    ]
    return (
        select(*asked, *totals(tallies, columns))
        .join_from(tally_cells, tallies)
        .where(*of_cells(chosen, [name for name in keys if name != DAY]), tallies.c.n > 0)
        .group_by(*(tallies.c.day if name == DAY else tally_cells.c[name] for name in keys))
    )


def count_unfinished(conn: Connection, filters: Filters) -> dict[str, Unfinished]:
    """Followed signals without an outcome, by horizon."""
    chosen = settled(conn, filters)
    newest = conn.scalar(select(func.max(bars.c.time)))
    horizons = chosen.horizons or HORIZONS
    if newest is None:
        return dict.fromkeys(horizons, Unfinished(0, 0))
    missing = _count_missing(conn, chosen)
    found = {}
    for horizon in horizons:
        pending = _count_pending(conn, chosen, horizon, newest)
        found[horizon] = Unfinished(pending, missing.get(horizon, 0) - pending)
    return found


def load_pairs(conn: Connection, filters: Filters) -> pd.DataFrame:
    """How often which verdict of the rules met which of the model, by day: rules, model, day, n.

    Counts signals, of the UTC days of their bars; the filters' verdicts, risk modes and horizons do
    not count. ``judge`` must name a model.
    """
    query = _pairs_of_symbols(conn, filters) if filters.symbols else _pairs(conn, filters)
    found = read_columns(conn, query)
    return pd.DataFrame(
        {
            **{name: words(found[name]).astype(object) for name in ("rules", "model")},
            DAY: moments(found[DAY], DAY),
            "n": np.array(found["n"], dtype=np.int64),
        }
    )


def _pairs(conn: Connection, filters: Filters) -> Select[Any]:
    keys = (pair_days.c.rules, pair_days.c.model, pair_days.c.day)
    return (
        select(*raw(pair_days, "rules", "model", DAY), func.sum(pair_days.c.n).label("n"))
        .where(*of_pair_days(conn, filters))
        .group_by(*keys)
        .order_by(pair_days.c.day, pair_days.c.rules, pair_days.c.model)
    )


def _pairs_of_symbols(conn: Connection, filters: Filters) -> Select[Any]:
    """The same of single markets, which have no counts of their own."""
    day = type_coerce(day_of(conn.dialect.name, signals.c.time), NullType())
    return (
        select(
            signals.c.verdict.label("rules"),
            verdicts.c.verdict.label("model"),
            day.label(DAY),
            func.count().label("n"),
        )
        .select_from(judged_by(filters.judge).signals)
        .where(*of_pairs(conn, filters))
        .group_by(signals.c.verdict, verdicts.c.verdict, day)
        .order_by(day, signals.c.verdict, verdicts.c.verdict)
    )


def load_factor_days(
    conn: Connection,
    windows_version: str,
    start: date | None = None,
    end: date | None = None,
) -> pd.DataFrame:
    """The stored sums of products of factors, a row per day, factor and other; days included."""
    names = [column.name for column in factor_days.c if column.name != "windows_version"]
    query = select(*raw(factor_days, *names)).where(
        factor_days.c.windows_version == windows_version,
        factor_days.c.factor != WHOLE_DAY,
        *within_days(factor_days.c.day, start, end),
    )
    order = (factor_days.c.day, factor_days.c.factor, factor_days.c.other)
    found = read_columns(conn, query.order_by(*order))
    frame = pd.DataFrame({name: numbers(found[name]) for name in names if name.startswith("sum_")})
    frame.insert(0, "n", np.array(found["n"], dtype=np.int64))
    for at, name in enumerate(("factor", "other")):
        frame.insert(at, name, words(found[name]))
    frame.insert(0, "day", moments(found["day"], "day"))
    return frame


def _refuse_many(filters: Filters) -> None:
    if len(filters.symbols) > MOST_SYMBOLS:
        raise StoreError(
            f"{len(filters.symbols)} symbols are chosen, and what single symbols add up to is "
            f"counted outcome by outcome: choose at most {MOST_SYMBOLS}, or none for all of them."
        )


def _outcome_rows(conn: Connection, filters: Filters, columns: Sequence[str]) -> Select[Any]:
    rows = outcome_rows(judged_by(filters.judge), conn.dialect.name, columns)
    return rows.add_columns(signals.c.symbol).where(*of_outcomes(conn, filters))


def _count_missing(conn: Connection, filters: Filters) -> dict[str, int]:
    """How many outcomes are not there, by horizon."""
    if not filters.symbols:
        query = (
            select(tally_cells.c.horizon, func.sum(tallies.c.followed - tallies.c.n))
            .join_from(tally_cells, tallies)
            .where(*of_cells(filters, ()))
            .group_by(tally_cells.c.horizon)
        )
        return {row[0]: int(row[1]) for row in conn.execute(query)}
    found = {}
    for horizon in filters.horizons or HORIZONS:
        there = exists().where(outcomes.c.signal_id == signals.c.id, outcomes.c.horizon == horizon)
        query = _of_horizon(conn, filters, horizon).where(~there)
        found[horizon] = conn.scalar(query) or 0
    return found


def _count_pending(conn: Connection, filters: Filters, horizon: str, newest: datetime) -> int:
    """Signals whose horizon is not over with the newest bar."""
    query = _of_horizon(conn, filters, horizon)
    return conn.scalar(query.where(signals.c.time > newest - length_of(horizon))) or 0


def _of_horizon(conn: Connection, filters: Filters, horizon: str) -> Select[Any]:
    """The number of signals that pass, whose horizon ends on the days that are asked for."""
    judged = judged_by(filters.judge)
    query = select(func.count()).select_from(judged.signals)
    ended = [None if day is None else midnight(day) for day in (filters.start, filters.end)]
    if ended[0] is not None:
        query = query.where(signals.c.time >= ended[0] - length_of(horizon))
    if ended[1] is not None:
        query = query.where(signals.c.time < ended[1] + DAY_LONG - length_of(horizon))
    return query.where(*of_signals(conn, filters, judged))


def _keys(name: str, values: Sequence[Any]) -> Any:
    """Values of a key, as `tally` has them."""
    if name == "traded":
        return flags(values)
    if name in ("direction", "coverage_bin", "score_bin"):
        return np.array(values, dtype=np.int64)
    return words(values)
