"""Sums of outcomes per cell and day, kept up to date as outcomes and verdicts are stored.

They are added to in the transaction that stores what they count, by its only writer (see
`core.store.ledger.hold`), so an outcome is in them once, whenever and in whatever order it comes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import (
    Connection,
    CursorResult,
    FromClause,
    Select,
    delete,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from core.accuracy.tallies import CELL, COLUMNS, COUNTS, DAY
from core.store import ledger
from core.store.differences import Difference
from core.store.due import LONGEST
from core.store.pairs import check_pairs, keep_pairs, rebuild_pairs
from core.store.reading import columns_of, moments
from core.store.statements import ASKED, DIALECTS, typed, written
from core.store.sums import (
    BY_MODELS,
    BY_RULES,
    FOLLOWED,
    Expression,
    Judged,
    added_up,
    followed,
    followed_rows,
    in_every_family,
    outcome_rows,
    same_cell,
)
from core.store.tables import profiles, signals, tallies, tally_cells

# Outcomes are added up anew so many days at a time, which bounds memory.
SPAN = timedelta(days=30)
# Sums of fractions depend on the order in which they were added, in their last digits.
_RELATIVE = 1e-9
_JUDGES = (BY_RULES, BY_MODELS)
STORED = (*COLUMNS, FOLLOWED)


@dataclass(frozen=True, eq=False)
class _Kind:
    """What is counted: how its rows are made, and what they hold."""

    rows: Callable[[Judged, str], Select[Any]]
    columns: tuple[str, ...]


_OUTCOMES = _Kind(partial(outcome_rows, columns=COLUMNS), COLUMNS)
_SIGNALS = _Kind(followed_rows, (FOLLOWED,))
_KINDS = (_OUTCOMES, _SIGNALS)
# Which rows are meant. Those of a part are held to its days as well.
_OF_PART = (
    "signals.profile_name = :profile AND signals.direction <> 0 "
    "AND signals.time >= :earliest AND signals.time < :end"
)
# Keys go to the database in one piece.
_NEW = {
    "sqlite": "(outcomes.signal_id, outcomes.horizon) IN (SELECT json_extract(value, '$[0]'), "
    "json_extract(value, '$[1]') FROM json_each(:new))",
    "postgresql": "(outcomes.signal_id, outcomes.horizon) IN (SELECT CAST(value ->> 0 AS bigint), "
    "value ->> 1 FROM json_array_elements(CAST(:new AS json)))",
}


def keep_signals(conn: Connection, first: int, last: int) -> None:
    """Count signals that this transaction has stored, with ids from ``first`` to ``last``.

    So it is known how many outcomes are still to come. `ledger.hold` comes first.
    """
    _add(conn, _SIGNALS, BY_RULES, "signals.id BETWEEN :first AND :last", first=first, last=last)


def keep_tallies(conn: Connection, new: Collection[tuple[int, str]]) -> None:
    """Count outcomes that this transaction has stored, by signal id and horizon, once each.

    Of every judge that has a verdict on their signals by now. `ledger.hold` comes first.
    """
    if new:
        for judged in _JUDGES:
            _add(conn, _OUTCOMES, judged, _NEW[conn.dialect.name], new=json.dumps(sorted(new)))


def keep_verdict_tallies(conn: Connection, signal_ids: Collection[int]) -> None:
    """Count signals whose verdict this transaction stored, and the outcomes that they have already.

    And what the rules and the model said of each, see `core.store.pairs`. Outcomes that come later are counted by `keep_tallies`. `ledger.hold` comes first.
    """
    if signal_ids:
        for kind in (_SIGNALS, _OUTCOMES):
            asked = json.dumps(sorted(signal_ids))
            _add(conn, kind, BY_MODELS, ASKED[conn.dialect.name], asked=asked)
        keep_pairs(conn, signal_ids)


def rebuild_tallies(conn: Connection) -> int:
    """Make all tallies and pairs anew from what is stored; how many rows of tallies there are then."""
    ledger.hold(conn)
    if conn.dialect.name == "postgresql":
        # What was restored from a backup has no statistics, and plans made without them take hours.
        conn.exec_driver_sql("ANALYZE signals, outcomes, verdicts")
    conn.execute(delete(tallies))
    conn.execute(delete(tally_cells))
    for part in _parts(conn):
        for kind in _KINDS:
            for judged in _JUDGES:
                _add(conn, kind, judged, _OF_PART, **part.given())
    rebuild_pairs(conn)
    return conn.scalar(select(func.count()).select_from(tallies)) or 0


def check_tallies(conn: Connection, limit: int = 100) -> list[Difference]:
    """Where the stored tallies, or the pairs, are not those of what is stored, at most ``limit``; [] when
    right."""
    found: list[Difference] = []
    for part in _parts(conn):
        found += _differences(_stored(conn, part), _computed(conn, part), limit - len(found))
        if len(found) >= limit:
            return found
    return found + check_pairs(conn, limit - len(found))


@dataclass(frozen=True)
class _Part:
    """What of a profile falls on these days, by the exit: from ``start`` to before ``end``."""

    profile_name: str
    start: datetime
    end: datetime

    def given(self) -> dict[str, Any]:
        return {
            "profile": self.profile_name,
            "start": self.start,
            "end": self.end,
            "earliest": self.start - LONGEST,
        }


def _parts(conn: Connection) -> Iterator[_Part]:
    """Parts that hold every outcome, and every stored tally, once."""
    names = select(profiles.c.name).union(select(tally_cells.c.profile_name))
    for name in sorted(conn.scalars(names)):
        of_profile = signals.c.profile_name == name
        of_cells = tally_cells.c.profile_name == name
        stored = select(func.min(tallies.c.day), func.max(tallies.c.day)).join(tally_cells)
        first_day, last_day = conn.execute(stored.where(of_cells)).one()
        first = conn.scalar(select(func.min(signals.c.time)).where(of_profile, followed()))
        last = conn.scalar(select(func.max(signals.c.time)).where(of_profile, followed()))
        ends = [first_day, last_day, first, None if last is None else last + LONGEST]
        known = [end for end in ends if end is not None]
        if known:
            start = min(known).replace(hour=0, minute=0, second=0, microsecond=0)
            while start <= max(known):
                yield _Part(name, start, start + SPAN)
                start += SPAN


def _add(conn: Connection, kind: _Kind, judged: Judged, where: str, **given: Any) -> None:
    """Add what lies where it is said to the stored sums."""
    for statement in _adding(conn.dialect.name, kind, judged, where):
        conn.execute(typed(statement, given), given)


@cache
def _adding(dialect: str, kind: _Kind, judged: Judged, where: str) -> tuple[str, str]:
    """Statements that make the cells that are not there, and that add to the sums.

    Written out once: to compose them takes longer than to run them.
    """
    insert = DIALECTS[dialect].insert
    each = _each(dialect, kind, judged, where)
    own = select(*(each.c[name] for name in CELL)).distinct().subquery("own")
    cells = in_every_family(own, []).subquery("cells")
    lacking = (
        select(*(cells.c[name] for name in CELL))
        .join_from(cells, tally_cells, same_cell(cells, tally_cells), isouter=True)
        .where(tally_cells.c.id.is_(None))
    )
    making = insert(tally_cells).from_select(list(CELL), lacking).on_conflict_do_nothing()
    kept = _kept(each, kind.columns).subquery("kept")
    values = {n: kept.c[n] if n in kind.columns else literal_column("0") for n in STORED}
    found = (
        select(tally_cells.c.id, kept.c[DAY], *values.values())
        .join_from(kept, tally_cells, same_cell(kept, tally_cells))
        # Without a condition SQLite takes the ON of the conflict for one of the join.
        .where(tally_cells.c.id > 0)
    )
    adding = insert(tallies).from_select(["cell_id", DAY, *STORED], found)
    adding = adding.on_conflict_do_update(
        index_elements=["cell_id", DAY],
        set_={name: tallies.c[name] + adding.excluded[name] for name in kind.columns},
    )
    return written(dialect, making), written(dialect, adding)


@cache
def _computing(dialect: str, kind: _Kind, judged: Judged) -> str:
    return written(dialect, _kept(_each(dialect, kind, judged, _OF_PART), kind.columns))


def _each(dialect: str, kind: _Kind, judged: Judged, where: str) -> FromClause:
    rows = kind.rows(judged, dialect).where(literal_column(where)).subquery("each")
    if where != _OF_PART:
        return rows
    start: Expression = literal_column(":start")
    end: Expression = literal_column(":end")
    return select(rows).where(rows.c[DAY] >= start, rows.c[DAY] < end).subquery("of_part")


def _kept(each: FromClause, columns: Sequence[str]) -> Select[Any]:
    """What is stored of rows: their sums by cell and day, in every family."""
    whole = added_up(each, [*CELL, DAY], columns).cte("whole")
    return in_every_family(whole, columns)


def _computed(conn: Connection, part: _Part) -> pd.DataFrame:
    found, given = [], part.given()
    for kind in _KINDS:
        for judged in _JUDGES:
            query = typed(_computing(conn.dialect.name, kind, judged), given)
            found.append(_frame(conn.execute(query, given), kind.columns))
    whole = pd.concat(found).reindex(columns=list(STORED)).fillna(0.0)
    return whole.groupby(level=list(range(whole.index.nlevels))).sum()


def _stored(conn: Connection, part: _Part) -> pd.DataFrame:
    query = (
        select(
            *(tally_cells.c[name] for name in CELL),
            type_coerce(tallies.c[DAY], NullType()),
            *(tallies.c[name] for name in STORED),
        )
        .join_from(tally_cells, tallies)
        .where(
            tally_cells.c.profile_name == part.profile_name,
            tallies.c.day >= part.start,
            tallies.c.day < part.end,
        )
    )
    return _frame(conn.execute(query), STORED)


def _frame(result: CursorResult[Any], columns: Sequence[str]) -> pd.DataFrame:
    found = columns_of(result)
    keys = [found[name] for name in CELL[:-1]]
    keys.append([bool(value) for value in found["traded"]])
    index = pd.MultiIndex.from_arrays([*keys, moments(found[DAY], DAY)], names=[*CELL, DAY])
    content = {name: np.array(found[name], dtype=np.float64) for name in columns}
    return pd.DataFrame(content, index=index)


def _differences(stored: pd.DataFrame, computed: pd.DataFrame, limit: int) -> list[Difference]:
    one, other = stored.align(computed, join="outer")
    a, b = one.to_numpy(), other.to_numpy()
    whole = np.isin(STORED, (*COUNTS, FOLLOWED))
    tolerance = np.where(whole, 0.0, _RELATIVE * np.maximum(1, np.maximum(np.abs(a), np.abs(b))))
    with np.errstate(invalid="ignore"):
        same = np.abs(a - b) <= tolerance
    # A row that is there on one side only is told by its count.
    alone = np.isnan(a) | np.isnan(b)
    rows, columns = np.nonzero(~same & ~(alone & (np.arange(len(STORED)) > 0)))
    found = []
    for row, at in list(zip(rows.tolist(), columns.tolist(), strict=True))[:limit]:
        *cell, day = one.index[row]
        found.append(
            Difference(
                dict(zip(CELL, cell, strict=True)),
                day.to_pydatetime(),
                STORED[at],
                _known(a[row, at]),
                _known(b[row, at]),
            )
        )
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
