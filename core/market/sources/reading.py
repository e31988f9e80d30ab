"""What every `parse_` shares: values out of a reply, and rows in the columns of a recording.

A reply that lacks a field is refused by name. A row that holds something that is no number, cannot
be, or lies in the future is left out: nothing is guessed and nothing filled in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from core.errors import SourceReplyWrong
from core.market.files import Source

HOUR_MS = 3_600_000
_YEAR_2000_MS, _YEAR_2100_MS = 946_684_800_000, 4_102_444_800_000
_TINY = float(np.nextafter(0, 1))

_PRICE, _AMOUNT, _SHARE, _INDEX = (_TINY, math.inf), (0.0, math.inf), (0.0, 1.0), (0.0, 100.0)
_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("open", "high", "low", "close"), _PRICE),
    **dict.fromkeys(("volume", "quote_volume", "open_interest_usd", "open_interest"), _AMOUNT),
    **dict.fromkeys(("long_liquidations_usd", "short_liquidations_usd"), _AMOUNT),
    **dict.fromkeys(("long_account_share", "top_account_long_share"), _SHARE),
    "top_position_long_share": _SHARE,
    "social_score": _INDEX,
    "fear_greed": _INDEX,
    "funding_rate": (-1.0, 1.0),
    "interval_hours": (_TINY, 24.0),
}


@dataclass(frozen=True)
class Wanted:
    """Which table a reply is read into, of whom, and when it was seen."""

    table: Source
    venue: str
    seen_at: datetime


def number(value: object) -> float:
    """A number, or a text that is one; NaN for anything else, infinity included.

    >>> number("0.5"), number(3), number("1e400"), number(True), number(None), number("1_000")
    (0.5, 3.0, nan, nan, nan, nan)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    if isinstance(value, str) and "_" in value:
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def milliseconds(value: object, unit_ms: int = 1) -> int | None:
    """A time since 1970 in milliseconds; None where it is none of this or the next decades.

    >>> milliseconds("1780704000", unit_ms=1000), milliseconds("soon"), milliseconds(12)
    (1780704000000, None, None)
    """
    found = number(value) * unit_ms
    return int(found) if _YEAR_2000_MS <= found <= _YEAR_2100_MS else None


def get(record: object, key: str | int, source: str) -> Any:
    """A field that must be there."""
    if isinstance(record, Mapping):
        if key in record:
            return record[key]
    elif isinstance(record, list) and isinstance(key, int) and key < len(record):
        return record[key]
    raise SourceReplyWrong(f"{source} sent a reply without the field {key}.")


def text(record: object, key: str | int, source: str) -> str:
    """A field that must be a text."""
    found = get(record, key, source)
    if isinstance(found, str):
        return found
    raise SourceReplyWrong(
        f"{source} sent {str(found)[:40]} in the field {key}, which must be text."
    )


def records(reply: object, source: str, *path: str, empty: bool = False) -> list[Any]:
    """The list a reply holds under ``path``; an empty one only where that can be."""
    found: object = reply
    for key in path:
        found = get(found, key, source)
    where = ".".join(path) or "the reply"
    if not isinstance(found, list):
        raise SourceReplyWrong(f"{source} sent no list in {where}.")
    if not found and not empty:
        raise SourceReplyWrong(f"{source} sent an empty list in {where}.")
    return found


def rows(wanted: Wanted, found: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Rows in the columns of the table, sorted, each key once.

    Each of ``found`` has ``symbol`` (where the table is per symbol), ``known_ms``, ``open_ms`` where
    the table has it, and the table's numbers as they came. Rows published after ``seen_at`` are
    left out (a bar that is still open is one), and so are rows that contradict each other.

    Raises `SourceReplyWrong` naming the field when no row that should be known can be read.
    """
    table, seen_ms = wanted.table, int(wanted.seen_at.timestamp() * 1000)
    numbers = (*table.numbers, *table.optional)
    kept: list[dict[str, object]] = []
    refused: set[str] = set()
    for one in found:
        read = {name: _bounded(name, one.get(name)) for name in numbers}
        wrong = _wrong(one, read, table)
        if wrong is not None:
            refused.add(wrong)
        elif _milliseconds_of(one) <= seen_ms:
            kept.append({**one, **read, "venue": wanted.venue})
    if refused and not kept:
        raise SourceReplyWrong(
            f"{wanted.venue} sent nothing readable in {', '.join(sorted(refused))}."
        )
    return _table(wanted, kept)


def _bounded(name: str, value: object) -> float:
    found = number(value)
    low, high = _BOUNDS[name]
    return found if low <= found <= high else math.nan


def _milliseconds_of(one: Mapping[str, object]) -> int:
    known = one["known_ms"]
    return known if isinstance(known, int) else 0


def _wrong(one: Mapping[str, object], read: Mapping[str, float], table: Source) -> str | None:
    """The first thing that keeps a row from being used."""
    for name in ("known_ms", "open_ms") if table.has_open else ("known_ms",):
        time = one[name]
        if time is None or (name == "open_ms" and one["open_ms"] % HOUR_MS):  # type: ignore[operator]
            return table.known_at if name == "known_ms" else "open_at"
    needed = table.numbers
    if table.name == "open_interest" and not math.isnan(read["open_interest"]):
        needed = ("open_interest",)
    for name in needed:
        if math.isnan(read[name]):
            return name
    if table.name == "candles" and not (
        read["low"] <= min(read["open"], read["close"])
        and max(read["open"], read["close"]) <= read["high"]
    ):
        return "high and low"
    return None


def _table(wanted: Wanted, kept: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A frame is made once at the end: for three rows pandas costs more than all the rest."""
    table = wanted.table
    names = ("symbol", "venue") if table.per_symbol else ("venue",)
    numbers = (*table.numbers, *table.optional)
    times = dict(zip(("open_ms", "known_ms")[-len(table.times) :], table.times, strict=True))
    ordered = _each_once(kept, ("symbol", next(iter(times))), (*times, *numbers))
    columns: dict[str, Any] = {name: [one[name] for one in ordered] for name in names}
    columns = {name: pd.array(values, dtype="str") for name, values in columns.items()}
    columns |= {name: _times([one[key] for one in ordered]) for key, name in times.items()}
    columns |= {
        name: np.array([one[name] for one in ordered], dtype=np.float64) for name in numbers
    }
    return pd.DataFrame(columns)


def _each_once(
    kept: Iterable[Mapping[str, Any]], keys: tuple[str, ...], values: tuple[str, ...]
) -> list[Mapping[str, Any]]:
    """Sorted by key; of rows with one key the first where all agree, none where they do not."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    said: dict[tuple[Any, ...], set[str]] = {}
    for one in kept:
        key = tuple(one.get(name, "") for name in keys)
        found.setdefault(key, one)
        said.setdefault(key, set()).add(repr([one[name] for name in values]))
    return [found[key] for key in sorted(found) if len(said[key]) == 1]


def _times(values: list[int]) -> pd.DatetimeIndex:
    stamps = np.array(values, dtype=np.int64).view("datetime64[ms]")
    return pd.DatetimeIndex(stamps).tz_localize("UTC")
