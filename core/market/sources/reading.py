"""What every `parse_` shares: values out of a reply, and rows in the columns of a recording.

A reply that lacks a field is refused by name. A row that holds something that is no number, cannot
be, or lies in the future is left out: nothing is guessed and nothing filled in. What was left out
or mended is said in remarks that go with the rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from core.errors import SourceReplyWrong
from core.market.files import Source
from core.market.symbols import Contract

K = TypeVar("K", bound=Hashable)

HOUR_MS = 3_600_000
REMARKS = "remarks"
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
    """Which table a reply is read into, of whom, when it was seen, and in which order it comes."""

    table: Source
    venue: str
    seen_at: datetime
    newest_first: bool = False


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


def read_listed_candle(
    one: Any, contract: Contract, source: str, *, volume_at: int, quote_at: int
) -> dict[str, object]:
    """A row of candles_1h of a list: open time, four prices, then the volumes at their places.

    Prices and volume are of one coin, whatever number of coins the contract counts.
    """
    open_ms = milliseconds(get(one, 0, source))
    price = {
        name: number(get(one, at, source)) * contract.scale
        for at, name in enumerate(("open", "high", "low", "close"), 1)
    }
    return {
        "symbol": contract.symbol,
        "open_ms": open_ms,
        "known_ms": open_ms and open_ms + HOUR_MS,
        **price,
        "volume": number(get(one, volume_at, source)) / contract.scale,
        "quote_volume": get(one, quote_at, source),
    }


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


def once(pairs: Iterable[tuple[K, object]]) -> tuple[dict[K, object], int]:
    """Values by key, and how many keys came again; one that came with two values is unknown.

    >>> once([(1, "0.5"), (2, "0.6"), (1, "0.5"), (2, "0.7")])
    ({1: '0.5', 2: None}, 2)
    """
    found: dict[K, object] = {}
    again = 0
    for key, value in pairs:
        if key in found:
            again += 1
            value = value if found[key] == value else None
        found[key] = value
    return found, again


def rows(wanted: Wanted, found: Iterable[Mapping[str, object]], again: int = 0) -> pd.DataFrame:
    """Rows in the columns of the table, sorted, each key once.

    Each of ``found`` has ``symbol`` (where the table is per symbol), ``known_ms``, ``open_ms`` where
    the table has it, and the table's numbers as they came. Rows published after ``seen_at`` are
    left out (a bar that is still open is one), and so are rows that contradict each other; what is
    out of the ordinary is said under ``attrs["remarks"]``. ``again`` is how many rows were put
    together before as they came twice.

    Raises `SourceReplyWrong` naming the field when no row that should be known can be read.
    """
    table, seen_ms = wanted.table, int(wanted.seen_at.timestamp() * 1000)
    numbers = (*table.numbers, *table.optional)
    given = list(found)
    kept: list[dict[str, object]] = []
    refused: Counter[str] = Counter()
    unreadable: Counter[str] = Counter()
    ahead = 0
    for one in given:
        read = {name: _bounded(name, one.get(name)) for name in numbers}
        wrong = _wrong(one, read, table)
        if wrong is not None:
            refused[wrong] += 1
        elif _milliseconds_of(one) <= seen_ms:
            kept.append({**one, **read, "venue": wanted.venue})
            unreadable.update(name for name in table.optional if _unread(one.get(name), read[name]))
        elif _milliseconds_of(one) > seen_ms + HOUR_MS:
            ahead += 1
    if refused and not kept:
        raise SourceReplyWrong(
            f"{wanted.venue} sent nothing readable in {', '.join(sorted(refused))}."
        )
    ordered = _each_once(kept, table)
    made = _table(wanted, ordered)
    repeated = again + len(kept) - len(ordered)
    said = _left_out(refused, ahead, len(given)) + _out_of_order(wanted, given)
    said += [f"rows that came twice or contradict each other: {repeated}"] if repeated else []
    said += [f"rows without a readable {name}: {many}" for name, many in unreadable.items()]
    said += [] if given else ["no rows at all"]
    if said:
        made.attrs[REMARKS] = tuple(said)
    return made


def share_rows(
    wanted: Wanted,
    contract: Contract,
    shares: Mapping[str, Iterable[tuple[int | None, object]]],
) -> pd.DataFrame:
    """Rows of long_short from each share's pairs of time and value.

    A time that only the top traders have is left out.
    """
    by_time = {name: once(pairs) for name, pairs in shares.items()}
    found = [
        {
            "symbol": contract.symbol,
            "known_ms": time,
            **{name: values.get(time) for name, (values, _) in by_time.items()},
        }
        for time in by_time["long_account_share"][0]
    ]
    return rows(wanted, found, again=max(again for _, again in by_time.values()))


def _left_out(refused: Mapping[str, int], ahead: int, count: int) -> list[str]:
    said = [
        f"{many} of {count} rows left out: nothing readable in {name}"
        for name, many in sorted(refused.items())
    ]
    return said + ([f"{ahead} of {count} rows left out: from the future"] if ahead else [])


def _out_of_order(wanted: Wanted, given: Iterable[Mapping[str, object]]) -> list[str]:
    times = [time for one in given if isinstance(time := one["known_ms"], int)]
    if wanted.newest_first:
        times.reverse()
    if len(set(times)) < 2 or all(one <= other for one, other in pairwise(times)):
        return []
    return ["rows in another order than usual"]


def _unread(came: object, read: float) -> bool:
    """Whether something came that is no number, where a row can do without one."""
    return math.isnan(read) and came is not None and came != ""


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


def _known_times(table: Source) -> dict[str, str]:
    return dict(zip(("open_ms", "known_ms")[-len(table.times) :], table.times, strict=True))


def _table(wanted: Wanted, ordered: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A frame is made once at the end: for three rows pandas costs more than all the rest."""
    table = wanted.table
    names = ("symbol", "venue") if table.per_symbol else ("venue",)
    numbers = (*table.numbers, *table.optional)
    columns: dict[str, Any] = {name: [one[name] for one in ordered] for name in names}
    columns = {name: pd.array(values, dtype="str") for name, values in columns.items()}
    columns |= {
        name: _times([one[key] for one in ordered]) for key, name in _known_times(table).items()
    }
    columns |= {
        name: np.array([one[name] for one in ordered], dtype=np.float64) for name in numbers
    }
    return pd.DataFrame(columns)


def _each_once(kept: Iterable[Mapping[str, Any]], table: Source) -> list[Mapping[str, Any]]:
    """Sorted by key; of rows with one key the first where all agree, none where they do not."""
    times = tuple(_known_times(table))
    keys, values = ("symbol", times[0]), (*times, *table.numbers, *table.optional)
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
