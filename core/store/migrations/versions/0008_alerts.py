"""Alert rules, their states and events, channels and deliveries, and the log of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Rows are only ever added to these; by which keys one could come over another (SQLite's REPLACE).
KEYS = {
    "alert_rule_versions": (("rule_id", "version"),),
    "alert_events": (("id",), ("rule_id", "symbol", "at", "kind")),
    "audit_log": (("id",),),
}
# Whoever stores these leaves it to the database to skip what is there.
SKIPPED = ("alert_events",)


def upgrade() -> None:
    op.create_table(
        "alert_rules",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_rules")),
    )
    op.create_index(
        "uq_alert_rules_name",
        "alert_rules",
        ["name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )

    op.create_table(
        "audit_log",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"], unique=False)
    op.create_index("ix_audit_log_subject", "audit_log", ["subject", "subject_id"], unique=False)

    op.create_table(
        "silences",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("matcher", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("end_at >= start_at", name=op.f("ck_silences_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silences")),
    )
    op.create_index("ix_silences_end_at", "silences", ["end_at"], unique=False)

    op.create_table(
        "acknowledgements",
        sa.Column("rule_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["alert_rules.id"], name=op.f("fk_acknowledgements_rule_id")
        ),
        sa.PrimaryKeyConstraint("rule_id", "symbol", "fired_at", name=op.f("pk_acknowledgements")),
    )
    op.create_table(
        "alert_events",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("rule_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("told", sa.String(length=64), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["alert_rules.id"], name=op.f("fk_alert_events_rule_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_events")),
        sa.UniqueConstraint("rule_id", "symbol", "at", "kind", name="uq_alert_events_event"),
    )
    op.create_index("ix_alert_events_at", "alert_events", ["at"], unique=False)
    op.create_index("ix_alert_events_rule", "alert_events", ["rule_id", "at"], unique=False)

    op.create_table(
        "alert_progress",
        sa.Column("rule_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("bar", sa.DateTime(timezone=True), nullable=False),
        sa.Column("health", sa.String(length=8), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("symbols", sa.Integer(), nullable=False),
        sa.Column("stepped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("values", sa.JSON(), nullable=True),
        sa.CheckConstraint(
            "health IN ('ok', 'no_data', 'error')", name=op.f("ck_alert_progress_health")
        ),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["alert_rules.id"], name=op.f("fk_alert_progress_rule_id")
        ),
        sa.PrimaryKeyConstraint("rule_id", name=op.f("pk_alert_progress")),
    )
    op.create_table(
        "alert_rule_versions",
        sa.Column("rule_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["alert_rules.id"], name=op.f("fk_alert_rule_versions_rule_id")
        ),
        sa.PrimaryKeyConstraint("rule_id", "version", name=op.f("pk_alert_rule_versions")),
    )
    op.create_table(
        "alert_states",
        sa.Column("rule_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("health", sa.String(length=8), nullable=False),
        sa.Column("waits", sa.String(length=16), nullable=False),
        sa.Column("last", sa.String(length=8), nullable=False),
        sa.Column("armed", sa.Boolean(), nullable=False),
        sa.Column("run_lost_s", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unknown_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fired_parts", sa.JSON(), nullable=True),
        sa.CheckConstraint(
            "health IN ('ok', 'no_data', 'error')", name=op.f("ck_alert_states_health")
        ),
        sa.CheckConstraint(
            "phase IN ('inactive', 'pending', 'firing', 'recovering')",
            name=op.f("ck_alert_states_phase"),
        ),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["alert_rules.id"], name=op.f("fk_alert_states_rule_id")
        ),
        sa.PrimaryKeyConstraint("rule_id", "symbol", name=op.f("pk_alert_states")),
    )
    op.create_index("ix_alert_states_phase", "alert_states", ["phase"], unique=False)

    op.create_table(
        "channels",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.Column("shown", sa.String(length=256), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('apprise', 'webhook')", name=op.f("ck_channels_kind")),
        sa.CheckConstraint("per_minute > 0", name=op.f("ck_channels_per_minute")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
    )
    op.create_table(
        "deliveries",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column(
            "channel_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("rule_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("set_aside", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'sent', 'dead', 'dropped')", name=op.f("ck_deliveries_state")
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("fk_deliveries_channel_id")
        ),
        sa.ForeignKeyConstraint(["rule_id"], ["alert_rules.id"], name="fk_deliveries_rule"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("key", name=op.f("uq_deliveries_key")),
    )
    op.create_index(
        "ix_deliveries_channel", "deliveries", ["channel_id", "state", "next_at"], unique=False
    )
    op.create_index("ix_deliveries_due", "deliveries", ["state", "next_at"], unique=False)
    op.create_index("ix_deliveries_made_at", "deliveries", ["made_at"], unique=False)

    op.create_table(
        "subscriptions",
        sa.Column(
            "channel_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name=op.f("fk_subscriptions_channel_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("channel_id", name=op.f("pk_subscriptions")),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("took_ms", sa.Float(), nullable=True),
        sa.Column("succeeded", sa.Boolean(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_delivery_attempts_delivery_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
    )
    op.create_index(
        op.f("ix_delivery_attempts_delivery_id"), "delivery_attempts", ["delivery_id"], unique=False
    )
    op.create_index(
        "ix_delivery_attempts_started_at", "delivery_attempts", ["started_at"], unique=False
    )

    _guard()


def downgrade() -> None:
    op.drop_index(
        "ix_delivery_attempts_started_at",
        table_name="delivery_attempts",
    )
    op.drop_index(
        op.f("ix_delivery_attempts_delivery_id"),
        table_name="delivery_attempts",
    )

    op.drop_table("delivery_attempts")
    op.drop_table("subscriptions")
    op.drop_index(
        "ix_deliveries_made_at",
        table_name="deliveries",
    )
    op.drop_index(
        "ix_deliveries_due",
        table_name="deliveries",
    )
    op.drop_index(
        "ix_deliveries_channel",
        table_name="deliveries",
    )

    op.drop_table("deliveries")
    op.drop_table("channels")
    op.drop_index(
        "ix_alert_states_phase",
        table_name="alert_states",
    )

    op.drop_table("alert_states")
    op.drop_table("alert_rule_versions")
    op.drop_table("alert_progress")
    op.drop_index(
        "ix_alert_events_rule",
        table_name="alert_events",
    )
    op.drop_index(
        "ix_alert_events_at",
        table_name="alert_events",
    )

    op.drop_table("alert_events")
    op.drop_table("acknowledgements")
    op.drop_index(
        "ix_silences_end_at",
        table_name="silences",
    )

    op.drop_table("silences")
    op.drop_index(
        "ix_audit_log_subject",
        table_name="audit_log",
    )
    op.drop_index(
        "ix_audit_log_at",
        table_name="audit_log",
    )

    op.drop_table("audit_log")
    op.drop_index(
        "uq_alert_rules_name",
        table_name="alert_rules",
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )

    op.drop_table("alert_rules")


def _guard() -> None:
    conn = op.get_bind()
    for table, keys in KEYS.items():
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
                f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            )
            continue
        for action in ("UPDATE", "DELETE"):
            conn.exec_driver_sql(
                f"CREATE TRIGGER {table}_refuses_{action.lower()} BEFORE {action} ON {table} BEGIN "
                f"SELECT RAISE(ABORT, 'Rows of {table} are only ever added: {action} is refused.'); "
                "END"
            )
        conn.exec_driver_sql(_against_replacing(table, keys))


def _against_replacing(table: str, keys: tuple[tuple[str, ...], ...]) -> str:
    met = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE "
        + " AND ".join(f"{column} = NEW.{column}" for column in key)
        + ")"
        for key in keys
    )
    met += f" OR NEW.rowid <> -1 AND EXISTS (SELECT 1 FROM {table} WHERE rowid = NEW.rowid)"
    refused = f"ABORT, 'Rows of {table} are only ever added: to replace one is refused.'"
    return (
        f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} WHEN {met} "
        f"BEGIN SELECT RAISE({'IGNORE' if table in SKIPPED else refused}); END"
    )
