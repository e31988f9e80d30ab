"""Which coin each market of the live market is, as the provider of coins last said."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from core.store.bulk import floats
from core.store.reading import moments, numbers, raw, read_columns, words
from core.store.tables import coins

COLUMNS = ("coin_id", "name", "rank", "market_cap_usd")


def save_coins(conn: Connection, found: pd.DataFrame, seen_at: datetime) -> None:
    """Note coins, index symbol, each in place of what was said of its market before."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(coins)
    ranks, values = floats(found["rank"], "rank"), floats(found["market_cap_usd"], "market_cap_usd")
    for symbol, coin_id, name, rank, value in zip(
        found.index, found["coin_id"], found["name"], ranks, values, strict=True
    ):
        given = {"coin_id": coin_id, "name": name[:128], "rank": rank, "market_cap_usd": value}
        given["seen_at"] = seen_at
        statement = insert.values(symbol=symbol, **given)
        conn.execute(statement.on_conflict_do_update(index_elements=["symbol"], set_=given))


def load_coins(conn: Connection) -> pd.DataFrame:
    """Every coin that is known: coin_id, name, rank and market_cap_usd (NaN unknown), seen_at."""
    query = select(*raw(coins, "symbol", *COLUMNS, "seen_at")).order_by(coins.c.symbol)
    found = read_columns(conn, query)
    return pd.DataFrame(
        {
            "coin_id": words(found["coin_id"]).to_numpy(),
            "name": words(found["name"]).to_numpy(),
            "rank": numbers(found["rank"]),
            "market_cap_usd": numbers(found["market_cap_usd"]),
            "seen_at": moments(found["seen_at"], "seen_at"),
        },
        index=pd.Index(words(found["symbol"]), name="symbol", dtype="str"),
    )
