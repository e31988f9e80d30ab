"""Databases with a row in every table, of whatever schema they are, and all that a database holds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    inspect,
    select,
    text,
)

AT = datetime(2025, 10, 1, 12, tzinfo=UTC)
# What cannot be made up of the types: a verdict that was none, so that nothing has to follow from it.
_GIVEN: dict[str, dict[str, Any]] = {
    "verdicts": {
        "state": "lost",
        "reasons": [],
        **dict.fromkeys(("verdict", "risk_mode", "multiplier", "shared_with", "raw_reply")),
    },
}
# Made of other rows by the product itself.
_DERIVED = ("alembic_version", "ledger")

Rows = dict[str, list[dict[str, Any]]]


def reflected(engine: Engine) -> MetaData:
    """The tables as they are, in the order in which they can be filled; looked up once by schema."""
    with engine.connect() as conn:
        if not inspect(conn).has_table("alembic_version"):
            return MetaData()
        schema = engine.dialect.name, conn.scalar(text("SELECT version_num FROM alembic_version"))
        if schema not in _KNOWN:
            _KNOWN[schema] = MetaData()
            _KNOWN[schema].reflect(conn)
    return _KNOWN[schema]


_KNOWN: dict[tuple[str, str], MetaData] = {}


def fill_what_is_empty(
    engine: Engine, tables: MetaData | None = None, leave: Collection[str] = ()
) -> set[str]:
    """Put a row into every table that has none; the names of those."""
    tables = tables or reflected(engine)
    filled = set()
    with engine.begin() as conn:
        for table in tables.sorted_tables:
            if table.name in (*_DERIVED, *leave) or conn.execute(select(table).limit(1)).first():
                continue
            conn.execute(table.insert(), [_row(conn, table)])
            filled.add(table.name)
    return filled


def contents(engine: Engine, leave_out: Iterable[str] = (), tables: MetaData | None = None) -> Rows:
    """Every row of every table, in an order that is the same on every copy."""
    tables = tables or reflected(engine)
    with engine.connect() as conn:
        return {
            table.name: [
                {name: _plain(value) for name, value in row.items()}
                for row in conn.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
            for table in tables.sorted_tables
            if table.name not in leave_out
        }


def in_common(one: Rows, other: Rows) -> tuple[Rows, Rows]:
    """The two, without tables and columns that only one of them has."""
    return _only(one, other), _only(other, one)


def _only(rows: Rows, like: Rows) -> Rows:
    found: Rows = {}
    for table in set(rows) & set(like) - set(_DERIVED):
        names = set(rows[table][0]) & set(like[table][0]) if rows[table] and like[table] else set()
        found[table] = [{name: row[name] for name in names} for row in rows[table]]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _row(conn: Connection, table: Table) -> dict[str, Any]:
    row = {column.name: _value(conn, column) for column in table.c if not _counts(column)}
    for key in inspect(conn).get_foreign_keys(table.name):
        pointed = Table(key["referred_table"], MetaData(), autoload_with=conn)
        target = conn.execute(select(*(pointed.c[n] for n in key["referred_columns"]))).first()
        assert target is not None, f"{table.name} points to {pointed.name}, which is empty"
        row |= dict(zip(key["constrained_columns"], target, strict=True))
    return row | _GIVEN.get(table.name, {})


def _counts(column: Column[Any]) -> bool:
    """Whether the database gives the number itself."""
    return column.name == "id" and column.primary_key and isinstance(column.type, Integer)


def _value(conn: Connection, column: Column[Any]) -> Any:
    kind = column.type
    if isinstance(kind, DateTime):
        return AT.replace(tzinfo=None) if conn.dialect.name == "sqlite" else AT
    if isinstance(kind, JSON):
        return {"a": [1, "x"]}
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, LargeBinary):
        return bytes(range(32))
    if isinstance(kind, Float):
        return 1.5
    if isinstance(kind, Integer):
        return 1
    return _allowed(conn, column) or column.name[: getattr(kind, "length", None) or 64]


def _allowed(conn: Connection, column: Column[Any]) -> str | None:
    """The first of the words that a check of the database names for a column."""
    for check in inspect(conn).get_check_constraints(column.table.name):
        told = check["sqltext"]
        if re.search(rf"\b{column.name}\b", told) and (found := re.search("'([^']+)'", told)):
            return found[1]
    return None
