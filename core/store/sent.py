"""What became of messages, by the names of their channels: counts, what was given up, and every try."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from core.store.channels import list_channels
from core.store.delivery_log import list_deliveries, load_counts
from core.store.tables import channels, deliveries, delivery_attempts


@dataclass(frozen=True)
class Counted:
    """A channel's messages. ``oldest`` is when the oldest that waits was made, ``sent`` counts those of
    the last 24 hours. What is held until quiet hours end does not wait yet."""

    channel_id: int
    channel: str
    owner: str | None
    enabled: bool
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
    """Every channel that is not deleted with what waits, was sent and was given up, by name."""
    last = dict(
        row._tuple()
        for row in conn.execute(
            select(deliveries.c.channel_id, func.max(deliveries.c.sent_at))
            .where(deliveries.c.state == "sent")
            .group_by(deliveries.c.channel_id)
        )
    )
    counts = {one.channel_id: one for one in load_counts(conn, now)}
    return [
        Counted(
            channel_id=one.id,
            channel=one.name,
            owner=one.owner,
            enabled=one.enabled,
            waiting=counts[one.id].waiting,
            oldest=counts[one.id].oldest_waiting_at,
            dead=counts[one.id].dead,
            sent=counts[one.id].sent_last_day,
            last_sent_at=last.get(one.id),
            last_error=counts[one.id].last_error,
        )
        for one in list_channels(conn, everything=True)
        if one.id in counts
    ]


def list_dead(conn: Connection, *, channel_id: int | None = None, limit: int = 100) -> list[Dead]:
    """What was given up and can be sent again, the newest first."""
    named = {one.id: one for one in list_channels(conn, everything=True)}
    wanted = list(named) if channel_id is None else [channel_id]
    found = list_deliveries(conn, channel_ids=wanted, state="dead", limit=limit)
    return [
        Dead(
            one.id,
            one.channel_id,
            named[one.channel_id].name,
            named[one.channel_id].owner,
            one.severity,
            str(one.body.get("title", "")),
            one.attempts,
            one.last_error or "",
            one.made_at,
        )
        for one in found
        if one.channel_id in named
    ]


def list_attempts(
    conn: Connection, *, channel_id: int | None = None, limit: int = 100
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
