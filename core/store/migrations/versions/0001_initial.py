"""The first schema: market, signals and their outcomes, people and sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MARKET = (
    "open",
    "high",
    "low",
    "close",
    "volume_usd",
    "funding_rate_8h",
    "open_interest_usd",
    "open_interest",
    "long_account_share",
    "top_long_share",
    "long_liquidations_usd",
    "short_liquidations_usd",
    "social_score",
    "fear_greed",
)
FACTORS = (
    "liquidations",
    "price_momentum",
    "funding_rate",
    "long_short_ratio",
    "smart_money",
    "oi_trend",
    "social_sentiment",
    "fear_greed",
)
SOURCES = (
    "candles",
    "funding",
    "open_interest",
    "long_short",
    "liquidations",
    "social",
    "fear_greed",
)
MEASURED = (
    *MARKET,
    *(f"{measure}_{factor}" for factor in FACTORS for measure in ("raw", "normal", "z", "factor")),
    "volatility_ratio",
    "atr",
    "normal_atr",
    *(f"age_{source}" for source in SOURCES),
)


def upgrade() -> None:
    op.create_table(
        "bars",
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("close", sa.Float(), nullable=True),
        sa.Column("volume_usd", sa.Float(), nullable=True),
        sa.Column("funding_rate_8h", sa.Float(), nullable=True),
        sa.Column("open_interest_usd", sa.Float(), nullable=True),
        sa.Column("open_interest", sa.Float(), nullable=True),
        sa.Column("long_account_share", sa.Float(), nullable=True),
        sa.Column("top_long_share", sa.Float(), nullable=True),
        sa.Column("long_liquidations_usd", sa.Float(), nullable=True),
        sa.Column("short_liquidations_usd", sa.Float(), nullable=True),
        sa.Column("social_score", sa.Float(), nullable=True),
        sa.Column("fear_greed", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("symbol", "time", name=op.f("pk_bars")),
    )
    op.create_index("ix_bars_time", "bars", ["time"], unique=False)
    op.create_table(
        "measurements",
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", sa.String(length=16), nullable=False),
        sa.Column("windows_version", sa.String(length=16), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=True) for name in MEASURED),
        sa.Column("others", sa.JSON(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "time", "digest", name=op.f("pk_measurements")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "profiles",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_profiles")),
    )
    op.create_table(
        "replays",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("profile_name", sa.String(length=64), nullable=False),
        sa.Column("profile_version", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("rows_done", sa.Integer(), nullable=False),
        sa.Column("rows_total", sa.Integer(), nullable=False),
        sa.Column("through", sa.DateTime(timezone=True), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed')", name=op.f("ck_replays_state")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_replays")),
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_attempts")),
    )
    op.create_index(
        op.f("ix_sign_in_attempts_address"), "sign_in_attempts", ["address"], unique=False
    )
    op.create_index(
        op.f("ix_sign_in_attempts_username"), "sign_in_attempts", ["username"], unique=False
    )
    op.create_table(
        "users",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('trader', 'analyst', 'admin')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", RowId, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_agent", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "signals",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("profile_name", sa.String(length=64), nullable=False),
        sa.Column("profile_version", sa.String(length=16), nullable=False),
        sa.Column("measurement", sa.String(length=16), nullable=False),
        sa.Column("last_price", sa.Float(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("coverage", sa.Float(), nullable=False),
        sa.Column("agreement", sa.Float(), nullable=True),
        sa.Column("direction", sa.SmallInteger(), nullable=True),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("risk_mode", sa.String(length=16), nullable=True),
        sa.Column("multiplier", sa.Float(), nullable=True),
        sa.Column("conviction", sa.Float(), nullable=True),
        sa.Column("risk_points", sa.Float(), nullable=True),
        sa.Column("no_signal", sa.Text(), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("coverage >= 0 AND coverage <= 1", name=op.f("ck_signals_coverage")),
        sa.CheckConstraint("direction IN (-1, 0, 1)", name=op.f("ck_signals_direction")),
        sa.ForeignKeyConstraint(
            ["profile_name", "profile_version"],
            ["profiles.name", "profiles.version"],
            name="fk_signals_profile",
        ),
        sa.ForeignKeyConstraint(
            ["symbol", "time", "measurement"],
            ["measurements.symbol", "measurements.time", "measurements.digest"],
            name="fk_signals_measurement",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint(
            "profile_name", "symbol", "time", "profile_version", name="uq_signals_row"
        ),
    )
    op.create_table(
        "tickets",
        sa.Column("ticket_hash", sa.String(length=64), nullable=False),
        sa.Column("browser_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", RowId, nullable=True),
        sa.Column("next_path", sa.String(length=512), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_tickets_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("ticket_hash", name=op.f("pk_tickets")),
    )
    op.create_table(
        "outcomes",
        sa.Column("signal_id", RowId, nullable=False),
        sa.Column("horizon", sa.String(length=8), nullable=False),
        sa.Column("entry_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("exit_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_price", sa.Float(), nullable=False),
        sa.Column("exit_price", sa.Float(), nullable=False),
        sa.Column("gross_return", sa.Float(), nullable=False),
        sa.Column("net_return", sa.Float(), nullable=False),
        sa.Column("long_net_return", sa.Float(), nullable=False),
        sa.Column("r_multiple", sa.Float(), nullable=True),
        sa.Column("barrier", sa.String(length=16), nullable=True),
        sa.Column("barrier_r", sa.Float(), nullable=True),
        sa.Column("mae_r", sa.Float(), nullable=True),
        sa.Column("mfe_r", sa.Float(), nullable=True),
        sa.Column("traded", sa.Boolean(), nullable=False),
        sa.Column("funding_assumed", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["signal_id"], ["signals.id"], name=op.f("fk_outcomes_signal_id")),
        sa.PrimaryKeyConstraint("signal_id", "horizon", name=op.f("pk_outcomes")),
    )


def downgrade() -> None:
    op.drop_table("outcomes")
    op.drop_table("tickets")
    op.drop_table("signals")
    op.drop_table("measurements")
    op.drop_index(op.f("ix_sessions_user_id"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_table("users")
    op.drop_index(op.f("ix_sign_in_attempts_username"), table_name="sign_in_attempts")
    op.drop_index(op.f("ix_sign_in_attempts_address"), table_name="sign_in_attempts")
    op.drop_table("sign_in_attempts")
    op.drop_table("replays")
    op.drop_table("profiles")
    op.drop_table("meta")
    op.drop_index("ix_bars_time", table_name="bars")
    op.drop_table("bars")
