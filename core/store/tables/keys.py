"""Keys of programs."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, String, Table

from core.store.database import UtcDateTime
from core.store.tables.base import RowId, metadata

# Only the SHA-256 of a key is kept, and its first letters, by which its owner knows it again. A key
# that was rotated names the one that took its place and ends by itself.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column(
        "user_id", RowId, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("name", String(64), nullable=False),
    Column("hint", String(16), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("rotated_to", RowId, ForeignKey("api_keys.id", ondelete="SET NULL")),
)
