"""Alert rules, what they did, to whom it was told, and who changed what.

A rule is what its newest version says. What a bar did to it (`alert_progress`, `alert_states`), the
events, the messages and their deliveries are written in one transaction.
"""

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
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from core.store.database import UtcDateTime
from core.store.tables.base import RowId, metadata

alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    Index(
        "uq_alert_rules_name",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
)

# Every version that a rule ever had; `body` is the whole definition.
alert_rule_versions = Table(
    "alert_rule_versions",
    metadata,
    Column("rule_id", RowId, ForeignKey("alert_rules.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", JSON, nullable=False),
    Column("note", Text, nullable=False),
    Column("author", String(64), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

# Up to which bar a rule was stepped, with which version, and how that went. `health` is ok, no_data
# (unknown for every market) or error (`message` says which). `values` are those of every part of the
# expression at the bar, of the symbols that fire.
alert_progress = Table(
    "alert_progress",
    metadata,
    Column("rule_id", RowId, ForeignKey("alert_rules.id"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("bar", UtcDateTime, nullable=False),
    Column("health", String(8), nullable=False),
    Column("message", Text),
    Column("unknown", Integer, nullable=False),
    Column("symbols", Integer, nullable=False),
    Column("stepped_at", UtcDateTime, nullable=False),
    Column("values", JSON(none_as_null=True)),
    CheckConstraint("health IN ('ok', 'no_data', 'error')", name="health"),
)

# Where the machine stands for a symbol (see `core.alerts.states`); one without a row is as good as never
# heard of. `fired_parts` are the values of every part of the expression when it fired last.
alert_states = Table(
    "alert_states",
    metadata,
    Column("rule_id", RowId, ForeignKey("alert_rules.id"), primary_key=True),
    Column("symbol", String(32), primary_key=True),
    Column("phase", String(16), nullable=False),
    Column("health", String(8), nullable=False),
    Column("waits", String(16), nullable=False),
    Column("last", String(8), nullable=False),
    Column("armed", Boolean, nullable=False),
    Column("run_lost_s", Float, nullable=False),
    Column("seen_at", UtcDateTime),
    Column("unknown_since", UtcDateTime),
    Column("run_since", UtcDateTime),
    Column("began_at", UtcDateTime),
    Column("fired_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("told_at", UtcDateTime),
    Column("acknowledged_at", UtcDateTime),
    Column("fired_parts", JSON(none_as_null=True)),
    CheckConstraint("phase IN ('inactive', 'pending', 'firing', 'recovering')", name="phase"),
    CheckConstraint("health IN ('ok', 'no_data', 'error')", name="health"),
    Index("ix_alert_states_phase", "phase"),
)

# What happened: rows are only added. `at` is the bar; `parts` are the values of every part of the
# expression then, and `told` the reason why a message was or was not made of it.
alert_events = Table(
    "alert_events",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("rule_id", RowId, ForeignKey("alert_rules.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("symbol", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("began_at", UtcDateTime),
    Column("fired_at", UtcDateTime),
    Column("severity", String(16), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("told", String(64), nullable=False),
    Column("parts", JSON(none_as_null=True)),
    Column("recorded_at", UtcDateTime, nullable=False),
    UniqueConstraint("rule_id", "symbol", "at", "kind", name="uq_alert_events_event"),
    Index("ix_alert_events_at", "at"),
    Index("ix_alert_events_rule", "rule_id", "at"),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("rule_id", RowId, ForeignKey("alert_rules.id"), primary_key=True),
    Column("symbol", String(32), primary_key=True),
    Column("fired_at", UtcDateTime, primary_key=True),
    Column("by", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("acknowledged_at", UtcDateTime, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("matcher", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("start_at", UtcDateTime, nullable=False),
    Column("end_at", UtcDateTime, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    CheckConstraint("end_at >= start_at", name="order"),
    Index("ix_silences_end_at", "end_at"),
)

# Where messages go. A channel without an owner is everybody's and used by rules that name it; one of a
# user (by username: people live in another database) is used by what they subscribed to. `secret` is encrypted (see `core.alerts.sealing`), and holds
# all of the address, since most addresses are secrets themselves.
channels = Table(
    "channels",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("owner", String(64)),
    Column("name", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("service", String(64), nullable=False),
    Column("shown", String(256), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("per_minute", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    CheckConstraint("kind IN ('apprise', 'webhook')", name="kind"),
    CheckConstraint("per_minute > 0", name="per_minute"),
)

# Which rules and severities reach a user's own channel, and when not (`body`: rules, severities, quiet
# hours and their time zone).
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("channel_id", RowId, ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True),
    Column("body", JSON, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# A message to one channel. `key` is the same however often it is sent, so that a receiver can tell.
# `held_until` is the lease of who is sending it now; `state` is waiting, sent, dead (given up; can be
# sent again) or dropped (the channel is gone, or an administrator wanted that). It is tried for a day from `since` on; one that was
# `set_aside` no longer holds back what comes after it.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("channel_id", RowId, ForeignKey("channels.id"), nullable=False),
    Column("rule_id", RowId),
    Column("severity", String(16), nullable=False),
    Column("body", JSON, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("set_aside", Boolean, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("holder", String(64)),
    Column("held_until", UtcDateTime),
    Column("last_error", Text),
    Column("made_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    ForeignKeyConstraint(["rule_id"], ["alert_rules.id"], name="fk_deliveries_rule"),
    CheckConstraint("state IN ('waiting', 'sent', 'dead', 'dropped')", name="state"),
    Index("ix_deliveries_due", "state", "next_at"),
    Index("ix_deliveries_channel", "channel_id", "state", "next_at"),
    Index("ix_deliveries_made_at", "made_at"),
)

# Every time something was sent, and what came of it: not known (NULL) while it is under way, and for
# ever where the worker ended meanwhile.
delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("delivery_id", RowId, ForeignKey("deliveries.id"), nullable=False, index=True),
    Column("worker", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("took_ms", Float),
    Column("succeeded", Boolean),
    Column("message", Text, nullable=False),
    Index("ix_delivery_attempts_started_at", "started_at"),
)

# Who changed what, when, from what to what; rows are only added.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("by", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String(32), nullable=False),
    Column("subject_id", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("before", JSON),
    Column("after", JSON),
    Index("ix_audit_log_at", "at"),
    Index("ix_audit_log_subject", "subject", "subject_id"),
)
