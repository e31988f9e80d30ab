"""Reading many rows at once, column by column."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import ARRAY, Connection, Result, Select, Table, Text, any_, literal, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType


def raw(table: Table, *names: str) -> list[ColumnElement[Any]]:
    """Columns as the driver gives them: converting whole columns later is faster than each value."""
    return [type_coerce(table.c[name], NullType()).label(name) for name in names]


class Instant(FunctionElement[Any]):
    """A time as `moments` is told it fastest: microseconds since 1970, or SQLite's own text."""

    name, inherit_cache = "instant", True
    type = NullType()


@compiles(Instant)
def _as_it_is(element: Instant, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


@compiles(Instant, "postgresql")
def _microseconds(element: Instant, compiler: Any, **kwargs: Any) -> str:
    inner = compiler.process(element.clauses, **kwargs)
    return f"CAST(EXTRACT(EPOCH FROM {inner}) * 1000000 AS BIGINT)"


def instants(table: Table, *names: str) -> list[ColumnElement[Any]]:
    """Columns of times, never empty ones, of many rows."""
    return [Instant(type_coerce(table.c[name], NullType())).label(name) for name in names]


def among(
    conn: Connection, column: ColumnElement[str], values: Collection[str]
) -> ColumnElement[bool]:
    """Whether a word is one of many: in PostgreSQL as one parameter, as hundreds take their time."""
    words_ = sorted(values)
    if conn.dialect.name == "sqlite":
        return column.in_(words_)
    return column == any_(literal(words_, ARRAY(Text)))


def between(
    query: Select[Any], table: Table, start: datetime | None, end: datetime | None
) -> Select[Any]:
    """``query`` held to rows of ``table`` from ``start`` to ``end``, both included."""
    if start is not None:
        query = query.where(table.c.time >= start)
    return query if end is None else query.where(table.c.time <= end)


def read_columns(conn: Connection, query: Select[Any]) -> dict[str, list[Any]]:
    """The result by column name."""
    return columns_of(conn.execute(query))


def columns_of(result: Result[Any]) -> dict[str, list[Any]]:
    """A result by column name."""
    names = list(result.keys())
    found = [list(column) for column in zip(*result.fetchall(), strict=True)]
    return dict(zip(names, found or [[] for _ in names], strict=True))


def numbers(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """Numbers, NaN for None."""
    return np.array(values, dtype=np.float64)


def flags(values: Sequence[bool | int]) -> npt.NDArray[np.bool_]:
    return np.array(values, dtype=bool)


def words(values: Sequence[Any]) -> pd.Series:
    """Anything that is not a number, None where missing; pandas must not guess a type for it."""
    return pd.Series(list(values), dtype=object)


def moments(values: list[Any], name: str) -> pd.DatetimeIndex:
    """Times as the driver gives them, text from SQLite, or `instants`, as an index in UTC."""
    if values and isinstance(values[0], int):
        counted = np.array(values, dtype=np.int64).view("datetime64[us]")
        return pd.DatetimeIndex(counted, tz="UTC", name=name)
    if values and isinstance(values[0], str):
        plain = np.array(values, dtype="datetime64[us]")
        return pd.DatetimeIndex(plain, tz="UTC", name=name)
    return pd.DatetimeIndex(pd.to_datetime(values, utc=True), name=name).as_unit("us")


def gather(rows: Sequence[Mapping[str, float]], name: str) -> npt.NDArray[np.float64]:
    """One number out of every row, NaN where it is not there."""
    return numbers([row.get(name) for row in rows])
