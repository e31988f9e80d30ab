"""The states of one rule over many symbols, as one array, and as plain rows for a database.

Times are int64 microseconds since 1970 in UTC inside, aware datetimes in rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from core.alerts.kernels import TRUE, UNKNOWN

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

# Beside FALSE, UNKNOWN and TRUE of the language: the rule could not be evaluated.
ERROR_TRUTH = 3

INACTIVE, PENDING, FIRING, RECOVERING = 0, 1, 2, 3
PHASES: tuple[str, ...] = ("inactive", "pending", "firing", "recovering")
OK, NO_DATA, ERROR = 0, 1, 2
HEALTHS: tuple[str, ...] = ("ok", "no_data", "error")
# What a true condition waits for before it fires, beside having held for long enough.
NOTHING, WAITS_COOLDOWN, WAITS_HOURS, WAITS_REARM = 0, 1, 2, 3
WAITS: tuple[str, ...] = ("", "cooldown", "active_hours", "rearm")

NONE = int(np.iinfo(np.int64).min)

FIELDS: tuple[str, ...] = (
    "phase",
    "health",
    "waits",
    "last",  # the last known truth, UNKNOWN before the first
    "armed",  # whether a true condition may fire: it was false for long enough since the last time
    "run_lost",  # how much of the present run of equal truth was not seen, microseconds
    "seen_at",  # the newest bar that was stepped
    "unknown_since",  # the first bar of the present gap
    "run_since",  # the first bar of the present run of equal known truth
    "began_at",  # when the condition became true of the present or last pending or firing
    "fired_at",  # when the present or last firing fired
    "ended_at",  # when the last firing ended
    "told_at",  # when the present firing was last told; none while nobody was told of it
    "acknowledged_at",
)
(
    PHASE,
    HEALTH,
    WAIT,
    LAST,
    ARMED,
    RUN_LOST,
    SEEN_AT,
    UNKNOWN_SINCE,
    RUN_SINCE,
    BEGAN_AT,
    FIRED_AT,
    ENDED_AT,
    TOLD_AT,
    ACKNOWLEDGED_AT,
) = range(len(FIELDS))
_NAMED: dict[int, tuple[str, ...]] = {PHASE: PHASES, HEALTH: HEALTHS, WAIT: WAITS}
_NAMED[LAST] = ("false", "unknown", "true")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def to_us(at: datetime) -> int:
    """Microseconds since 1970 of an aware moment; raises ValueError for one without a zone."""
    if at.utcoffset() is None:
        raise ValueError(f"{at} has no time zone")
    return (at - _EPOCH) // _US


def to_moment(us: int) -> datetime | None:
    """The aware UTC moment; None of `NONE`.

    >>> to_moment(to_us(datetime(2025, 10, 1, 12, tzinfo=UTC))).isoformat()
    '2025-10-01T12:00:00+00:00'
    """
    return None if us == NONE else _EPOCH + int(us) * _US


@dataclass(frozen=True, eq=False)
class States:
    """One state per symbol: ``table`` has a row per field of `FIELDS` and a column per symbol."""

    symbols: tuple[str, ...]
    table: Ints

    def __post_init__(self) -> None:
        if self.table.shape != (len(FIELDS), len(self.symbols)):
            raise ValueError(f"{len(self.symbols)} symbols need a table of their width")

    def __len__(self) -> int:
        return len(self.symbols)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, States):
            return NotImplemented
        return self.symbols == other.symbols and bool(np.array_equal(self.table, other.table))

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def places(self) -> dict[str, int]:
        """The column of each symbol."""
        return {symbol: place for place, symbol in enumerate(self.symbols)}

    def in_phase(self, *phases: int) -> tuple[str, ...]:
        """The symbols that are in one of these phases."""
        phase = self.table[PHASE]
        return self._where(np.logical_or.reduce([phase == one for one in phases]))

    def without_health(self, health: int) -> tuple[str, ...]:
        """The symbols whose health is another."""
        return self._where(self.table[HEALTH] != health)

    def _where(self, which: Bools) -> tuple[str, ...]:
        return tuple(self.symbols[place] for place in np.flatnonzero(which).tolist())

    def take(self, symbols: Iterable[str]) -> States:
        """The states of these symbols, which it must have."""
        chosen = tuple(symbols)
        return States(chosen, self.table[:, [self.places[symbol] for symbol in chosen]])

    def with_symbols(self, symbols: Iterable[str], *, seen_at: datetime | None = None) -> States:
        """These symbols in their order: the states it has, and fresh ones of the others."""
        chosen = tuple(symbols)
        if chosen == self.symbols:
            return self
        found = fresh(chosen, seen_at=seen_at)
        for place, symbol in enumerate(chosen):
            if symbol in self.places:
                found.table[:, place] = self.table[:, self.places[symbol]]
        return found


def fresh(symbols: Sequence[str], *, seen_at: datetime | None = None) -> States:
    """States of symbols that were never stepped; bars up to ``seen_at`` will be ignored."""
    table = blank(len(symbols))
    table[SEEN_AT] = NONE if seen_at is None else to_us(seen_at)
    return States(tuple(symbols), table)


def blank(width: int) -> Ints:
    """The table of so many symbols that were never stepped."""
    table = np.full((len(FIELDS), width), NONE, dtype=np.int64)
    table[[PHASE, HEALTH, WAIT, RUN_LOST]] = 0
    table[LAST], table[ARMED] = UNKNOWN, 1
    return table


def changed(states: States, since: States | None) -> Places:
    """The places of the symbols that would go on otherwise than from ``since``, the newest bar aside: what
    has to be written after a step. All for None.
    """
    if since is None:
        return np.arange(len(states))
    before = since.with_symbols(states.symbols).table
    differs = states.table != before
    differs[SEEN_AT] = False
    # A run of false before nothing waits is as good as none.
    differs[[LAST, RUN_SINCE, RUN_LOST]] &= ~(_quiet(states.table) & _quiet(before))
    return np.flatnonzero(differs.any(axis=0))


def _quiet(table: Ints) -> Bools:
    found: Bools = (table[PHASE] == INACTIVE) & (table[ARMED] == 1) & (table[LAST] != TRUE)
    return found


def to_columns(states: States, places: Places) -> dict[str, list[Any]]:
    """The states at these places by column: texts, a bool, seconds, and aware UTC times or None.

    `from_rows` is the inverse, by row.
    """
    columns: dict[str, list[Any]] = {"symbol": [states.symbols[place] for place in places.tolist()]}
    for field, (name, values) in enumerate(zip(FIELDS, states.table[:, places], strict=True)):
        if field in _NAMED:
            words = _NAMED[field]
            columns[name] = [words[value] for value in values.tolist()]
        elif field == ARMED:
            columns[name] = (values != 0).tolist()
        elif field == RUN_LOST:
            columns[f"{name}_s"] = (values / 1e6).tolist()
        else:
            # There are few that differ.
            moments = {us: to_moment(us) for us in set(values.tolist())}
            columns[name] = [moments[us] for us in values.tolist()]
    return columns


def from_rows(
    rows: Iterable[Mapping[str, Any]],
    symbols: Sequence[str] | None = None,
    *,
    seen_at: datetime | None = None,
) -> States:
    """States from rows of `to_columns`, of these symbols or of those that have rows.

    A symbol without a row is fresh; no state is taken to be older than ``seen_at``, the newest bar
    of the rule.
    """
    by_symbol = {str(row["symbol"]): row for row in rows}
    states = fresh(tuple(by_symbol if symbols is None else symbols), seen_at=seen_at)
    floor = NONE if seen_at is None else to_us(seen_at)
    for place, symbol in enumerate(states.symbols):
        if symbol in by_symbol:
            states.table[:, place] = _values(by_symbol[symbol])
    np.maximum(states.table[SEEN_AT], floor, out=states.table[SEEN_AT])
    return states


def _values(row: Mapping[str, Any]) -> list[int]:
    found = []
    for field, name in enumerate(FIELDS):
        if field in _NAMED:
            found.append(_NAMED[field].index(row[name]))
        elif field == ARMED:
            found.append(int(row[name]))
        elif field == RUN_LOST:
            found.append(round(row["run_lost_s"] * 1e6))
        else:
            found.append(NONE if row[name] is None else to_us(row[name]))
    return found
