"""Liquidations as venues report them, their sums per minute, and the streams they come from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "liquidations",
        sa.Column("venue", sa.String(length=32), nullable=False),
        sa.Column("identity", sa.String(length=32), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("liquidated_side", sa.String(length=8), nullable=False),
        sa.Column("price", sa.Float(), nullable=False),
        sa.Column("quantity", sa.Float(), nullable=False),
        sa.Column("usd", sa.Float(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "liquidated_side IN ('long', 'short')",
            name=op.f("ck_liquidations_liquidated_side"),
        ),
        sa.PrimaryKeyConstraint("venue", "identity", name=op.f("pk_liquidations")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_liquidations_occurred_at"), "liquidations", ["occurred_at"])
    op.create_table(
        "liquidation_minutes",
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("venue", sa.String(length=32), nullable=False),
        sa.Column("long_usd", sa.Float(), nullable=False),
        sa.Column("short_usd", sa.Float(), nullable=False),
        sa.Column("long_count", sa.Integer(), nullable=False),
        sa.Column("short_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "symbol", "venue", name=op.f("pk_liquidation_minutes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "streams",
        sa.Column("venue", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("newest_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("spooled", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('connecting', 'live', 'down')", name=op.f("ck_streams_state")
        ),
        sa.PrimaryKeyConstraint("venue", name=op.f("pk_streams")),
    )
    op.create_table(
        "stream_gaps",
        sa.Column("venue", sa.String(length=32), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "started_at", name=op.f("pk_stream_gaps")),
    )


def downgrade() -> None:
    op.drop_table("stream_gaps")
    op.drop_table("streams")
    op.drop_table("liquidation_minutes")
    op.drop_index(op.f("ix_liquidations_occurred_at"), table_name="liquidations")
    op.drop_table("liquidations")
