"""Putting many rows into a table at once: new ones only, or in the place of those that are there."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import JSON, Connection, Engine, Table
from sqlalchemy.exc import IntegrityError

from core.errors import StoreError
from core.store.database import UtcDateTime, dump_json

Values = Sequence[Any]


def insert_new(
    conn: Connection, table: Table, columns: Mapping[str, Values], fill: Sequence[str] = ()
) -> int:
    """Insert rows given by column, skip those whose key is there; how many were new.

    Of a row that is there, columns named in ``fill`` that are still empty are filled in; it counts
    as new then. Values are as the driver takes them: see `times`, `floats` and `texts`. Keys should
    come sorted, so that two writers of the same rows wait for each other instead of locking up;
    with ``fill`` each key may come once.
    """
    return _put(conn, table, columns, _on_conflict(table, fill))


def replace_rows(
    conn: Connection, table: Table, columns: Mapping[str, Values], kept: Collection[str] = ()
) -> int:
    """Insert rows given by column, in the place of those with the same primary key; how many.

    An empty value leaves what was in a column named in ``kept``. Each key may come once.
    """
    keys = [column.name for column in table.primary_key]
    pairs = [
        f'"{name}" = COALESCE(excluded."{name}", {table.name}."{name}")'
        if name in kept
        else f'"{name}" = excluded."{name}"'
        for name in columns
        if name not in keys
    ]
    return _put(
        conn, table, columns, f"ON CONFLICT ({_quoted(keys)}) DO UPDATE SET {', '.join(pairs)}"
    )


def columns_of(
    conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Values]:
    """Rows by column, with values as the driver takes them; every row has the columns of the first."""
    names = rows[0] if rows else ()
    return as_taken(conn, table, {name: [row[name] for row in rows] for name in names})


def as_taken(conn: Connection, table: Table, columns: Mapping[str, Values]) -> dict[str, Values]:
    """Columns of a table with values as the driver takes them."""
    found: dict[str, Values] = {}
    for name, values in columns.items():
        kind = table.c[name].type
        if isinstance(kind, UtcDateTime):
            found[name] = _moments(conn, values)
        elif isinstance(kind, JSON):
            found[name] = [None if value is None else dump_json(value) for value in values]
        else:
            found[name] = values
    return found


def _moments(conn: Connection, values: Sequence[datetime | None]) -> list[str | None]:
    """As `times` writes them; there are few that differ."""
    written: dict[datetime | None, str | None] = {None: None}
    for value in set(values) - {None}:
        written[value] = _moment(conn, value)
    return [written[value] for value in values]


def _moment(conn: Connection, value: datetime | None) -> str:
    if value is None or value.tzinfo is None:
        raise StoreError("These times have no time zone; store times in UTC.")
    text = value.astimezone(UTC).isoformat(" ", "microseconds")
    return text.removesuffix("+00:00") if conn.dialect.name == "sqlite" else text


def _put(conn: Connection, table: Table, columns: Mapping[str, Values], on_conflict: str) -> int:
    rows = list(zip(*columns.values(), strict=True))
    if not rows:
        return 0
    if conn.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        return conn.exec_driver_sql(
            f"INSERT INTO {table.name} ({_quoted(columns)}) VALUES ({marks}) {on_conflict}", rows
        ).rowcount
    return _copy(conn, table.name, _quoted(columns), rows, on_conflict)


def insert_all(conn: Connection, table: Table, columns: Mapping[str, Values]) -> int:
    """`insert_new` for rows of which none may be there; `StoreError` where one is."""
    count = len(next(iter(columns.values())))
    try:
        new = insert_new(conn, table, columns)
    except IntegrityError as error:
        if "only ever added" not in str(error.orig):
            raise
        new = None
    if new != count:
        raise StoreError(
            f"A row of {table.name} was there before it was stored: something else writes the record."
        )
    return count


def _on_conflict(table: Table, fill: Sequence[str]) -> str:
    if not fill:
        return "ON CONFLICT DO NOTHING"
    pairs = [(f'{table.name}."{name}"', f'excluded."{name}"') for name in fill]
    filled = ", ".join(
        f'"{name}" = COALESCE({held}, {given})'
        for name, (held, given) in zip(fill, pairs, strict=True)
    )
    lacking = " OR ".join(f"({held} IS NULL AND {given} IS NOT NULL)" for held, given in pairs)
    keys = _quoted(column.name for column in table.primary_key)
    return f"ON CONFLICT ({keys}) DO UPDATE SET {filled} WHERE {lacking}"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _copy(
    conn: Connection, table: str, quoted: str, rows: Sequence[Values], on_conflict: str
) -> int:
    """COPY knows no ON CONFLICT, so rows go through a table of the connection's own.

    To make one takes as long as to insert a hundred rows, so it stays, empty once the transaction is over.
    """
    incoming = f"incoming_{zlib.crc32(quoted.encode()):08x}_{table}"
    conn.exec_driver_sql(
        f"CREATE TEMP TABLE IF NOT EXISTS {incoming} ON COMMIT DELETE ROWS AS "
        f"SELECT {quoted} FROM {table} WITH NO DATA; DELETE FROM pg_temp.{incoming}"
    )
    driver: Any = conn.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY pg_temp.{incoming} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    return conn.exec_driver_sql(
        f"INSERT INTO {table} ({quoted}) SELECT {quoted} FROM pg_temp.{incoming} {on_conflict}"
    ).rowcount


def times(bind: Connection | Engine, values: pd.Index) -> list[str]:
    """Aware times as text that either driver takes for a `UtcDateTime`, to the microsecond."""
    index = pd.DatetimeIndex(values)
    if index.tz is None:
        raise StoreError("These times have no time zone; store times in UTC.")
    codes, unique = pd.factorize(index.tz_convert("UTC").as_unit("us").asi8)
    text = np.datetime_as_string(np.asarray(unique, dtype="datetime64[us]"), unit="us")
    zone = "" if bind.dialect.name == "sqlite" else "+00:00"
    written = np.array(
        [f"{value.replace('T', ' ')}{zone}" for value in text.tolist()], dtype=object
    )
    result: list[str] = written[codes].tolist()
    return result


def floats(values: npt.ArrayLike, name: str) -> list[float | None]:
    """Numbers, with None for NaN; an infinite one is refused.

    Minus zero becomes zero, as SQLite makes of it in any case.
    """
    array = np.asarray(values, dtype=np.float64) + 0.0
    missing = np.isnan(array)
    if np.isinf(array).any():
        raise StoreError(f"Column {name} holds an infinite number, which cannot be stored.")
    boxed = array.astype(object)
    boxed[missing] = None
    result: list[float | None] = boxed.tolist()
    return result


def texts(values: pd.Series) -> list[str | None]:
    """Words, with None for a missing one."""
    boxed = values.astype(object).to_numpy(copy=True)
    boxed[pd.isna(boxed)] = None
    result: list[str | None] = boxed.tolist()
    return result


def number_objects(frame: pd.DataFrame) -> list[dict[str, float]]:
    """For every row the numbers that are not NaN, by column name, in the order of the columns.

    >>> number_objects(pd.DataFrame({"a": [1.0, np.nan], "b": [2.0, 3.0]}))
    [{'a': 1.0, 'b': 2.0}, {'b': 3.0}]
    """
    array = frame.to_numpy(dtype=np.float64)
    if np.isinf(array).any():
        name = frame.columns[np.isinf(array).any(axis=0)][0]
        raise StoreError(f"Column {name} holds an infinite number, which cannot be stored.")
    present = ~np.isnan(array)
    result: list[dict[str, float]] = [{}] * len(array)
    # Rows with the same columns present are handled together; there are few such patterns.
    patterns, pattern_of = _patterns(present)
    for number, pattern in enumerate(patterns):
        rows = np.flatnonzero(pattern_of == number)
        names = frame.columns[pattern].tolist()
        for row, values in zip(rows.tolist(), array[np.ix_(rows, pattern)].tolist(), strict=True):
            result[row] = dict(zip(names, values, strict=True))
    return result


def _patterns(
    present: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    packed = np.packbits(present, axis=1)
    keys = np.ascontiguousarray(packed).view([("", packed.dtype)] * packed.shape[1]).reshape(-1)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return present[first], inverse
