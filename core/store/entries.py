"""Entries of the ledger with the rows they stand for, as they are stored now, in batches.

A row's text is held to the one form in which it was written: another spelling of the same value is a
change too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Table,
    Text,
    and_,
    case,
    cast,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import NullType

from core.store import contents
from core.store.contents import OUTCOME, SIGNAL, VERDICT, Type
from core.store.database import dump_json
from core.store.reading import read_columns
from core.store.tables import ledger, measurements, outcomes, signals, verdicts

BATCH = 4_000
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}")
_KIND = re.compile(f"{SIGNAL}|{VERDICT}|{OUTCOME}[0-9]+[a-z]")
_RECORDED_AT: Mapping[str, Type] = {"recorded_at": "time"}
_TYPES: Mapping[Type, frozenset[type]] = {
    "float": frozenset({float, type(None)}),
    "integer": frozenset({int, type(None)}),
    "flag": frozenset({bool, int}),
    "text": frozenset({str, type(None)}),
    "time": frozenset({str, type(None)}),
    "json": frozenset({str, type(None)}),
}


@dataclass(frozen=True)
class Entry:
    """An entry as it is stored, and the content of its row as that is stored now.

    Where there is no content, ``fault`` says why. ``measured`` is what a signal was made from, whose
    hash its content has.
    """

    position: int
    kind: str
    row_id: int
    hash: Any
    content: bytes | None
    fault: str | None
    measured: bytes | None = None


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees the record as it is now, whatever is added meanwhile."""
    if engine.dialect.name == "postgresql":
        still = engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with still as conn:
            yield conn
        return
    with engine.connect() as conn:
        driver: Any = conn.connection.driver_connection
        # Bytes that are no text must be seen to be told.
        driver.text_factory = _decode
        try:
            conn.exec_driver_sql("BEGIN")
            yield conn
        finally:
            driver.text_factory = str


def _decode(stored: bytes) -> str:
    return stored.decode(errors="surrogateescape")


def read_entries(conn: Connection, after: int = 0) -> Iterator[list[Entry]]:
    """Every entry behind a position, in batches."""
    while batch := _read_batch(conn, after):
        yield batch
        after = batch[-1].position


def read_some(conn: Connection, after: int, limit: int) -> list[Entry]:
    """Up to ``limit`` entries behind a position."""
    return _read_batch(conn, after, limit)


def _read_batch(conn: Connection, after: int, limit: int = BATCH) -> list[Entry]:
    found = conn.execute(
        select(
            ledger.c.position,
            type_coerce(ledger.c.kind, NullType()),
            type_coerce(ledger.c.row_id, NullType()),
            type_coerce(ledger.c.hash, NullType()),
        )
        .where(ledger.c.position > after)
        .order_by(ledger.c.position)
        .limit(limit)
    ).all()
    if not found:
        return []
    rows: dict[int, _Row] = {}
    between = (ledger.c.position > after, ledger.c.position <= found[-1][0])
    for kind in filter(_is_kind, {kind for _, kind, _, _ in found}):
        rows |= _contents(conn, kind, _query(conn, kind).where(*between))
    return [
        _entry(position, kind, row_id, hash_, rows.get(position, _MISSING))
        for position, kind, row_id, hash_ in found
    ]


@dataclass(frozen=True)
class _Row:
    content: bytes | None
    measured: bytes | None = None
    fault: str | None = None


_MISSING = _Row(None, fault="its row is missing")


def _entry(position: int, kind: Any, row_id: Any, hash_: Any, row: _Row) -> Entry:
    fault = row.fault if _is_kind(kind) else "there is no such kind of entry"
    content = None if fault else row.content
    return Entry(position, kind, row_id, hash_, content, fault, row.measured)


def _is_kind(kind: Any) -> bool:
    return isinstance(kind, str) and _KIND.fullmatch(kind) is not None


def _query(conn: Connection, kind: str) -> Select[Any]:
    """Position, and every column of the row, for entries of a kind that have their row."""
    start = select(ledger.c.position).where(ledger.c.kind == kind)
    if kind == SIGNAL:
        measured = and_(
            measurements.c.symbol == signals.c.symbol,
            measurements.c.time == signals.c.time,
            measurements.c.digest == signals.c.measurement,
        )
        types = {**_RECORDED_AT, **contents.MEASURED_TYPES}
        return (
            start.add_columns(
                *_raw(conn, signals, contents.SIGNAL_TYPES),
                *_raw(conn, measurements, types, "measured "),
                measurements.c.digest.is_not(None).label("has_measurement"),
            )
            .join_from(ledger, signals, signals.c.id == ledger.c.row_id)
            .outerjoin(measurements, measured)
        )
    if kind == VERDICT:
        return start.add_columns(*_raw(conn, verdicts, contents.VERDICT_TYPES)).join_from(
            ledger, verdicts, verdicts.c.id == ledger.c.row_id
        )
    horizon = kind.removeprefix(OUTCOME)
    on = and_(outcomes.c.signal_id == ledger.c.row_id, outcomes.c.horizon == horizon)
    columns = _raw(conn, outcomes, contents.OUTCOME_TYPES)
    return start.add_columns(*columns).join_from(ledger, outcomes, on)


def _raw(
    conn: Connection, table: Table, types: Mapping[str, Type], prefix: str = ""
) -> list[ColumnElement[Any]]:
    """Columns as they are stored: JSON and times as text."""
    return [
        _stored(conn, table.c[name], kind).label(f"{prefix}{name}") for name, kind in types.items()
    ]


def _stored(conn: Connection, column: ColumnElement[Any], kind: Type) -> ColumnElement[Any]:
    if conn.dialect.name == "postgresql" and kind == "json":
        return cast(column, Text)
    if conn.dialect.name == "postgresql" and kind == "time":
        told = func.to_char(func.timezone("UTC", column), "YYYY-MM-DD HH24:MI:SS.US")
        # Four digits cannot tell a year before Christ from another.
        return case((column >= literal_column("'0001-01-01Z'::timestamptz"), told))
    return type_coerce(column, NullType())


def _contents(conn: Connection, kind: str, query: Select[Any]) -> dict[int, _Row]:
    """By position the content of the row, or what is wrong with it."""
    columns = read_columns(conn, query)
    positions = columns.pop("position")
    measured: Sequence[bytes | None] = [None] * len(positions)
    if kind == SIGNAL:
        dumped, measured, odd = _signal_contents(columns)
    else:
        types = contents.VERDICT_TYPES if kind == VERDICT else contents.OUTCOME_TYPES
        plain, odd = _held_to_form(columns, types)
        dumped = [_dump(row) for row in contents.rows_of(plain)]
    return {
        position: _Row(dumped[at], measured[at], odd.get(at))
        for at, position in enumerate(positions)
    }


def _signal_contents(
    columns: dict[str, list[Any]],
) -> tuple[list[bytes], list[bytes], dict[int, str]]:
    stored, odd = _held_to_form(columns, contents.SIGNAL_TYPES)
    of_measured = {
        name.removeprefix("measured "): values
        for name, values in columns.items()
        if name.startswith("measured ")
    }
    plain, odd_measured = _held_to_form(of_measured, contents.MEASURED_TYPES)
    at, odd_at = _held_to_form(of_measured, _RECORDED_AT)
    measured = [_dump(row) for row in contents.rows_of(plain)]
    stored["measured"] = [contents.measured_hash(content) for content in measured]
    stored["measured_at"] = at["recorded_at"]
    odd |= {row: f"its measurement: {fault}" for row, fault in (odd_measured | odd_at).items()}
    for row, has in enumerate(columns["has_measurement"]):
        if not has:
            odd[row] = "the row of measurements that it was made from is missing"
    dumped = [_dump(row) for row in contents.rows_of(dict(sorted(stored.items())))]
    return dumped, measured, odd


def _dump(row: dict[str, Any]) -> bytes:
    try:
        return contents.dump_sorted(row)
    except (TypeError, orjson.JSONEncodeError):
        return b""  # It holds what no content can; `_held_to_form` has said so.


def _held_to_form(
    columns: Mapping[str, list[Any]], types: Mapping[str, Type]
) -> tuple[dict[str, Sequence[Any]], dict[int, str]]:
    """The columns as contents have them, and which rows are not written as we write."""
    plain: dict[str, Sequence[Any]] = {}
    odd: dict[int, str] = {}
    for name, kind in types.items():
        values = columns[name]
        if not set(map(type, values)) <= _TYPES[kind] or not _CHECKS[kind](values):
            for row, value in enumerate(values):
                if type(value) not in _TYPES[kind] or not _CHECKS[kind]([value]):
                    odd.setdefault(row, f"its {name} is not in the form in which it was stored")
        plain[name] = _as_content(values, kind)
    return plain, odd


def _as_content(values: list[Any], kind: Type) -> Sequence[Any]:
    if kind == "flag":
        return [bool(value) for value in values]
    if kind == "time":
        return [contents.iso(value) if isinstance(value, str) else None for value in values]
    if kind == "json":
        return [orjson.Fragment(value) if isinstance(value, str) else None for value in values]
    return values


def _finite(values: list[float | None]) -> bool:
    known = len(values) - values.count(None)
    return bool(np.isfinite(np.array(values, dtype=np.float64)).sum() == known)


def _flags(values: list[Any]) -> bool:
    return set(values) <= {0, 1}


def _encodable(values: list[str | None]) -> bool:
    try:
        "".join(filter(None, values)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _times(values: list[str | None]) -> bool:
    return all(value is None or _TIME.fullmatch(value) for value in set(values))


def _canonical(values: list[str | None]) -> bool:
    return all(value is None or _is_canonical(value) for value in values)


@lru_cache(maxsize=20_000)
def _is_canonical(text: str) -> bool:
    try:
        # Of a null nobody could tell whether it was stored or is missing.
        return dump_json(orjson.loads(text)) == text != "null"
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, UnicodeEncodeError):
        return False


_CHECKS: Mapping[Type, Callable[[list[Any]], bool]] = {
    "float": _finite,
    "integer": lambda _: True,
    "flag": _flags,
    "text": _encodable,
    "time": _times,
    "json": _canonical,
}
