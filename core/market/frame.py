"""The market frame: what was known of every market at the close of every bar.

One row per (``symbol``, ``time``), sorted, where ``time`` is the bar's close in UTC. A value stands
in a row only if it had been published by ``time``; NaN means unknown. All columns are float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import FrameError

Kind = Literal["price", "amount", "signed", "share", "index"]


@dataclass(frozen=True)
class Column:
    """A column of the market frame: its unit, what it means, and which values it can hold."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    source: str

    @property
    def range(self) -> tuple[float, float]:
        """Its smallest and its largest possible value; a price is above 0."""
        low, high, _ = _BOUNDS[self.kind]
        return (0.0 if self.kind == "price" else low), high


COLUMNS: tuple[Column, ...] = (
    Column("open", "price", "quote", "first price of the bar, perpetual future", "candles"),
    Column("high", "price", "quote", "highest price of the bar", "candles"),
    Column("low", "price", "quote", "lowest price of the bar", "candles"),
    Column("close", "price", "quote", "last price of the bar", "candles"),
    Column("volume_usd", "amount", "USD", "quote turnover of the bar", "candles"),
    Column(
        "funding_rate_8h", "signed", "fraction per 8 h", "settled, positive: longs pay", "funding"
    ),
    Column("open_interest_usd", "amount", "USD", "value of all open contracts", "open_interest"),
    Column("open_interest", "amount", "base", "open contracts in base units", "open_interest"),
    Column("long_account_share", "share", "0..1", "share of accounts that are long", "long_short"),
    Column("top_long_share", "share", "0..1", "the same for the venue's top traders", "long_short"),
    Column(
        "long_liquidations_usd", "amount", "USD", "longs liquidated, as reported", "liquidations"
    ),
    Column(
        "short_liquidations_usd", "amount", "USD", "shorts liquidated, as reported", "liquidations"
    ),
    Column("social_score", "index", "0..100", "as published by the provider", "social"),
    Column("fear_greed", "index", "0..100", "as published, for the whole market", "fear_greed"),
)
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
SOURCES: tuple[str, ...] = tuple(dict.fromkeys(column.source for column in COLUMNS))
BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}
INDEX: tuple[str, str] = ("symbol", "time")

_BOUNDS: dict[Kind, tuple[float, float, str]] = {
    "price": (np.nextafter(0, 1), np.inf, "a price must be above 0"),
    "amount": (0.0, np.inf, "an amount cannot be negative"),
    "signed": (-np.inf, np.inf, ""),
    "share": (0.0, 1.0, "a share must lie between 0 and 1"),
    "index": (0.0, 100.0, "an index must lie between 0 and 100"),
}


def validate(frame: pd.DataFrame) -> None:
    """Raise `FrameError` naming row, column and reason unless ``frame`` is a market frame.

    Columns may be missing (unknown for every row) and further columns may be present, so that
    every step of the pipeline can be validated.

    >>> index = pd.MultiIndex.from_tuples(
    ...     [("BTCUSDT", pd.Timestamp("2025-10-01", tz="UTC"))], names=["symbol", "time"])
    >>> validate(pd.DataFrame({"close": [114_000.0]}, index=index))
    >>> validate(pd.DataFrame({"close": [-1.0]}, index=index))
    Traceback (most recent call last):
    core.errors.FrameError: row ('BTCUSDT', '2025-10-01T00:00:00+00:00'), column close: -1.0: a price must be above 0
    """
    _validate_index(frame.index)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise FrameError("this column appears twice", column=str(twice))
    for column in COLUMNS:
        if column.name in frame.columns:
            _validate_column(frame, column)
    _validate_candles(frame)


def _validate_index(index: pd.Index) -> None:
    if not isinstance(index, pd.MultiIndex) or tuple(index.names) != INDEX:
        raise FrameError(f"the index must be (symbol, time), not {list(index.names)}")
    times = index.levels[1]
    if not isinstance(times, pd.DatetimeIndex):
        raise FrameError("times must be timestamps in UTC", column="time")
    if times.tz is None:
        raise FrameError("time has no zone; localise it to UTC", row=_row(index, 0), column="time")
    if str(times.tz) != "UTC":
        raise FrameError(f"time is in {times.tz}; convert it to UTC", column="time")
    unknown = (index.codes[0] < 0) | (index.codes[1] < 0)
    if unknown.any():
        raise FrameError("symbol or time is missing", row=_row(index, int(np.argmax(unknown))))
    if not index.is_unique:
        at = int(np.argmax(index.duplicated()))
        raise FrameError("this symbol and time appear twice", row=_row(index, at))
    if not index.is_monotonic_increasing:
        ranked = np.lexsort((index.get_level_values(1), index.get_level_values(0)))
        at = int(np.argmax(ranked != np.arange(len(index))))
        raise FrameError("rows must be sorted by symbol, then time", row=_row(index, at))


def _validate_column(frame: pd.DataFrame, column: Column) -> None:
    values = frame[column.name]
    if values.dtype != np.float64:
        raise FrameError(f"holds {values.dtype}, must be float64", column=column.name)
    array = values.to_numpy()
    low, high, reason = _BOUNDS[column.kind]
    with np.errstate(invalid="ignore"):
        for wrong, why in (
            (np.isinf(array), "must be finite"),
            ((array < low) | (array > high), reason),
        ):
            if wrong.any():
                at = int(np.argmax(wrong))
                raise FrameError(
                    f"{array[at]}: {why}", row=_row(frame.index, at), column=column.name
                )


def _validate_candles(frame: pd.DataFrame) -> None:
    if not {"open", "high", "low", "close"} <= set(frame.columns):
        return
    body = frame[["open", "close"]].to_numpy()
    with np.errstate(invalid="ignore"):
        for name, wrong in (
            ("high", (frame["high"].to_numpy()[:, None] < body).any(axis=1)),
            ("low", (frame["low"].to_numpy()[:, None] > body).any(axis=1)),
        ):
            if wrong.any():
                at = int(np.argmax(wrong))
                raise FrameError(
                    "the bar's open or close lies outside its high and low",
                    row=_row(frame.index, at),
                    column=name,
                )


def _row(index: pd.Index, at: int) -> tuple[str, str]:
    symbol, time = index[at]
    return str(symbol), time.isoformat() if hasattr(time, "isoformat") else str(time)


def labels(codes: npt.ArrayLike, names: Sequence[str], index: pd.Index) -> pd.Series:
    """A text column from the place of each text in ``names``; -1 is None.

    A million rows hold a dozen different texts: the column keeps references to them, as objects.
    """
    texts = np.array([*names, None], dtype=object)
    return pd.Series(texts[np.asarray(codes)], index=index, dtype=object, copy=False)


def label_codes(values: pd.Series, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """The place of each text in ``names``, -1 where it is missing: the inverse of `labels`.

    >>> label_codes(pd.Series(["WAIT", None, "SKIP"]), ["SKIP", "WAIT"]).tolist()
    [1, -1, 0]
    """
    return pd.Categorical(values, dtype=_categories(tuple(names))).codes.astype(np.int64)


@cache
def _categories(names: tuple[str, ...]) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(list(names))
