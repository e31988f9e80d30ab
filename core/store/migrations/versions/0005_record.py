"""The record: verdicts of models, the ledger, tallies, profiles in force, backtests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "backtests",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("history", sa.String(length=256), nullable=False),
        sa.Column("history_digest", sa.String(length=64), nullable=True),
        sa.Column("profile_name", sa.String(length=64), nullable=False),
        sa.Column("profile_version", sa.String(length=16), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_back_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("fraction", sa.Float(), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("held_back", sa.JSON(), nullable=True),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'cancelled')",
            name=op.f("ck_backtests_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtests")),
    )
    op.create_index("ix_backtests_asked_at", "backtests", ["asked_at"], unique=False)
    op.create_table(
        "factor_days",
        sa.Column("windows_version", sa.String(length=16), nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("factor", sa.String(length=32), nullable=False),
        sa.Column("other", sa.String(length=32), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("sum_product", sa.Float(), nullable=False),
        sa.Column("sum_factor_squared", sa.Float(), nullable=False),
        sa.Column("sum_other_squared", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint(
            "windows_version", "day", "factor", "other", name=op.f("pk_factor_days")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("position", RowId, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("row_id", RowId, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_ledger")),
        sa.UniqueConstraint("kind", "row_id", name="uq_ledger_row"),
        sa.CheckConstraint("position > 0", name=op.f("ck_ledger_position")),
    )
    op.create_table(
        "tally_cells",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("profile_name", sa.String(length=64), nullable=False),
        sa.Column("profile_version", sa.String(length=16), nullable=False),
        sa.Column("judge", sa.String(length=160), nullable=False),
        sa.Column("recorded", sa.String(length=8), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("risk_mode", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.SmallInteger(), nullable=False),
        sa.Column("horizon", sa.String(length=8), nullable=False),
        sa.Column("coverage_bin", sa.SmallInteger(), nullable=False),
        sa.Column("score_bin", sa.SmallInteger(), nullable=False),
        sa.Column("traded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tally_cells")),
        sa.UniqueConstraint(
            "profile_name",
            "profile_version",
            "judge",
            "recorded",
            "verdict",
            "risk_mode",
            "direction",
            "horizon",
            "coverage_bin",
            "score_bin",
            "traded",
            name="uq_tally_cells_cell",
        ),
    )
    op.create_table(
        "looks",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("history", sa.String(length=256), nullable=False),
        sa.Column("profile_name", sa.String(length=64), nullable=False),
        sa.Column("profile_version", sa.String(length=16), nullable=False),
        sa.Column("backtest_id", sa.String(length=16), nullable=False),
        sa.Column("looked_by", sa.String(length=64), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["backtest_id"], ["backtests.id"], name=op.f("fk_looks_backtest_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_looks")),
        sa.UniqueConstraint("history", "profile_name", "profile_version", name="uq_looks_profile"),
    )
    op.create_table(
        "profiles_in_force",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("profile_name", sa.String(length=64), nullable=False),
        sa.Column("profile_version", sa.String(length=16), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_by", sa.String(length=64), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_name", "profile_version"],
            ["profiles.name", "profiles.version"],
            name="fk_profiles_in_force_profile",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profiles_in_force")),
    )
    op.create_table(
        "tallies",
        sa.Column("cell_id", RowId, nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.Column("long_wins", sa.Integer(), nullable=False),
        sa.Column("opposite_wins", sa.Integer(), nullable=False),
        sa.Column("beyond", sa.Integer(), nullable=False),
        sa.Column("n_r", sa.Integer(), nullable=False),
        sa.Column("n_barrier", sa.Integer(), nullable=False),
        sa.Column("stops", sa.Integer(), nullable=False),
        sa.Column("targets", sa.Integer(), nullable=False),
        sa.Column("n_path", sa.Integer(), nullable=False),
        sa.Column("funding_assumed", sa.Integer(), nullable=False),
        sa.Column("r_00", sa.Integer(), nullable=False),
        sa.Column("r_01", sa.Integer(), nullable=False),
        sa.Column("r_02", sa.Integer(), nullable=False),
        sa.Column("r_03", sa.Integer(), nullable=False),
        sa.Column("r_04", sa.Integer(), nullable=False),
        sa.Column("r_05", sa.Integer(), nullable=False),
        sa.Column("r_06", sa.Integer(), nullable=False),
        sa.Column("r_07", sa.Integer(), nullable=False),
        sa.Column("r_08", sa.Integer(), nullable=False),
        sa.Column("r_09", sa.Integer(), nullable=False),
        sa.Column("r_10", sa.Integer(), nullable=False),
        sa.Column("r_11", sa.Integer(), nullable=False),
        sa.Column("r_12", sa.Integer(), nullable=False),
        sa.Column("r_13", sa.Integer(), nullable=False),
        sa.Column("r_14", sa.Integer(), nullable=False),
        sa.Column("r_15", sa.Integer(), nullable=False),
        sa.Column("r_16", sa.Integer(), nullable=False),
        sa.Column("r_17", sa.Integer(), nullable=False),
        sa.Column("r_18", sa.Integer(), nullable=False),
        sa.Column("r_19", sa.Integer(), nullable=False),
        sa.Column("r_20", sa.Integer(), nullable=False),
        sa.Column("r_21", sa.Integer(), nullable=False),
        sa.Column("sum_net", sa.Float(), nullable=False),
        sa.Column("sum_net_squared", sa.Float(), nullable=False),
        sa.Column("gain_net", sa.Float(), nullable=False),
        sa.Column("loss_net", sa.Float(), nullable=False),
        sa.Column("sum_long_net", sa.Float(), nullable=False),
        sa.Column("sum_opposite_net", sa.Float(), nullable=False),
        sa.Column("sum_r", sa.Float(), nullable=False),
        sa.Column("sum_r_squared", sa.Float(), nullable=False),
        sa.Column("gain_r", sa.Float(), nullable=False),
        sa.Column("loss_r", sa.Float(), nullable=False),
        sa.Column("sum_barrier_r", sa.Float(), nullable=False),
        sa.Column("sum_mae_r", sa.Float(), nullable=False),
        sa.Column("sum_mfe_r", sa.Float(), nullable=False),
        sa.Column("forgone_gain_r", sa.Float(), nullable=False),
        sa.Column("forgone_loss_r", sa.Float(), nullable=False),
        sa.Column("sum_claimed", sa.Float(), nullable=False),
        sa.Column("sum_claimed_squared", sa.Float(), nullable=False),
        sa.Column("sum_claimed_wins", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["cell_id"], ["tally_cells.id"], name=op.f("fk_tallies_cell_id")),
        sa.PrimaryKeyConstraint("cell_id", "day", name=op.f("pk_tallies")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "questions",
        sa.Column("signal_id", RowId, nullable=False),
        sa.Column("shared_with", RowId, nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=256), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("prompt_version", sa.String(length=16), nullable=False),
        sa.Column("temperature", sa.Float(), nullable=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("reserved_usd", sa.Float(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["shared_with"], ["signals.id"], name=op.f("fk_questions_shared_with")
        ),
        sa.ForeignKeyConstraint(["signal_id"], ["signals.id"], name=op.f("fk_questions_signal_id")),
        sa.PrimaryKeyConstraint("signal_id", name=op.f("pk_questions")),
    )
    op.create_index("ix_questions_claimed_at", "questions", ["claimed_at"])
    op.create_table(
        "verdicts",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("signal_id", RowId, nullable=False),
        sa.Column("shared_with", RowId, nullable=True),
        sa.Column("endpoint", sa.String(length=256), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("prompt_version", sa.String(length=16), nullable=False),
        sa.Column("temperature", sa.Float(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("risk_mode", sa.String(length=16), nullable=True),
        sa.Column("multiplier", sa.Float(), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("change_of_mind", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("question", sa.Text(), nullable=True),
        sa.Column("raw_reply", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'answered') = (verdict IS NOT NULL)", name=op.f("ck_verdicts_answered")
        ),
        sa.CheckConstraint(
            "state IN ('answered', 'timed_out', 'refused', 'cut_off', 'invalid', 'failed', 'unavailable', 'over_budget', 'lost')",
            name=op.f("ck_verdicts_state"),
        ),
        sa.CheckConstraint(
            "(verdict IS NULL) = (multiplier IS NULL)", name=op.f("ck_verdicts_whole")
        ),
        sa.CheckConstraint(
            "multiplier >= 0 AND multiplier <= 1.5", name=op.f("ck_verdicts_multiplier")
        ),
        sa.ForeignKeyConstraint(
            ["shared_with"], ["signals.id"], name=op.f("fk_verdicts_shared_with")
        ),
        sa.ForeignKeyConstraint(["signal_id"], ["signals.id"], name=op.f("fk_verdicts_signal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
        sa.UniqueConstraint("signal_id", name=op.f("uq_verdicts_signal_id")),
    )
    op.create_index("ix_verdicts_asked_at", "verdicts", ["asked_at"])


def downgrade() -> None:
    op.drop_table("verdicts")
    op.drop_table("questions")
    op.drop_table("tallies")
    op.drop_table("profiles_in_force")
    op.drop_table("looks")
    op.drop_table("tally_cells")
    op.drop_table("ledger")
    op.drop_table("factor_days")
    op.drop_index("ix_backtests_asked_at", table_name="backtests")
    op.drop_table("backtests")
