"""How many outcomes are to come, and the index over signals that are followed.

The sums of outcomes that are stored already are made by `core.store.opening` when the schema is the
newest: they are what the product makes of them now, not what it made of them once.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "tallies", sa.Column("followed", sa.Integer(), nullable=False, server_default="0")
    )
    op.create_index(
        "ix_signals_followed",
        "signals",
        ["profile_name", "time"],
        sqlite_where=sa.text("direction <> 0"),
        postgresql_where=sa.text("direction <> 0"),
    )


def downgrade() -> None:
    op.drop_index("ix_signals_followed", table_name="signals")
    op.drop_column("tallies", "followed")
