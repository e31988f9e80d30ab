"""Channels and messages for tests of the outbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine, select

from core.alerts.delivery import Sealer, Target, Written
from core.jobs.sending import Courier, Holding
from core.store import channels as channels_store
from core.store import outbox
from core.store.channels import Who
from core.store.outbox import Claimed, Message
from core.store.tables import channels, deliveries, delivery_attempts
from tests.sent import HERE, NOON
from tests.world.receiver import SECRET

SEALER = Sealer([Fernet.generate_key().decode()])
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


def add_webhook(engine: Engine, url: str, sealer: Sealer = SEALER) -> int:
    """A shared webhook that leads somewhere; its id."""
    target = Target("webhook", url, SECRET)
    with engine.begin() as conn:
        return channels_store.create_channel(
            conn,
            name=url,
            written=Written(target, "Webhook", url, 10_000),
            sealer=sealer,
            owner=None,
            who=Who("ada", is_admin=True),
            now=NOON,
        )


@dataclass
class Clock:
    """A time that stands still until it is moved."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def courier(engine: Engine, clock: Callable[[], datetime], name: str = "one") -> Courier:
    return Courier(engine, lambda: SEALER, HERE, name, clock, chance=lambda: 1.0)


def send_due(sender: Courier) -> int:
    """Everything that can be sent now, channel by channel; how many channels there were."""
    sender.ask_again()
    with sender.engine.connect() as conn:
        found = outbox.load_due(conn, sender.clock())
    for due in found:
        sender.send_all(due.channel_id, lambda: True, Holding(due.channel_id, due.failing))
    return len(found)


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


def claim_one(conn: Connection, channel_id: int, holder: str, now: datetime) -> Claimed | None:
    """The next message of a channel, taken; None where there is none to be sent now."""
    return outbox.claim(conn, [channel_id], holder, now).get(channel_id)
