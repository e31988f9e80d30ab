"""What the live market's sources published, and the work on it."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from core.market.files import FILES, UNIVERSE, Source
from core.store.database import UtcDateTime
from core.store.tables.base import metadata


def _observed(source: Source) -> Table:
    keys = ["symbol"] if source.per_symbol else []
    keys += ["venue", "open_at" if source.has_open else source.known_at]
    keys += [source.known_at] if source.has_open and source.name != "candles" else []
    others = [name for name in source.times if name not in keys]
    return Table(
        f"observed_{source.file}",
        metadata,
        *(Column(n, _key_type(n, source), primary_key=True) for n in keys),
        *(Column(name, UtcDateTime, nullable=False) for name in others),
        *(Column(name, Float) for name in (*source.numbers, *source.optional)),
        Column("seen_at", UtcDateTime, nullable=False),
        Index(f"ix_observed_{source.file}_{source.known_at}", source.known_at),
        sqlite_with_rowid=False,
    )


def _key_type(name: str, source: Source) -> String | UtcDateTime:
    return UtcDateTime() if name in source.times else String(32)


# What sources published, one table per file of a recording and with its columns, as it was first
# seen: a later, other value for the same key is not taken. Where a file has no venue it is "".
# A live market has one table of candles for all its symbols.
observed: dict[str, Table] = {
    name: _observed(source) for name, source in FILES.items() if source is not UNIVERSE
}

# Which coin each market is, as was last said; a market whose coin is not certain has no row.
coins = Table(
    "coins",
    metadata,
    Column("symbol", String(32), primary_key=True),
    Column("coin_id", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("rank", Float),
    Column("market_cap_usd", Float),
    Column("seen_at", UtcDateTime, nullable=False),
)

# Work on one bar of the live market: what was collected, stored and resolved for it, and by whom.
# `state` is running, done or failed (and `message` says why).
rounds = Table(
    "rounds",
    metadata,
    Column("time", UtcDateTime, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("message", Text),
    Column("worker", String(64), nullable=False),
    Column("new_observations", Integer, nullable=False),
    Column("new_bars", Integer, nullable=False),
    Column("new_signals", Integer, nullable=False),
    Column("new_outcomes", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint("state IN ('running', 'done', 'failed')", name="state"),
)

# Who holds what until when: a stream of a venue, or its own name for as long as a worker lives.
leases = Table(
    "leases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("taken_at", UtcDateTime, nullable=False),
    Column("held_until", UtcDateTime, nullable=False),
)

# How each source was doing when the worker last wrote it down; `state` is the whole of it.
source_health = Table(
    "source_health",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("healthy", Boolean, nullable=False),
    Column("last_success_at", UtcDateTime),
    Column("last_failure_at", UtcDateTime),
    Column("last_failure", Text, nullable=False),
    Column("state", JSON, nullable=False),
    Column("worker", String(64), nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
