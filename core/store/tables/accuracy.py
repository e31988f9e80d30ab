"""Sums from which the Accuracy page is drawn."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from core.accuracy import tallies as sums
from core.store.database import UtcDateTime
from core.store.tables.base import RowId, metadata

# Sums of outcomes per cell and day, kept as outcomes come; see `core.accuracy.tallies`. `followed` is
# how many there will be when all have come. There are also sums over all bins (-1), of coverage, of
# the score and of both, for whoever asks for no bins: see `core.store.sums`.
tally_cells = Table(
    "tally_cells",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("profile_name", String(64), nullable=False),
    Column("profile_version", String(16), nullable=False),
    Column("judge", String(160), nullable=False),
    Column("recorded", String(8), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("risk_mode", String(16), nullable=False),
    Column("direction", SmallInteger, nullable=False),
    Column("horizon", String(8), nullable=False),
    Column("coverage_bin", SmallInteger, nullable=False),
    Column("score_bin", SmallInteger, nullable=False),
    Column("traded", Boolean, nullable=False),
    UniqueConstraint(*sums.CELL, name="uq_tally_cells_cell"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("cell_id", RowId, ForeignKey("tally_cells.id"), primary_key=True),
    Column("day", UtcDateTime, primary_key=True),
    *(Column(name, Integer, nullable=False) for name in sums.COUNTS),
    *(Column(name, Float, nullable=False) for name in sums.SUMS),
    Column("followed", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

# How many signals there are of which the rules said one thing and a model another, or the same, by the
# UTC day of the bar, kept as verdicts come: see `core.store.pairs`.
pair_days = Table(
    "pair_days",
    metadata,
    Column("profile_name", String(64), primary_key=True),
    Column("profile_version", String(16), primary_key=True),
    Column("judge", String(160), primary_key=True),
    Column("day", UtcDateTime, primary_key=True),
    Column("recorded", String(8), primary_key=True),
    Column("rules", String(16), primary_key=True),
    Column("model", String(16), primary_key=True),
    Column("direction", SmallInteger, primary_key=True),
    Column("coverage_bin", SmallInteger, primary_key=True),
    Column("n", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Per day sums of products over all markets' bars: of a factor's z with another factor's z, or
# with the return after it (`other` is then a horizon) in units of its own volatility. A day is summed
# once its longest horizon has ended, and anew when bars of it came late. See `core.accuracy.factors`.
factor_days = Table(
    "factor_days",
    metadata,
    Column("windows_version", String(16), primary_key=True),
    Column("day", UtcDateTime, primary_key=True),
    Column("factor", String(32), primary_key=True),
    Column("other", String(32), primary_key=True),
    Column("n", Integer, nullable=False),
    Column("sum_product", Float, nullable=False),
    Column("sum_factor_squared", Float, nullable=False),
    Column("sum_other_squared", Float, nullable=False),
    sqlite_with_rowid=False,
)
