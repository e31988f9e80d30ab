"""How often which verdict of the rules met which of a model, by day, and followed signals by symbol.

What is stored already is counted by `core.store.opening` when the schema is the newest.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pair_days",
        sa.Column("profile_name", sa.String(length=64), nullable=False),
        sa.Column("profile_version", sa.String(length=16), nullable=False),
        sa.Column("judge", sa.String(length=160), nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded", sa.String(length=8), nullable=False),
        sa.Column("rules", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.SmallInteger(), nullable=False),
        sa.Column("coverage_bin", sa.SmallInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "profile_name",
            "profile_version",
            "judge",
            "day",
            "recorded",
            "rules",
            "model",
            "direction",
            "coverage_bin",
            name=op.f("pk_pair_days"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_signals_followed_symbol",
        "signals",
        ["profile_name", "symbol", "time"],
        sqlite_where=sa.text("direction <> 0"),
        postgresql_where=sa.text("direction <> 0"),
    )


def downgrade() -> None:
    op.drop_index("ix_signals_followed_symbol", table_name="signals")
    op.drop_table("pair_days")
