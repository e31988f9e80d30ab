"""Profiles in force, backtests and replays."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from core.store.database import UtcDateTime
from core.store.tables.base import RowId, metadata

# Which version of a mode decides bars from a moment on; rows are added, never changed. Where a mode
# has none, its built-in profile decides.
profiles_in_force = Table(
    "profiles_in_force",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("profile_name", String(64), nullable=False),
    Column("profile_version", String(16), nullable=False),
    Column("from_at", UtcDateTime, nullable=False),
    Column("set_by", String(64), nullable=False),
    Column("set_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(
        ["profile_name", "profile_version"],
        ["profiles.name", "profiles.version"],
        name="fk_profiles_in_force_profile",
    ),
)

# A profile run over a history. `body` is the profile as it was run, saved or not; `result` is of the
# first two thirds and `held_back` of the last, which is shown once the look is noted in `looks`.
backtests = Table(
    "backtests",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("history", String(256), nullable=False),
    Column("history_digest", String(64)),
    Column("profile_name", String(64), nullable=False),
    Column("profile_version", String(16), nullable=False),
    Column("body", JSON, nullable=False),
    Column("start_at", UtcDateTime),
    Column("end_at", UtcDateTime),
    Column("held_back_from", UtcDateTime),
    Column("state", String(16), nullable=False),
    Column("fraction", Float, nullable=False),
    Column("stage", String(64), nullable=False),
    Column("message", Text),
    Column("worker", String(64)),
    Column("result", JSON),
    Column("held_back", JSON),
    Column("asked_by", String(64), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    CheckConstraint("state IN ('waiting', 'running', 'done', 'failed', 'cancelled')", name="state"),
    Index("ix_backtests_asked_at", "asked_at"),
)

# Every look at a held-back third: each is a chance to fool oneself, so all are counted.
looks = Table(
    "looks",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("history", String(256), nullable=False),
    Column("profile_name", String(64), nullable=False),
    Column("profile_version", String(16), nullable=False),
    Column("backtest_id", String(16), ForeignKey("backtests.id"), nullable=False),
    Column("looked_by", String(64), nullable=False),
    Column("looked_at", UtcDateTime, nullable=False),
    UniqueConstraint("history", "profile_name", "profile_version", name="uq_looks_profile"),
)

# One row per replay of a market under a profile. `state` is waiting, running, done or failed (and
# `message` says why); `through` is the last bar whose rows are stored.
replays = Table(
    "replays",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("source", Text, nullable=False),
    Column("profile_name", String(64), nullable=False),
    Column("profile_version", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("rows_done", Integer, nullable=False),
    Column("rows_total", Integer, nullable=False),
    Column("through", UtcDateTime),
    Column("message", Text),
    Column("started_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name="state"),
)
