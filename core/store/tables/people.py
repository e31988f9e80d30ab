"""Users, their sessions and their attempts to sign in."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, String, Table

from core.store.database import UtcDateTime
from core.store.tables.base import RowId, metadata

users = Table(
    "users",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("username", String(64), nullable=False, unique=True),
    Column("name", String(128), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(256), nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
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

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("username", String(64), nullable=False, index=True),
    Column("address", String(64), nullable=False, index=True),
    Column("succeeded", Boolean, nullable=False),
    Column("attempted_at", UtcDateTime, nullable=False),
)
