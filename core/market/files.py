"""The files of a recording: what each must hold, read and checked before anything uses them.

A recording is a folder of Parquet files, each one a table with a row per value as a venue or a
provider published it. Everything that could make a value mean something else than it says (a time
without a zone, a key that appears twice, a column of another type) is an error here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import RecordingError

Integers = NDArray[np.int64]

HOUR_US = 3_600_000_000
# A venue earlier in this list is preferred where a file has several; any other comes after, by name.
VENUES = ("binance", "bybit", "okx", "hyperliquid", "kraken", "all")

_YEAR_2000_US, _YEAR_2100_US = 946_684_800_000_000, 4_102_444_800_000_000
_REMEDY = "Restore it from a copy, or make the recording again."


@dataclass(frozen=True)
class Source:
    """One file: the source it feeds, its columns, and how far apart its values are.

    ``known_at`` is the column that says from when on a row was known. ``step_hours`` is the
    spacing that is assumed until the file has shown its own.
    """

    name: str
    file: str
    numbers: tuple[str, ...]
    optional: tuple[str, ...] = ()
    known_at: str = "published_at"
    has_open: bool = False
    per_symbol: bool = True
    step_hours: float = 1.0

    @property
    def times(self) -> tuple[str, ...]:
        return ("open_at", self.known_at) if self.has_open else (self.known_at,)

    @property
    def required(self) -> tuple[str, ...]:
        return (*(("symbol",) if self.per_symbol else ()), *self.times, *self.numbers)


CANDLES = Source(
    "candles",
    "candles_1h",
    ("open", "high", "low", "close", "volume"),
    optional=("quote_volume",),
    has_open=True,
)
UNIVERSE = replace(CANDLES, file="candles_1h_universe")
FUNDING = Source(
    "funding",
    "funding",
    ("funding_rate", "interval_hours"),
    known_at="settled_at",
    step_hours=8,
)
OPEN_INTEREST = Source(
    "open_interest",
    "open_interest",
    ("open_interest_usd",),
    optional=("open_interest",),
    step_hours=4,
)
LONG_SHORT = Source(
    "long_short",
    "long_short",
    ("long_account_share",),
    optional=("top_account_long_share", "top_position_long_share"),
    step_hours=4,
)
LIQUIDATIONS = Source(
    "liquidations",
    "liquidations_4h",
    ("long_liquidations_usd", "short_liquidations_usd"),
    has_open=True,
    step_hours=4,
)
SOCIAL = Source("social", "social", ("social_score",))
FEAR_GREED = Source("fear_greed", "fear_greed", ("fear_greed",), per_symbol=False, step_hours=24)

FILES: dict[str, Source] = {
    source.file: source
    for source in (
        CANDLES,
        UNIVERSE,
        FUNDING,
        OPEN_INTEREST,
        LONG_SHORT,
        LIQUIDATIONS,
        SOCIAL,
        FEAR_GREED,
    )
}
# Files a recording may hold beside those; no column of the frame comes from them.
OTHER_FILES = ("candles_15m", "funding_venues", "liquidation_orders_binance")


def read_source(
    folder: Path, source: Source, symbols: Collection[str] | None = None
) -> pd.DataFrame | None:
    """The rows of one file, or None where there is no such file.

    Columns: symbol ("" where the file is market-wide), venue, known_us and (where the file has
    it) open_us in microseconds since 1970, and the file's numbers as float64 with NaN for null.
    Raises `RecordingError` naming the file when it is damaged.
    """
    path = folder / f"{source.file}.parquet"
    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            wanted = {*source.required, *source.optional, "venue"} & set(file.schema_arrow.names)
            rows = to_rows(file.read(columns=sorted(wanted)), source)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise RecordingError(
            f"{path.name} cannot be read as Parquet ({_first_line(error)}). {_REMEDY}"
        ) from error
    return rows if symbols is None else rows[rows["symbol"].isin(symbols)]


def symbols_of(folder: Path, source: Source) -> list[str]:
    """The symbols a file holds, sorted; empty where there is no such file."""
    narrow = replace(source, numbers=(), optional=())
    rows = read_source(folder, narrow)
    return [] if rows is None else sorted(rows["symbol"].unique())


def to_rows(table: pa.Table, source: Source) -> pd.DataFrame:
    """Check a table against its source and bring it into the shape of `read_source`."""
    for problem in _problems(table, source):
        raise _damaged(source, problem)
    count = table.num_rows
    columns: dict[str, object] = {
        "symbol": _text(table, "symbol") if source.per_symbol else np.full(count, ""),
        "venue": _text(table, "venue") if "venue" in table.column_names else np.full(count, ""),
    }
    for name, time in zip(("open_us", "known_us")[-len(source.times) :], source.times, strict=True):
        columns[name] = _microseconds(table, time)
    for name in (*source.numbers, *source.optional):
        if name in table.column_names:
            columns[name] = table[name].cast(pa.float64()).to_numpy()
    rows = pd.DataFrame(columns)
    for problem in _row_problems(rows, source):
        raise _damaged(source, problem)
    return rows


def digest(folder: Path) -> str:
    """16 hexadecimal digits over the bytes of every file that can reach the frame."""
    found = hashlib.blake2b(digest_size=8)
    for name in sorted(FILES):
        path = folder / f"{name}.parquet"
        if not path.exists():
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordingError(
                f"{path.name} cannot be read ({error.strerror or error}). {_REMEDY}"
            ) from error
        found.update(f"{name}:{len(content)}:".encode() + content)
    return found.hexdigest()


def _problems(table: pa.Table, source: Source) -> Iterator[str]:
    missing = [name for name in source.required if name not in table.column_names]
    if missing:
        yield f"has no column {', '.join(missing)}."
    for name in table.column_names:
        kind = table.schema.field(name).type
        if name in source.times:
            if not pa.types.is_timestamp(kind):
                yield f"holds {kind} in column {name}, which must be a timestamp."
            elif kind.tz is None:
                yield f"has times without a zone in column {name}; they must be in UTC."
        elif name in ("symbol", "venue"):
            if not _is_text(kind):
                yield f"holds {kind} in column {name}, which must be text."
        elif name in (*source.numbers, *source.optional) and not _is_number(kind):
            yield f"holds {kind} in column {name}, which must be a number."
        if name in ("symbol", "venue", *source.times) and table[name].null_count:
            yield f"has an empty {name} in {table[name].null_count} rows."


def _row_problems(rows: pd.DataFrame, source: Source) -> Iterator[str]:
    keys = ["symbol", "venue"]
    keys += ["open_us"] if source.has_open else []
    keys += [] if source.name == "candles" else ["known_us"]
    for name, time in zip(("open_us", "known_us")[-len(source.times) :], source.times, strict=True):
        if not rows[name].between(_YEAR_2000_US, _YEAR_2100_US).all():
            yield f"has a time outside the years 2000 to 2100 in column {time}."
    twice = rows.duplicated(keys)
    if twice.any():
        yield f"holds {_describe(rows, twice)} twice."
    if source.has_open and (late := rows["known_us"] <= rows["open_us"]).any():
        yield f"has {_describe(rows, late)}, published before it began."
    if source.name == "candles" and (odd := rows["open_us"] % HOUR_US != 0).any():
        yield f"has {_describe(rows, odd)}, which does not open on the hour."
    if "interval_hours" in rows and not (rows["interval_hours"] > 0).all():
        yield "has a funding interval that is empty or not above 0."


def _describe(rows: pd.DataFrame, wrong: pd.Series) -> str:
    row = rows.iloc[int(wrong.to_numpy().argmax())]
    at = pd.Timestamp(row.get("open_us", row["known_us"]), unit="us", tz="UTC").isoformat()
    return " ".join(part for part in (row["symbol"], row["venue"], at) if part)


def _damaged(source: Source, problem: str) -> RecordingError:
    return RecordingError(f"{source.file}.parquet {problem} {_REMEDY}")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _text(table: pa.Table, name: str) -> pd.Series:
    return pd.Series(table[name].cast(pa.large_string()).to_pandas())


def _microseconds(table: pa.Table, name: str) -> Integers:
    """Rounded up, so that a value is never known earlier than it was."""
    kind = table.schema.field(name).type
    counts: Integers = table[name].cast(pa.int64()).to_numpy()
    if kind.unit == "ns":
        return -(-counts // 1_000)
    factor: int = {"s": 1_000_000, "ms": 1_000, "us": 1}[kind.unit]
    return counts * factor


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")
