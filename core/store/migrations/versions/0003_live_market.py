"""What sources published as it was first seen, and the work on it: rounds, leases, health."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Table, keys, the time from which on a row was known, numbers.
OBSERVED: tuple[tuple[str, Sequence[str], str, Sequence[str]], ...] = (
    (
        "candles_1h",
        ("symbol", "venue", "open_at"),
        "published_at",
        ("open", "high", "low", "close", "volume", "quote_volume"),
    ),
    (
        "funding",
        ("symbol", "venue", "settled_at"),
        "settled_at",
        ("funding_rate", "interval_hours"),
    ),
    (
        "open_interest",
        ("symbol", "venue", "published_at"),
        "published_at",
        ("open_interest_usd", "open_interest"),
    ),
    (
        "long_short",
        ("symbol", "venue", "published_at"),
        "published_at",
        ("long_account_share", "top_account_long_share", "top_position_long_share"),
    ),
    (
        "liquidations_4h",
        ("symbol", "venue", "open_at", "published_at"),
        "published_at",
        ("long_liquidations_usd", "short_liquidations_usd"),
    ),
    ("social", ("symbol", "venue", "published_at"), "published_at", ("social_score",)),
    ("fear_greed", ("venue", "published_at"), "published_at", ("fear_greed",)),
)


def upgrade() -> None:
    for name, keys, known_at, numbers in OBSERVED:
        _create_observed(f"observed_{name}", keys, known_at, numbers)
    op.create_table(
        "rounds",
        _time("time"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("new_observations", sa.Integer(), nullable=False),
        sa.Column("new_bars", sa.Integer(), nullable=False),
        sa.Column("new_signals", sa.Integer(), nullable=False),
        sa.Column("new_outcomes", sa.Integer(), nullable=False),
        _time("started_at"),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name=op.f("ck_rounds_state")),
        sa.PrimaryKeyConstraint("time", name=op.f("pk_rounds")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        _time("taken_at"),
        _time("held_until"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "source_health",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("healthy", sa.Boolean(), nullable=False),
        sa.Column("last_success_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_failure_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_failure", sa.Text(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source_health")),
    )


def downgrade() -> None:
    for name in ("source_health", "leases", "rounds"):
        op.drop_table(name)
    for name, _, known_at, _ in reversed(OBSERVED):
        op.drop_index(op.f(f"ix_observed_{name}_{known_at}"), table_name=f"observed_{name}")
        op.drop_table(f"observed_{name}")


def _create_observed(
    table: str, keys: Sequence[str], known_at: str, numbers: Sequence[str]
) -> None:
    op.create_table(
        table,
        *(_time(key) if key.endswith("_at") else _word(key) for key in keys),
        *([] if known_at in keys else [_time(known_at)]),
        *(sa.Column(number, sa.Float(), nullable=True) for number in numbers),
        _time("seen_at"),
        sa.PrimaryKeyConstraint(*keys, name=op.f(f"pk_{table}")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f(f"ix_{table}_{known_at}"), table, [known_at])


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _word(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.String(length=32), nullable=False)
