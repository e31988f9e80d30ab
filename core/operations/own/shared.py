"""What several of the product's own operations give and take."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
from pydantic import BaseModel, Field, create_model
from sqlalchemy import Connection, func, select

from core.market.frame import COLUMNS, NAMES
from core.operations.registry import Context, NotThere
from core.operations.values import Number, Result, known
from core.signals import FACTORS
from core.store import ledger
from core.store.signals import last_times, load_signal, market_range
from core.store.tables import coins

_columns: dict[str, Any] = {
    one.name: (Number, Field(description=f"{one.meaning}; {one.unit}; null: not known"))
    for one in COLUMNS
}
Values: type[BaseModel] = create_model(
    "Values", __base__=Result, __doc__="What a bar says of its market.", **_columns
)
_factors: dict[str, Any] = {
    name: (Number, Field(description=f"Factor {name}, 0..100, above 50 bullish; null: missing"))
    for name in FACTORS
}
Factors: type[BaseModel] = create_model(
    "Factors", __base__=Result, __doc__="The eight factors.", **_factors
)


def values_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The market columns of a row."""
    return {name: known(row.get(name)) for name in NAMES}


def factors_of(row: Mapping[str, Any] | pd.Series) -> dict[str, Any]:
    return {name: known(row.get(f"factor_{name}")) for name in FACTORS}


def record_state(context: Context) -> str:
    """The same for as long as nothing is added to the record: the head of the ledger."""
    with context.reading() as conn:
        length, head = ledger.head(conn)
    return f"{length} {head.hex()}"


def market_state(context: Context) -> str:
    """The same for as long as neither the record nor a bar nor a coin is new."""
    with context.reading() as conn:
        length, head = ledger.head(conn)
        span, seen = market_range(conn), conn.scalar(select(func.max(coins.c.seen_at)))
    return f"{length} {head.hex()} {span} {seen}"


def stored_signal(
    conn: Connection, symbol: str, mode: str, time: datetime | None, version: str | None
) -> pd.Series:
    """The row of one bar, by default of the newest; `NotThere` where there is none."""
    if time is None:
        newest = last_times(conn, symbol, mode, limit=1)
        if not newest:
            raise NotThere(f"There is no signal of {symbol} in the mode {mode} yet.")
        time = newest[0]
    row = load_signal(conn, symbol, mode, time, version)
    if row is None:
        before = last_times(conn, symbol, mode, limit=1, end=time)
        near = f" The one before is at {before[0]:%Y-%m-%dT%H:%MZ}." if before else ""
        of = "" if version is None else f" of version {version}"
        raise NotThere(f"There is no signal of {symbol} at {time:%Y-%m-%dT%H:%M:%SZ}{of}.{near}")
    return row
