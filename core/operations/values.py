"""What parameters and results are made of: kinds of values with their limits, and how they are said.

Missing is None, which is null in JSON; times are aware and in UTC; fractions are 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from sqlalchemy import Connection, select

from core.operations.registry import WrongParameters
from core.signals import PROFILE_NAMES
from core.store.signals import load_symbols
from core.store.tables import bars

MOST_ROWS = 1_000
_EARLIEST, _LATEST = datetime(2009, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def known(value: Any) -> Any:
    """A value as JSON has it: None for what is not known, whoever says so."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _within_reach(value: datetime) -> datetime:
    if not _EARLIEST <= value <= _LATEST:
        raise ValueError("must lie between 2009 and 2100")
    return value.astimezone(UTC)


def _day_within_reach(value: date) -> date:
    if not _EARLIEST.year <= value.year < _LATEST.year:
        raise ValueError("must lie between 2009 and 2100")
    return value


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one line of printable characters")
    return value


def _no_controls(value: str) -> str:
    if not all(letter.isprintable() or letter in "\n\t" for letter in value):
        raise ValueError("must be printable characters and line breaks")
    return value


# What is asked for.
Symbol = Annotated[str, StringConstraints(pattern=r"^\w{2,32}$")]
Mode = Literal["conservative", "balanced", "aggressive"]
Moment = Annotated[AwareDatetime, AfterValidator(_within_reach)]
Day = Annotated[date, AfterValidator(_day_within_reach)]
Line = Annotated[str, AfterValidator(_one_line)]
Text = Annotated[str, AfterValidator(_no_controls)]
Id = Annotated[int, Field(ge=1, le=2**53)]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Limit = Annotated[
    int, Field(ge=1, le=MOST_ROWS, description="Rows of a page at most.", examples=[100])
]
Cursor = Annotated[
    str | None,
    Field(
        max_length=1024,
        description="The next_cursor of the page before, with the same parameters; leave it out for "
        "the first page.",
    ),
]
SYMBOL = "The market by its symbol, such as BTCUSDT."
MODE = "The mode whose signals are meant; conservative speaks least, aggressive most."
VERSION = "Version of the mode's profile, 16 hexadecimal digits; the one recorded first by default."
START, END = "From this time on, ISO 8601 with a zone.", "Up to this time, ISO 8601 with a zone."

# What is given.
Number = Annotated[float | None, BeforeValidator(known)]
Whole = Annotated[int | None, BeforeValidator(known)]
Word = Annotated[str | None, BeforeValidator(known)]
Time = Annotated[datetime | None, BeforeValidator(known)]
Direction = Literal["LONG", "SHORT", "NEUTRAL"]
Verdict = Literal["CONFIRM", "DOWNSIZE", "WAIT", "SKIP"]
RiskMode = Literal["AVOID", "REDUCED", "NORMAL", "AGGRESSIVE"]
_DIRECTIONS: Mapping[float, Direction] = {1.0: "LONG", -1.0: "SHORT", 0.0: "NEUTRAL"}


class Result(BaseModel):
    """Something that is given; every field is always there."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


T = TypeVar("T")


class Page(Result, Generic[T]):
    """A page of a list."""

    items: list[T] = Field(description="The rows of this page, in the order of the list.")
    next_cursor: str | None = Field(
        description="What to give as cursor for the next page; null on the last one."
    )


def page_of(
    rows: Sequence[Any], limit: int, cursor: Callable[[Any], str], item: Callable[[Any], T]
) -> dict[str, Any]:
    """A page from up to ``limit`` + 1 rows, the last of which only says that there are more."""
    kept = rows[:limit]
    following = cursor(kept[-1]) if len(rows) > limit else None
    return {"items": [item(row) for row in kept], "next_cursor": following}


def direction_of(value: Any) -> Direction | None:
    """
    >>> direction_of(-1), direction_of(float("nan"))
    ('SHORT', None)
    """
    found = known(value)
    return None if found is None else _DIRECTIONS[float(found)]


def check_symbols(conn: Connection, symbols: Sequence[str], field: str = "symbol") -> None:
    """Refuse a symbol that no stored market has, naming those that are close."""
    for symbol in symbols:
        if conn.scalar(select(bars.c.symbol).where(bars.c.symbol == symbol).limit(1)) is None:
            raise WrongParameters({field: _no_market(conn, symbol)})


def _no_market(conn: Connection, symbol: str) -> str:
    there = sorted({name for mode in PROFILE_NAMES for name in load_symbols(conn, mode)})
    upper = symbol.upper()
    near = get_close_matches(upper, there, n=3, cutoff=0.5)
    near += [name for name in there if name.startswith(upper) and name not in near]
    if near:
        return f"there is no market {symbol}; did you mean {' or '.join(near[:3])}?"
    return f"there is no market {symbol}; the operation symbols_list names all"
