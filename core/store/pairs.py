"""How often which verdict of the rules met which of a model, by day, kept as verdicts are stored.

Counted in the transaction that stores the verdict, by its only writer (see `core.store.ledger.hold`):
each once, since a signal has one verdict.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from core.accuracy.tallies import DAY
from core.store.differences import Difference
from core.store.reading import moments, read_columns
from core.store.statements import ASKED, DIALECTS, typed, written
from core.store.sums import BY_MODELS, BY_RULES, Expression, cell_of, day_of, followed
from core.store.tables import pair_days, signals

# What tells stored counts apart, besides the UTC day of the signal's bar.
PAIR = (
    "profile_name",
    "profile_version",
    "judge",
    "recorded",
    "rules",
    "model",
    "direction",
    "coverage_bin",
)
_KEYS = (*PAIR, DAY)


def keep_pairs(conn: Connection, signal_ids: Collection[int]) -> None:
    """Count signals whose verdict this transaction stored. `ledger.hold` comes first."""
    if signal_ids:
        given = {"asked": json.dumps(sorted(signal_ids))}
        conn.execute(typed(_adding(conn.dialect.name), given), given)


def rebuild_pairs(conn: Connection) -> None:
    """Make all counts anew from what is stored. `ledger.hold` comes first."""
    conn.execute(delete(pair_days))
    counted = _counted(_pair_rows(conn.dialect.name))
    conn.execute(insert(pair_days).from_select([*_KEYS, "n"], counted))


def check_pairs(conn: Connection, limit: int) -> list[Difference]:
    """Where the stored counts are not those of what is stored, at most ``limit``; [] when right."""
    counted = _counted(_pair_rows(conn.dialect.name)).subquery("counted")
    nothing: Expression = null()
    both = _with_raw_day(pair_days, pair_days.c.n, nothing).union_all(
        _with_raw_day(counted, nothing, counted.c.n)
    )
    each = both.subquery("both")
    keys = [each.c[name] for name in _KEYS]
    stored, computed = func.sum(each.c.stored), func.sum(each.c.computed)
    query = (
        select(*keys, stored.label("stored"), computed.label("computed"))
        .group_by(*keys)
        .having(stored.is_distinct_from(computed))
        .order_by(*keys)
    )
    found = read_columns(conn, query.limit(limit))
    days = moments(found[DAY], DAY)
    return [
        Difference(
            {name: found[name][row] for name in PAIR},
            day.to_pydatetime(),
            "n",
            _known(found["stored"][row]),
            _known(found["computed"][row]),
            "verdicts",
        )
        for row, day in enumerate(days)
    ]


@cache
def _adding(dialect: str) -> str:
    added: Select[Any] = _pair_rows(dialect).where(literal_column(ASKED[dialect]))
    adding = DIALECTS[dialect].insert(pair_days).from_select([*_KEYS, "n"], _counted(added))
    adding = adding.on_conflict_do_update(
        index_elements=list(_KEYS), set_={"n": pair_days.c.n + adding.excluded.n}
    )
    return written(dialect, adding)


def _pair_rows(dialect: str) -> Select[Any]:
    """A row per signal that is followed and that a model has judged: its keys."""
    parts: dict[str, Expression] = {
        **cell_of(BY_MODELS, dialect),
        "rules": BY_RULES.verdict,
        "model": BY_MODELS.verdict,
        DAY: day_of(dialect, signals.c.time),
    }
    keys = [parts[name].label(name) for name in _KEYS]
    return select(*keys).select_from(BY_MODELS.signals).where(followed())


def _counted(rows: Select[Any]) -> Select[Any]:
    each = rows.subquery("each")
    keys = [each.c[name] for name in _KEYS]
    # Without a condition SQLite takes the ON of a conflict for one of a join.
    return select(*keys, func.count().label("n")).where(each.c[DAY].is_not(None)).group_by(*keys)


def _with_raw_day(source: Any, stored: Expression, computed: Expression) -> Select[Any]:
    return select(
        *(source.c[name] for name in PAIR),
        type_coerce(source.c[DAY], NullType()).label(DAY),
        stored.label("stored"),
        computed.label("computed"),
    )


def _known(value: int | None) -> float | None:
    return None if value is None else float(value)
