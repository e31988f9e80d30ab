"""The tables. A migration under migrations/ makes each change; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from core.accuracy import tallies as sums
from core.market import frame
from core.market.files import FILES, UNIVERSE, Source
from core.store.append_only import make_append_only
from core.store.database import UtcDateTime
from core.store.measures import AGES, MEASURED

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
RowId = BigInteger().with_variant(Integer, "sqlite")

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
    # Signals that are followed, by time: what became of them is listed and counted day by day.
    Index(
        "ix_signals_followed",
        "profile_name",
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

users = Table(
    "users",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("username", String(64), nullable=False, unique=True),
    Column("name", String(128), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(256), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("role IN ('trader', 'analyst', 'admin')", name="role"),
)

# Only the SHA-256 of a token is kept. A guest session has no user.
sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", RowId, ForeignKey("users.id", ondelete="CASCADE"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("user_agent", String(256), nullable=False, default=""),
)

# A ticket carries a sign-in from the page to the route that sets the cookie: used once, for
# seconds, in the browser that asked for it.
tickets = Table(
    "tickets",
    metadata,
    Column("ticket_hash", String(64), primary_key=True),
    Column("browser_hash", String(64), nullable=False),
    Column("user_id", RowId, ForeignKey("users.id", ondelete="CASCADE")),
    Column("next_path", String(512), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("username", String(64), nullable=False, index=True),
    Column("address", String(64), nullable=False, index=True),
    Column("succeeded", Boolean, nullable=False),
    Column("attempted_at", UtcDateTime, nullable=False),
)

# What makes up the record can be added to and nothing else, which the database itself sees to.
make_append_only(metadata)
