"""Which outcomes are asked for, and the same as conditions on rows and on stored sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection, false, func, select

from core.accuracy.tallies import CELL, RULES
from core.outcomes import HORIZONS
from core.store.sums import (
    ANY_BIN,
    BINS,
    Expression,
    Judged,
    cell_of,
    followed,
    judged_by,
    of_judge,
)
from core.store.tables import outcomes, pair_days, signals, tallies, tally_cells

DAY_LONG = timedelta(days=1)


@dataclass(frozen=True)
class Filters:
    """Which outcomes: those of one version of a profile, as one judge sees them, and less.

    ``profile_version`` None is the one whose signals are newest. ``judge`` is "rules" or
    "MODEL / PROMPT_VERSION". An empty tuple or None lets everything through. ``least_coverage``
    counts in whole tenths, 0..1, ``traded`` is by the asked judge. ``start`` and ``end`` are UTC days of the exit, both included.
    """

    profile_name: str
    profile_version: str | None = None
    judge: str = RULES
    recorded: str | None = None
    verdicts: tuple[str, ...] = ()
    risk_modes: tuple[str, ...] = ()
    traded: bool | None = None
    direction: int | None = None
    horizons: tuple[str, ...] = ()
    least_coverage: float | None = None
    symbols: tuple[str, ...] = ()
    start: date | None = None
    end: date | None = None


def settled(conn: Connection, filters: Filters) -> Filters:
    """The filters with the version of the profile that they mean."""
    if filters.profile_version is not None:
        return filters
    newest = (
        select(signals.c.profile_version)
        .where(signals.c.profile_name == filters.profile_name, followed())
        .order_by(signals.c.time.desc(), signals.c.id.desc())
        .limit(1)
    )
    # A version of no signal has nothing; there is no such version as "".
    return replace(filters, profile_version=conn.scalar(newest) or "")


def of_cells(filters: Filters, by: Sequence[str]) -> list[Expression]:
    """What a stored sum must be to pass; where no bins are asked for, one over all of them."""
    of_cell = {name: tally_cells.c[name] for name in CELL}
    asked = {*by, *(["coverage_bin"] if filters.least_coverage is not None else [])}
    bins = [of_cell[name] >= 0 if name in asked else of_cell[name] == ANY_BIN for name in BINS]
    within = within_days(tallies.c.day, filters.start, filters.end)
    return [of_cell["judge"] == filters.judge, *_of_keys(filters, of_cell), *bins, *within]


def of_outcomes(conn: Connection, filters: Filters) -> list[Expression]:
    """What an outcome must be to pass."""
    conditions = _of_keys(filters, cell_of(judged_by(filters.judge), conn.dialect.name))
    if filters.symbols:
        conditions.append(signals.c.symbol.in_(filters.symbols))
    # What the exit says of the signal's time finds it in the index.
    lengths = [length_of(horizon) for horizon in filters.horizons or HORIZONS]
    if filters.start is not None:
        conditions.append(signals.c.time >= midnight(filters.start) - max(lengths))
    if filters.end is not None:
        conditions.append(signals.c.time < midnight(filters.end) + DAY_LONG - min(lengths))
    conditions += [followed(), of_judge(filters.judge)]
    return [*conditions, *within_days(outcomes.c.exit_at, filters.start, filters.end)]


def _of_keys(filters: Filters, keys: Mapping[str, Expression]) -> list[Expression]:
    asked: list[tuple[str, Sequence[Any]]] = [
        ("recorded", () if filters.recorded is None else (filters.recorded,)),
        ("verdict", filters.verdicts),
        ("risk_mode", filters.risk_modes),
        ("traded", () if filters.traded is None else (filters.traded,)),
        ("direction", () if filters.direction is None else (filters.direction,)),
        ("horizon", filters.horizons),
    ]
    conditions = [
        keys["profile_name"] == filters.profile_name,
        keys["profile_version"] == filters.profile_version,
        *(keys[name].in_(values) for name, values in asked if values and name in keys),
    ]
    if filters.least_coverage is not None:
        conditions.append(keys["coverage_bin"] >= int(filters.least_coverage * 10 + 1e-9))
    return conditions


def of_signals(conn: Connection, filters: Filters, judged: Judged) -> list[Expression]:
    """What a signal must be to pass, whatever the horizon and the time."""
    cell = cell_of(judged, conn.dialect.name)
    of_signal = {name: key for name, key in cell.items() if name not in ("horizon", "traded")}
    conditions = [followed(), of_judge(filters.judge), *_of_keys(filters, of_signal)]
    if filters.symbols:
        conditions.append(signals.c.symbol.in_(filters.symbols))
    return conditions


def of_pairs(conn: Connection, filters: Filters) -> list[Expression]:
    """What a signal that a model judged must be to pass; what a verdict is does not count."""
    alike = _of_pairs(conn, filters)
    within = within_days(signals.c.time, filters.start, filters.end)
    # A model has judged some months of years: when, the counts know, and an index finds those signals.
    days = select(func.min(pair_days.c.day), func.max(pair_days.c.day))
    anytime = replace(alike, start=None, end=None)
    first, last = conn.execute(days.where(*of_pair_days(conn, anytime))).one()
    if first is None:
        return [false()]
    known = within_days(signals.c.time, first, last)
    return [*of_signals(conn, alike, judged_by(filters.judge)), *within, *known]


def of_pair_days(conn: Connection, filters: Filters) -> list[Expression]:
    """The same of a stored count, whatever the symbols."""
    alike = _of_pairs(conn, filters)
    within = within_days(pair_days.c.day, filters.start, filters.end)
    return [pair_days.c.judge == filters.judge, *_of_keys(alike, dict(pair_days.c)), *within]


def _of_pairs(conn: Connection, filters: Filters) -> Filters:
    if filters.judge == RULES:
        raise ValueError("name the model that the rules are compared with as the judge")
    return replace(settled(conn, filters), verdicts=(), risk_modes=(), traded=None, horizons=())


def within_days(time: Expression, start: date | None, end: date | None) -> list[Expression]:
    conditions: list[Expression] = []
    if start is not None:
        conditions.append(time >= midnight(start))
    if end is not None:
        conditions.append(time < midnight(end) + DAY_LONG)
    return conditions


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def length_of(horizon: str) -> timedelta:
    length: timedelta = pd.Timedelta(horizon).to_pytimedelta()
    return length
