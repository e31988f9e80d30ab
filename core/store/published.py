"""What sources have published of late, told from the tables of observations."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import CTE, Connection, Select, func, literal, select, union_all

from core.market.files import FILES
from core.store.reading import moments, numbers, read_columns, words
from core.store.tables import observed

RECENT = timedelta(hours=24)
# One value in over this share of the rows that have one is a dead source, not information.
SUSPICIOUS_SHARE, FEWEST_ROWS = 0.9, 50
# How far back the newest row of a venue without recent ones is looked for.
_LOOKED_BACK = timedelta(days=14)
# An interval is the contract's and rarely changes; most markets have no liquidation in an hour.
_NOT_JUDGED = {("funding", "interval_hours")}
_ZERO_IS_ORDINARY = {
    ("liquidations_4h", "long_liquidations_usd"),
    ("liquidations_4h", "short_liquidations_usd"),
}


@dataclass(frozen=True)
class Suspicion:
    """A column that looks dead: ``value`` in ``share`` of its ``n`` recent values.

    ``value`` is None where none of ``n`` recent rows has one.
    """

    table: str
    venue: str
    column: str
    value: float | None
    share: float
    n: int


def load_published(conn: Connection, now: datetime) -> pd.DataFrame:
    """Rows of the last `RECENT` by table, venue and symbol: ``rows`` and ``newest_at``, sorted."""
    parts = []
    for name, table in observed.items():
        known_at, per_symbol = table.c[FILES[name].known_at], FILES[name].per_symbol
        keys = [table.c.venue, *([table.c.symbol] if per_symbol else [])]
        query = select(*keys, func.count().label("rows"), func.max(known_at).label("newest_at"))
        found = read_columns(conn, query.where(known_at > now - RECENT).group_by(*keys))
        size = len(found["venue"])
        parts.append(
            pd.DataFrame(
                {
                    "table": words([name] * size),
                    "venue": words(found["venue"]),
                    "symbol": words(found.get("symbol", [""] * size)),
                    "rows": numbers(found["rows"]),
                    "newest_at": moments(found["newest_at"], "newest_at"),
                }
            )
        )
    together = pd.concat(parts, ignore_index=True)
    return together.set_index(["table", "venue", "symbol"]).sort_index()


def newest_of(conn: Connection, table: str, venue: str, now: datetime) -> datetime | None:
    """When a venue's newest row was published; None where that is weeks ago, or there is none."""
    known_at = observed[table].c[FILES[table].known_at]
    query = select(func.max(known_at)).where(
        known_at > now - _LOOKED_BACK, observed[table].c.venue == venue
    )
    newest: datetime | None = conn.scalar(query)
    return newest


def load_suspicions(conn: Connection, now: datetime) -> list[Suspicion]:
    """Columns in which one value makes up nearly all of the last `RECENT`, or that are empty.

    Judged are columns with at least `FEWEST_ROWS` rows of a venue. Zero is ordinary where most
    markets have nothing to report: there it is told only when every row has it.
    """
    found: list[Suspicion] = []
    for name in observed:
        rows, filled, often = _tallies(conn, name, now - RECENT)
        for (venue, column), n in filled.items():
            if not n and rows[venue] >= FEWEST_ROWS:
                found.append(Suspicion(name, venue, column, None, 1.0, rows[venue]))
        for (venue, column), (value, times) in often.items():
            n = filled[venue, column]
            if n >= FEWEST_ROWS and _is_suspicious(name, column, value, times, n):
                found.append(Suspicion(name, venue, column, value, times / n, n))
    return sorted(found, key=lambda one: (one.table, one.venue, one.column))


def _is_suspicious(name: str, column: str, value: float, times: int, n: int) -> bool:
    if (name, column) in _NOT_JUDGED:
        return False
    if (name, column) in _ZERO_IS_ORDINARY and value == 0:
        return times == n
    return times > SUSPICIOUS_SHARE * n


Key = tuple[str, str]


def _tallies(
    conn: Connection, name: str, since: datetime
) -> tuple[dict[str, int], dict[Key, int], dict[Key, tuple[float, int]]]:
    """Recent rows by venue; how many have a value, and the value most have, by venue and column.

    With 500 markets this takes half a second on SQLite and 0.15 s on PostgreSQL: keep the answer.
    """
    table, columns = observed[name], (*FILES[name].numbers, *FILES[name].optional)
    recent = (
        select(table.c.venue, *(table.c[column] for column in columns))
        .where(table.c[FILES[name].known_at] > since)
        .cte("recent")
        .prefix_with("MATERIALIZED")
    )
    counted = [func.count(recent.c[column]) for column in columns]
    totals = conn.execute(select(recent.c.venue, func.count(), *counted).group_by(recent.c.venue))
    rows: dict[str, int] = {}
    filled: dict[Key, int] = {}
    for venue, total, *values in totals:
        rows[venue] = total
        filled |= {(venue, one): n for one, n in zip(columns, values, strict=True)}
    if max(rows.values(), default=0) < FEWEST_ROWS:
        return rows, filled, {}
    parts = [_frequent(recent, column) for column in columns]
    often: dict[Key, tuple[float, int]] = {}
    for venue, column, value, times in conn.execute(union_all(*parts)):
        if times > often.get((venue, column), (0.0, 0))[1]:
            often[venue, column] = (value, times)
    return rows, filled, often


def _frequent(recent: CTE, column: str) -> Select[Any]:
    """Values of a column that some venue repeats often enough to be looked at."""
    venue, value, times = recent.c.venue, recent.c[column], func.count()
    return (
        select(venue, literal(column).label("column"), value.label("value"), times.label("times"))
        .where(value.is_not(None))
        .group_by(venue, value)
        .having(times > SUSPICIOUS_SHARE * FEWEST_ROWS)
    )


@dataclass(frozen=True)
class Published:
    """What was published of late, as read at ``read_at``; see `load_published`.

    ``older`` has, by table and venue, when the newest row was published where none is recent.
    """

    read_at: datetime
    rows: pd.DataFrame
    older: dict[tuple[str, str], datetime | None]
    suspicions: tuple[Suspicion, ...]


def load_all_published(
    conn: Connection, expected: Collection[tuple[str, str]], now: datetime
) -> Published:
    """Everything this module knows; rows of the ``expected`` tables and venues should be there."""
    rows = load_published(conn, now)
    recent = set(
        zip(*(rows.index.get_level_values(one) for one in ("table", "venue")), strict=True)
    )
    older = {key: newest_of(conn, *key, now) for key in expected if key not in recent}
    return Published(now, rows, older, tuple(load_suspicions(conn, now)))
