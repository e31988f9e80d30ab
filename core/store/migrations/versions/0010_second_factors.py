"""Second factors, recovery codes, invitations, people of an organisation, and who was last seen when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as batch:
        batch.alter_column("password_hash", existing_type=sa.String(length=256), nullable=True)
        batch.add_column(sa.Column("issuer", sa.String(length=256), nullable=True))
        batch.add_column(sa.Column("subject", sa.String(length=256), nullable=True))
        batch.add_column(sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
        batch.create_unique_constraint(op.f("uq_users_issuer_subject"), ["issuer", "subject"])
    op.execute(
        "UPDATE users SET seen_at = (SELECT MAX(seen_at) FROM sessions WHERE user_id = users.id)"
    )
    op.add_column(
        "sign_in_attempts",
        sa.Column("browser_hash", sa.String(length=64), nullable=False, server_default=""),
    )
    op.create_table(
        "second_factors",
        sa.Column("user_id", RowId, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_second_factors_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", RowId, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_recovery_codes")),
    )
    op.create_index(op.f("ix_recovery_codes_user_id"), "recovery_codes", ["user_id"])
    op.create_table(
        "invitations",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=80), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role IN ('trader', 'analyst', 'admin')", name=op.f("ck_invitations_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitations_token_hash")),
    )
    op.create_table(
        "journeys",
        sa.Column("browser_hash", sa.String(length=64), nullable=False),
        sa.Column("next_path", sa.String(length=512), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("identity_hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("browser_hash", name=op.f("pk_journeys")),
        sa.UniqueConstraint("identity_hash", name=op.f("uq_journeys_identity_hash")),
    )


def downgrade() -> None:
    for table in ("journeys", "invitations", "recovery_codes", "second_factors"):
        op.drop_table(table)
    op.drop_column("sign_in_attempts", "browser_hash")
    # Who has no password cannot sign in to what comes before: refused, signed out, and with a hash of
    # none. All others keep their sessions.
    op.execute(
        "DELETE FROM sessions WHERE user_id IN (SELECT id FROM users WHERE password_hash IS NULL)"
    )
    op.execute(
        "DELETE FROM tickets WHERE user_id IN (SELECT id FROM users WHERE password_hash IS NULL)"
    )
    none = sa.text(
        "UPDATE users SET disabled = true, password_hash = :none WHERE password_hash IS NULL"
    )
    op.execute(none.bindparams(none="$2b$12$" + "." * 53))
    with op.batch_alter_table("users") as batch:
        batch.drop_constraint(op.f("uq_users_issuer_subject"), type_="unique")
        for column in ("seen_at", "subject", "issuer"):
            batch.drop_column(column)
        batch.alter_column("password_hash", existing_type=sa.String(length=256), nullable=False)
