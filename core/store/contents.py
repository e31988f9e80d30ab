"""What the ledger says of a row: the canonical JSON of everything that was stored of it.

Equal on both databases: times as ISO text with microseconds and Z, floats as floats, integers as
integers, what is missing as null, JSON columns as the JSON they hold. What names the row, its id or
that of its signal, stands in the entry beside the content. In that of a signal, `measured` is the
SHA-256 of the canonical JSON of what it was made from, and `measured_at` when that was recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import compress
from typing import Any, Literal

import orjson
from sqlalchemy import JSON, Boolean, Column, Float, Integer, Table

from core.store.database import UtcDateTime, dump_json
from core.store.tables import measurements, outcomes, signals, verdicts

Type = Literal["float", "integer", "flag", "text", "time", "json"]

SIGNAL, VERDICT = "signal", "verdict"
OUTCOME = "outcome "  # and the horizon


def types_of(table: Table, *left_out: str) -> dict[str, Type]:
    """The columns of a table that are part of a content, sorted by name."""
    return {
        str(column.name): _type(column)
        for column in sorted(table.c, key=lambda column: str(column.name))
        if column.name not in left_out
    }


def _type(column: Column[Any]) -> Type:
    kinds: tuple[tuple[type, Type], ...] = (
        (Float, "float"),
        (Boolean, "flag"),
        (Integer, "integer"),
        (UtcDateTime, "time"),
        (JSON, "json"),
    )
    return next((name for kind, name in kinds if isinstance(column.type, kind)), "text")


SIGNAL_TYPES = types_of(signals, "id")
# What a measurement has in common with its signal is left out, and when it was recorded stands
# beside it: another mode may have stored it before.
MEASURED_TYPES = types_of(measurements, "symbol", "time", "digest", "recorded_at")
OUTCOME_TYPES = types_of(outcomes, "signal_id")
VERDICT_TYPES = types_of(verdicts, "id")


def measured_contents(columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
    """Of rows of `tables.measurements` by column, as `core.store.rows` makes them ready."""
    return [dump_sorted(row) for row in _objects(columns, MEASURED_TYPES)]


def measured_hash(content: bytes) -> str:
    """What stands in the content of a signal for that of its measurement."""
    return hashlib.sha256(content).hexdigest()


def measured_hashes(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """`measured_hash` of rows of `tables.measurements`; modes of the same windows share them."""
    digests = columns["digest"]
    found = {digest: known for digest in digests if (known := _hashes.get(digest)) is not None}
    lacking = [digest not in found for digest in digests]
    if any(lacking):
        part = {name: list(compress(columns[name], lacking)) for name in MEASURED_TYPES}
        hashes = map(measured_hash, measured_contents(part))
        new = dict(zip(compress(digests, lacking), hashes, strict=True))
        found |= new
        if len(_hashes) > _MOST_HASHES:
            _hashes.clear()
        _hashes.update(new)
    return [found[digest] for digest in digests]


# By digest, which is over all that a measurement holds; about 200 bytes each.
_hashes: dict[str, str] = {}
_MOST_HASHES = 100_000


def signal_contents(
    columns: Mapping[str, Sequence[Any]],
    measured: Sequence[str],
    measured_at: Sequence[str | datetime],
) -> list[bytes]:
    """Of rows of `tables.signals` by column, as `core.store.rows` makes them ready.

    Each with the `measured_hash` of its measurement, and when that was recorded as a driver has it.
    """
    with_measured = {
        **{name: _as_json(columns[name], kind) for name, kind in SIGNAL_TYPES.items()},
        "measured": measured,
        "measured_at": [iso(at) for at in measured_at],
    }
    return [dump_sorted(row) for row in rows_of(dict(sorted(with_measured.items())))]


def outcome_contents(columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
    """Of rows of `tables.outcomes` by column, as they are inserted."""
    return [dump_sorted(row) for row in _objects(columns, OUTCOME_TYPES)]


def verdict_content(row: Mapping[str, Any]) -> bytes:
    """Of one row of `tables.verdicts` as it is given to SQLAlchemy; what is not named is missing.

    >>> verdict_content({"signal_id": 7, "multiplier": 1})[-61:].decode()
    '"signal_id":7,"state":null,"temperature":null,"verdict":null}'
    """
    content = {name: _plain(row.get(name), kind) for name, kind in VERDICT_TYPES.items()}
    return dump_json(content).encode()


def _plain(value: Any, kind: Type) -> Any:
    if value is None or kind not in ("float", "time"):
        return value
    if kind == "float":
        return float(value) + 0.0
    return utc_text(value)


def utc_text(value: datetime) -> str:
    """An aware time as a content has it.

    >>> utc_text(datetime(2025, 10, 1, 12, tzinfo=UTC))
    '2025-10-01T12:00:00.000000Z'
    """
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _objects(
    columns: Mapping[str, Sequence[Any]], types: Mapping[str, Type]
) -> Iterator[dict[str, Any]]:
    return rows_of({name: _as_json(columns[name], kind) for name, kind in types.items()})


def rows_of(columns: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    names = tuple(columns)
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(names, row, strict=True))


def dump_sorted(row: dict[str, Any]) -> bytes:
    """`dump_json` of what is in order already: there are many of these."""
    return orjson.dumps(row)


def _as_json(values: Sequence[Any], kind: Type) -> Sequence[Any]:
    if kind == "time":
        return [iso(at) for at in values]
    if kind == "json":
        return [None if text is None else orjson.Fragment(text) for text in values]
    return values


@lru_cache(maxsize=4096)
def iso(at: str | datetime) -> str:
    """A time as a driver takes or gives it as a content has it; see `core.store.bulk.times`."""
    return f"{at[:10]}T{at[11:26]}Z" if isinstance(at, str) else utc_text(at)
