"""People, how they prove who they are, their sessions and their attempts to sign in."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from core.store.database import UtcDateTime
from core.store.tables.base import RowId, metadata

# Who is signed in by an organisation has no password, and is known by who says so (`issuer`) and
# what they are called there for good (`subject`). `seen_at` is the last use of any session.
users = Table(
    "users",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("username", String(64), nullable=False, unique=True),
    Column("name", String(128), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(256)),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("issuer", String(256)),
    Column("subject", String(256)),
    Column("seen_at", UtcDateTime),
    UniqueConstraint("issuer", "subject"),
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

# `browser_hash` is the digest of the token that tells browsers apart; empty where there is none.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("username", String(64), nullable=False, index=True),
    Column("address", String(64), nullable=False, index=True),
    Column("succeeded", Boolean, nullable=False),
    Column("attempted_at", UtcDateTime, nullable=False),
    Column("browser_hash", String(64), nullable=False, server_default=""),
)

# The secret that a person's device makes codes from, sealed. It counts from `confirmed_at` on;
# `last_step` is the half minute of the last code that was taken, as no code is taken twice.
second_factors = Table(
    "second_factors",
    metadata,
    Column("user_id", RowId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("confirmed_at", UtcDateTime),
    Column("last_step", BigInteger, nullable=False, default=0),
)

# Codes for who has lost the device, by their digest; one that was used is gone.
recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("code_hash", String(64), primary_key=True),
    Column(
        "user_id",
        RowId,
        ForeignKey("users.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
)

# Links by which somebody makes an account of their own; one that was used or withdrawn is gone.
invitations = Table(
    "invitations",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("note", String(80), nullable=False, default=""),
    Column("made_by", String(64), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    CheckConstraint("role IN ('trader', 'analyst', 'admin')", name="role"),
)

# Which browser has gone to the organisation to sign in, and where it wants to end. What comes back
# is taken once, in that browser: `identity_hash` is the digest of what was taken.
journeys = Table(
    "journeys",
    metadata,
    Column("browser_hash", String(64), primary_key=True),
    Column("next_path", String(512), nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("identity_hash", String(64), unique=True),
)
