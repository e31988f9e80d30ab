"""What makes up the record: bars, what they measured, signals, verdicts, outcomes, the chain."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from core.market import frame
from core.store.database import UtcDateTime
from core.store.measures import AGES, MEASURED
from core.store.tables.base import RowId, metadata

# What this database is: market, and when it was made. One database never mixes two markets.
meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

profiles = Table(
    "profiles",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", String(16), primary_key=True),
    Column("body", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

bars = Table(
    "bars",
    metadata,
    Column("symbol", String(32), primary_key=True),
    Column("time", UtcDateTime, primary_key=True),
    *(Column(name, Float) for name in frame.NAMES),
    Index("ix_bars_time", "time"),
)

# What a bar measured with some windows (see `Profile.windows_version`) and how old in hours every
# source was; the profiles that share the windows share the row. The digest is over all of these
# numbers, so that other numbers for the same bar, as after its history was restated, are another
# row, and a signal keeps those it was made from. `others` are numbers without a column.
measurements = Table(
    "measurements",
    metadata,
    Column("symbol", String(32), primary_key=True),
    Column("time", UtcDateTime, primary_key=True),
    Column("digest", String(16), primary_key=True),
    Column("windows_version", String(16), nullable=False),
    *(Column(name, Float) for name in (*MEASURED, *AGES)),
    Column("others", JSON),
    Column("recorded_at", UtcDateTime, nullable=False),
)

# A signal is what a profile made of a measurement: together everything known and decided at that
# moment. direction and verdict are NULL where there was no signal, and no_signal says why.
signals = Table(
    "signals",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("symbol", String(32), nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("profile_name", String(64), nullable=False),
    Column("profile_version", String(16), nullable=False),
    Column("measurement", String(16), nullable=False),
    Column("last_price", Float),
    Column("score", Float),
    Column("coverage", Float, nullable=False),
    Column("agreement", Float),
    Column("direction", SmallInteger),
    Column("verdict", String(16)),
    Column("risk_mode", String(16)),
    Column("multiplier", Float),
    Column("conviction", Float),
    Column("risk_points", Float),
    Column("no_signal", Text),
    Column("reasons", JSON, nullable=False),
    Column("plan", JSON),
    Column("recorded_at", UtcDateTime, nullable=False),
    UniqueConstraint("profile_name", "symbol", "time", "profile_version", name="uq_signals_row"),
    ForeignKeyConstraint(
        ["profile_name", "profile_version"],
        ["profiles.name", "profiles.version"],
        name="fk_signals_profile",
    ),
    ForeignKeyConstraint(
        ["symbol", "time", "measurement"],
        ["measurements.symbol", "measurements.time", "measurements.digest"],
        name="fk_signals_measurement",
    ),
    CheckConstraint("direction IN (-1, 0, 1)", name="direction"),
    CheckConstraint("coverage >= 0 AND coverage <= 1", name="coverage"),
    # Signals that are followed, by time: what became of them is listed and counted day by day. And by
    # symbol: single markets are added up, and most of a market's signals have no direction.
    Index(
        "ix_signals_followed",
        "profile_name",
        "time",
        sqlite_where=text("direction <> 0"),
        postgresql_where=text("direction <> 0"),
    ),
    Index(
        "ix_signals_followed_symbol",
        "profile_name",
        "symbol",
        "time",
        sqlite_where=text("direction <> 0"),
        postgresql_where=text("direction <> 0"),
    ),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("signal_id", RowId, ForeignKey("signals.id"), primary_key=True),
    Column("horizon", String(8), primary_key=True),
    Column("entry_at", UtcDateTime, nullable=False),
    Column("exit_at", UtcDateTime, nullable=False),
    Column("entry_price", Float, nullable=False),
    Column("exit_price", Float, nullable=False),
    Column("gross_return", Float, nullable=False),
    Column("net_return", Float, nullable=False),
    Column("long_net_return", Float, nullable=False),
    Column("r_multiple", Float),
    Column("barrier", String(16)),
    Column("barrier_r", Float),
    Column("mae_r", Float),
    Column("mfe_r", Float),
    Column("traded", Boolean, nullable=False),
    Column("funding_assumed", Boolean, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
)

# What a language model said of a signal, once per signal. `prompt_version` is of all that was asked:
# prompt, schema, endpoint and temperature. `state` tells how it went; only an answer
# that kept to the schema (answered) has a verdict, and where there is none the rules' verdict stands.
# An answer that serves several signals with the same question (the modes of one bar) is that of the
# signal shared_with; tokens and cost were spent once, there. Prompts and replies are kept verbatim.
verdicts = Table(
    "verdicts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("signal_id", RowId, ForeignKey("signals.id"), nullable=False, unique=True),
    Column("shared_with", RowId, ForeignKey("signals.id")),
    Column("endpoint", String(256), nullable=False),
    Column("model", String(128), nullable=False),
    Column("prompt_version", String(16), nullable=False),
    Column("temperature", Float),
    Column("state", String(16), nullable=False),
    Column("verdict", String(16)),
    Column("risk_mode", String(16)),
    Column("multiplier", Float),
    Column("reasons", JSON, nullable=False),
    Column("change_of_mind", Text),
    Column("error", Text),
    Column("attempts", Integer, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost_usd", Float),
    Column("latency_ms", Float),
    Column("question", Text),
    Column("raw_reply", Text),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    CheckConstraint(
        "state IN ('answered', 'timed_out', 'refused', 'cut_off', 'invalid', 'failed', "
        "'unavailable', 'over_budget', 'lost')",
        name="state",
    ),
    CheckConstraint("(state = 'answered') = (verdict IS NOT NULL)", name="answered"),
    CheckConstraint("(verdict IS NULL) = (multiplier IS NULL)", name="whole"),
    CheckConstraint("multiplier >= 0 AND multiplier <= 1.5", name="multiplier"),
    Index("ix_verdicts_asked_at", "asked_at"),
)

# Which signals a model is being asked about, and which model, written before it is asked, so that none
# is asked about twice: one without a verdict whose worker is gone was lost. `calls` and `reserved_usd`
# are what the asking may take at worst of the day's budget (NULL where prices are not known); both are
# 0 where the answer comes with that to the signal shared_with.
questions = Table(
    "questions",
    metadata,
    Column("signal_id", RowId, ForeignKey("signals.id"), primary_key=True),
    Column("shared_with", RowId, ForeignKey("signals.id")),
    Column("worker", String(64), nullable=False),
    Column("endpoint", String(256), nullable=False),
    Column("model", String(128), nullable=False),
    Column("prompt_version", String(16), nullable=False),
    Column("temperature", Float),
    Column("calls", Integer, nullable=False),
    Column("reserved_usd", Float),
    Column("claimed_at", UtcDateTime, nullable=False),
    Index("ix_questions_claimed_at", "claimed_at"),
)

# The chain over everything that makes up the record: one row per signal (with what it was made from),
# verdict and outcome, in the order in which they were stored. See `core.store.ledger`.
ledger = Table(
    "ledger",
    metadata,
    Column("position", RowId, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("row_id", RowId, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    UniqueConstraint("kind", "row_id", name="uq_ledger_row"),
    CheckConstraint("position > 0", name="position"),
)
