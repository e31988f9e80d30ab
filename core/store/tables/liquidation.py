"""Liquidations as they are streamed."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Float, Integer, String, Table, Text

from core.store.database import UtcDateTime
from core.store.tables.base import metadata

# Liquidations as venues reported them. An identity begins with the time, so new rows come last and
# the table needs no row numbers.
liquidations = Table(
    "liquidations",
    metadata,
    Column("venue", String(32), primary_key=True),
    Column("identity", String(32), primary_key=True),
    Column("symbol", String(32), nullable=False),
    Column("liquidated_side", String(8), nullable=False),
    Column("price", Float, nullable=False),
    Column("quantity", Float, nullable=False),
    Column("usd", Float, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False, index=True),
    Column("received_at", UtcDateTime, nullable=False),
    CheckConstraint("liquidated_side IN ('long', 'short')", name="liquidated_side"),
    sqlite_with_rowid=False,
)

# Sums over the rows of liquidations that were new when they came; they stay when those are dropped.
liquidation_minutes = Table(
    "liquidation_minutes",
    metadata,
    Column("minute", UtcDateTime, primary_key=True),
    Column("symbol", String(32), primary_key=True),
    Column("venue", String(32), primary_key=True),
    Column("long_usd", Float, nullable=False),
    Column("short_usd", Float, nullable=False),
    Column("long_count", Integer, nullable=False),
    Column("short_count", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# One row per venue whose stream is followed. It was heard until heard_at, an answer to a ping
# counting as heard; the counts are since the stream was first followed.
streams = Table(
    "streams",
    metadata,
    Column("venue", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("message", Text),
    Column("heard_at", UtcDateTime),
    Column("newest_at", UtcDateTime),
    Column("received", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("spooled", BigInteger, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('connecting', 'live', 'down')", name="state"),
)

# Times in which a venue's events are missing: not heard (ended_at NULL while it lasts), or received
# and lost. `lost` is 0 where nobody can know how many there were.
stream_gaps = Table(
    "stream_gaps",
    metadata,
    Column("venue", String(32), primary_key=True),
    Column("started_at", UtcDateTime, primary_key=True),
    Column("ended_at", UtcDateTime),
    Column("reason", Text, nullable=False),
    Column("lost", BigInteger, nullable=False),
)
