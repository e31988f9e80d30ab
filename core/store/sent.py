"""What became of messages: counts per channel, what was given up, and every try."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, select

from core.store.tables import channels, deliveries, delivery_attempts

DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Counted:
    """A channel's messages. ``oldest`` is when the oldest that waits was made, ``sent`` counts those of
    the last 24 hours; a channel that was deleted has ``deleted``."""

    channel_id: int
    channel: str
    owner: str | None
    service: str
    enabled: bool
    deleted: bool
    waiting: int
    oldest: datetime | None
    dead: int
    sent: int
    last_sent_at: datetime | None
    last_error: str | None


@dataclass(frozen=True)
class Dead:
    """A message that was given up, and why."""

    id: int
    channel_id: int
    channel: str
    owner: str | None
    severity: str
    title: str
    attempts: int
    last_error: str
    made_at: datetime


@dataclass(frozen=True)
class Attempt:
    """One try to send a message; ``succeeded`` None where that is not known."""

    id: int
    channel: str
    owner: str | None
    title: str
    started_at: datetime
    took_ms: float | None
    succeeded: bool | None
    message: str
    worker: str


def count_deliveries(conn: Connection, now: datetime) -> list[Counted]:
    """Every channel with what waits, was sent and was given up, by name."""
    one = deliveries.c
    waits, dead = one.state == "waiting", one.state == "dead"
    sums = (
        select(
            one.channel_id,
            func.count().filter(waits).label("waiting"),
            func.min(one.made_at).filter(waits).label("oldest"),
            func.count().filter(dead).label("dead"),
            func.count().filter(and_(one.state == "sent", one.sent_at > now - DAY)).label("sent"),
            func.max(one.sent_at).label("last_sent_at"),
        )
        .group_by(one.channel_id)
        .subquery()
    )
    failed = (
        select(deliveries.c.last_error)
        .where(
            deliveries.c.channel_id == channels.c.id, deliveries.c.state.in_(("waiting", "dead"))
        )
        .where(deliveries.c.last_error.is_not(None))
        .order_by(deliveries.c.id.desc())
        .limit(1)
        .correlate(channels)
        .scalar_subquery()
    )
    query = (
        select(channels, *(sums.c[name] for name in _SUMS), failed.label("last_error"))
        .outerjoin(sums, sums.c.channel_id == channels.c.id)
        .order_by(channels.c.name, channels.c.id)
    )
    return [_counted(row) for row in conn.execute(query)]


def list_dead(
    conn: Connection, *, channel_id: int | None = None, limit: int = 100, offset: int = 0
) -> list[Dead]:
    """What was given up and can be sent again, the newest first."""
    one = deliveries.c
    query = (
        select(
            one.id, one.channel_id, channels.c.name.label("channel"), channels.c.owner,
            one.severity, one.body, one.attempts, one.last_error, one.made_at,
        )
        .join(channels)
        .where(one.state == "dead")
        .order_by(one.id.desc())
        .limit(limit)
        .offset(offset)
    )  # fmt: skip
    if channel_id is not None:
        query = query.where(one.channel_id == channel_id)
    return [
        Dead(
            row.id, row.channel_id, row.channel, row.owner, row.severity,
            str(row.body.get("title", "")), row.attempts, row.last_error or "", row.made_at,
        )
        for row in conn.execute(query)
    ]  # fmt: skip


def list_attempts(
    conn: Connection, *, channel_id: int | None = None, limit: int = 100, offset: int = 0
) -> list[Attempt]:
    """Every try, the newest first."""
    tried = delivery_attempts.c
    query = (
        select(
            tried.id, channels.c.name.label("channel"), channels.c.owner, deliveries.c.body,
            tried.started_at, tried.took_ms, tried.succeeded, tried.message, tried.worker,
        )
        .select_from(delivery_attempts.join(deliveries).join(channels))
        .order_by(tried.id.desc())
        .limit(limit)
        .offset(offset)
    )  # fmt: skip
    if channel_id is not None:
        query = query.where(deliveries.c.channel_id == channel_id)
    return [
        Attempt(
            row.id, row.channel, row.owner, str(row.body.get("title", "")), row.started_at,
            row.took_ms, row.succeeded, row.message, row.worker,
        )
        for row in conn.execute(query)
    ]  # fmt: skip


_SUMS = ("waiting", "oldest", "dead", "sent", "last_sent_at")


def _counted(row: Any) -> Counted:
    return Counted(
        channel_id=row.id,
        channel=row.name,
        owner=row.owner,
        service=row.service,
        enabled=row.enabled,
        deleted=row.deleted_at is not None,
        waiting=row.waiting or 0,
        oldest=row.oldest,
        dead=row.dead or 0,
        sent=row.sent or 0,
        last_sent_at=row.last_sent_at,
        last_error=row.last_error,
    )
