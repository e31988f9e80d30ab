"""Channels and messages for tests of the outbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select

from core.store import outbox
from core.store.outbox import Message
from core.store.tables import channels, deliveries, delivery_attempts

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def add_channel(engine: Engine, **changes: Any) -> int:
    """A row of a channel that nothing is sent to in earnest; its id."""
    values = {
        "owner": None,
        "name": "desk",
        "kind": "webhook",
        "service": "Webhook",
        "shown": "https://desk.example",
        "secret": b"",
        "per_minute": 1_000,
        "enabled": True,
        "created_at": NOON,
        "updated_at": NOON,
    }
    with engine.begin() as conn:
        statement = channels.insert().values(values | changes).returning(channels.c.id)
        return int(conn.execute(statement).scalar_one())


def message(channel_id: int, number: int = 0, **changes: Any) -> Message:
    values: dict[str, Any] = {
        "key": f"{channel_id}-{number}",
        "channel_id": channel_id,
        "severity": "warning",
        "title": f"Message {number}",
        "text": "BTCUSDT fires.",
        "content": {"number": number},
    }
    return Message(**values | changes)


def put(engine: Engine, *messages: Message, now: datetime = NOON) -> int:
    with engine.begin() as conn:
        return outbox.put(conn, messages, now)


def states(engine: Engine) -> list[str]:
    with engine.connect() as conn:
        return list(conn.scalars(select(deliveries.c.state).order_by(deliveries.c.id)))


def attempts(engine: Engine) -> list[tuple[bool | None, str]]:
    columns = (delivery_attempts.c.succeeded, delivery_attempts.c.message)
    with engine.connect() as conn:
        found = conn.execute(select(*columns).order_by(delivery_attempts.c.id))
        return [(row.succeeded, row.message) for row in found]
