"""Sums of outcomes per cell and day, kept up to date as outcomes and verdicts are stored.

They are added to in the transaction that stores what they count, by its only writer (see
`core.store.ledger.hold`), so an outcome is in them once, whenever and in whatever order it comes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    column,
    delete,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from core.accuracy.tallies import CELL, COLUMNS, COUNTS, DAY
from core.store import ledger
from core.store.due import LONGEST
from core.store.reading import moments, read_columns
from core.store.sums import (
    BY_MODELS,
    BY_RULES,
    Judged,
    added_up,
    followed,
    outcome_rows,
    same_cell,
)
from core.store.tables import outcomes, profiles, signals, tallies, tally_cells

# Outcomes are added up anew so many days at a time, which bounds memory.
SPAN = timedelta(days=30)
# Sums of fractions depend on the order in which they were added, in their last digits.
_RELATIVE = 1e-9
_JUDGES = (BY_RULES, BY_MODELS)


@dataclass(frozen=True)
class Difference:
    """A cell and day whose stored sum is not that of its outcomes; None where there is no row."""

    cell: dict[str, Any]
    day: datetime
    column: str
    stored: float | None
    computed: float | None

    def __str__(self) -> str:
        cell = ", ".join(f"{name} {value}" for name, value in self.cell.items())
        return (
            f"{self.column} on {self.day:%Y-%m-%d} of {cell}: "
            f"{_said(self.stored)} is stored, {_said(self.computed)} follows from the outcomes"
        )


def keep_tallies(conn: Connection, new: Collection[tuple[int, str]]) -> None:
    """Count outcomes that this transaction has stored, by signal id and horizon, once each.

    Of every judge that has a verdict on their signals by now. `ledger.hold` comes first.
    """
    if new:
        for judged in _JUDGES:
            _add(conn, _rows(conn, judged).where(_among(conn, new)))


def keep_verdict_tallies(conn: Connection, signal_ids: Collection[int]) -> None:
    """Count the outcomes that are there already of signals whose verdict this transaction stored.

    Those that come later are counted by `keep_tallies`. `ledger.hold` comes first.
    """
    if signal_ids:
        rows = _rows(conn, BY_MODELS).where(signals.c.id.in_(sorted(signal_ids)))
        _add(conn, rows)


def rebuild_tallies(conn: Connection) -> int:
    """Make all tallies anew from the stored outcomes; how many rows there are then."""
    ledger.hold(conn)
    conn.execute(delete(tallies))
    conn.execute(delete(tally_cells))
    for part in _parts(conn):
        for judged in _JUDGES:
            _add(conn, part.of(_rows(conn, judged)))
    return conn.scalar(select(func.count()).select_from(tallies)) or 0


def check_tallies(conn: Connection, limit: int = 100) -> list[Difference]:
    """Where the stored tallies are not those of the outcomes, at most ``limit``; [] when right."""
    found: list[Difference] = []
    for part in _parts(conn):
        computed = pd.concat([_computed(conn, judged, part) for judged in _JUDGES])
        found += _differences(_stored(conn, part), computed, limit - len(found))
        if len(found) >= limit:
            break
    return found


@dataclass(frozen=True)
class _Part:
    """Outcomes of a profile whose exit is on these days: from ``start`` to before ``end``."""

    profile_name: str
    start: datetime
    end: datetime

    def of(self, rows: Select[Any]) -> Select[Any]:
        return rows.where(
            signals.c.profile_name == self.profile_name,
            followed(),
            signals.c.time >= self.start - LONGEST,
            signals.c.time < self.end,
            outcomes.c.exit_at >= self.start,
            outcomes.c.exit_at < self.end,
        )


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


def _rows(conn: Connection, judged: Judged) -> Select[Any]:
    return outcome_rows(judged, conn.dialect.name, COLUMNS)


def _among(conn: Connection, new: Collection[tuple[int, str]]) -> Any:
    """Whether an outcome is one of these; they go to the database in one piece."""
    ids, horizons = zip(*sorted(new), strict=True)
    if conn.dialect.name == "sqlite":
        each = func.json_each(bindparam("new", json.dumps(list(zip(ids, horizons, strict=True)))))
        rows = each.table_valued("value").alias("new")
        keys = select(
            func.json_extract(rows.c.value, "$[0]"), func.json_extract(rows.c.value, "$[1]")
        )
        return tuple_(outcomes.c.signal_id, outcomes.c.horizon).in_(keys)
    given = (
        func.unnest(
            bindparam("ids", list(ids), postgresql.ARRAY(signals.c.id.type)),
            bindparam("horizons", list(horizons), postgresql.ARRAY(outcomes.c.horizon.type)),
        )
        .table_valued(column("id", signals.c.id.type), column("horizon", outcomes.c.horizon.type))
        .render_derived(name="new")
    )
    return tuple_(outcomes.c.signal_id, outcomes.c.horizon).in_(select(given.c.id, given.c.horizon))


def _add(conn: Connection, rows: Select[Any]) -> None:
    """Add rows of `outcome_rows` to the stored sums."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert
    each = rows.subquery("each")
    cells = select(*(each.c[name] for name in CELL)).distinct().where(each.c.n > 0)
    conn.execute(insert(tally_cells).from_select(list(CELL), cells).on_conflict_do_nothing())
    whole = added_up(each, [*CELL, DAY], COLUMNS).subquery("whole")
    found = (
        select(tally_cells.c.id, whole.c[DAY], *(whole.c[name] for name in COLUMNS))
        .join_from(whole, tally_cells, same_cell(whole, tally_cells))
        # Without a condition SQLite takes the ON of the conflict for one of the join.
        .where(tally_cells.c.id > 0)
    )
    adding = insert(tallies).from_select(["cell_id", DAY, *COLUMNS], found)
    conn.execute(
        adding.on_conflict_do_update(
            index_elements=["cell_id", DAY],
            set_={name: tallies.c[name] + adding.excluded[name] for name in COLUMNS},
        )
    )


def _computed(conn: Connection, judged: Judged, part: _Part) -> pd.DataFrame:
    each = part.of(_rows(conn, judged)).subquery("each")
    return _frame(conn, added_up(each, [*CELL, DAY], COLUMNS))


def _stored(conn: Connection, part: _Part) -> pd.DataFrame:
    query = (
        select(
            *(tally_cells.c[name] for name in CELL),
            tallies.c[DAY],
            *(tallies.c[name] for name in COLUMNS),
        )
        .join_from(tally_cells, tallies)
        .where(
            tally_cells.c.profile_name == part.profile_name,
            tallies.c.day >= part.start,
            tallies.c.day < part.end,
        )
    )
    return _frame(conn, query)


def _frame(conn: Connection, query: Select[Any]) -> pd.DataFrame:
    found = read_columns(conn, query)
    keys = [found[name] for name in CELL[:-1]]
    keys.append([bool(value) for value in found["traded"]])
    index = pd.MultiIndex.from_arrays([*keys, moments(found[DAY], DAY)], names=[*CELL, DAY])
    content = {name: np.array(found[name], dtype=np.float64) for name in COLUMNS}
    return pd.DataFrame(content, index=index)


def _differences(stored: pd.DataFrame, computed: pd.DataFrame, limit: int) -> list[Difference]:
    one, other = stored.align(computed, join="outer")
    a, b = one.to_numpy(), other.to_numpy()
    whole = np.isin(COLUMNS, COUNTS)
    tolerance = np.where(whole, 0.0, _RELATIVE * np.maximum(1, np.maximum(np.abs(a), np.abs(b))))
    with np.errstate(invalid="ignore"):
        same = np.abs(a - b) <= tolerance
    # A row that is there on one side only is told by its count.
    alone = np.isnan(a) | np.isnan(b)
    rows, columns = np.nonzero(~same & ~(alone & (np.arange(len(COLUMNS)) > 0)))
    found = []
    for row, at in list(zip(rows.tolist(), columns.tolist(), strict=True))[:limit]:
        *cell, day = one.index[row]
        found.append(
            Difference(
                dict(zip(CELL, cell, strict=True)),
                day.to_pydatetime(),
                COLUMNS[at],
                _known(a[row, at]),
                _known(b[row, at]),
            )
        )
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _said(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.9g}"
