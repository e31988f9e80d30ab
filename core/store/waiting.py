"""What waits in the outbox, and what each message waits for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, func, or_, select

from core.store.outbox import MINUTE, QUIET, is_quiet
from core.store.tables import channels, deliveries, delivery_attempts

# off: the channel is switched off. sending: a worker has it in hand. quiet: it is held back until
# quiet hours end. retry: it failed and is tried again later. rate: the channel has had as many in the
# last minute as it takes. behind: one before it goes first. due: it can be sent now.
Reason = Literal["off", "sending", "quiet", "retry", "rate", "behind", "due"]


@dataclass(frozen=True)
class Waiting:
    """A message that waits. ``until`` is when it is looked at again, where that is known, and of one
    that is due since when it is; ``attempts`` is how often it was tried."""

    id: int
    channel_id: int
    channel: str
    owner: str | None
    per_minute: int
    rule: str
    symbols: tuple[str, ...]
    severity: str
    title: str
    made_at: datetime
    attempts: int
    last_error: str | None
    reason: Reason
    until: datetime | None


@dataclass(frozen=True)
class Queue:
    """What waits for a channel: in all, and of that for the end of quiet hours."""

    waiting: int
    quiet: int


@dataclass(frozen=True)
class _Line:
    """A channel: the message that comes next, whether one is being sent, and what it had in the last
    minute."""

    head: int | None
    busy: bool
    recent: int
    oldest: datetime | None


def count_waiting(conn: Connection) -> dict[int, Queue]:
    """What waits, by channel that is not deleted."""
    query = (
        select(deliveries.c.channel_id, func.count(), func.count().filter(is_quiet))
        .join(channels, channels.c.id == deliveries.c.channel_id)
        .where(deliveries.c.state == "waiting", channels.c.deleted_at.is_(None))
        .group_by(deliveries.c.channel_id)
    )
    return {row[0]: Queue(row[1], row[2]) for row in conn.execute(query)}


def list_waiting(
    conn: Connection, now: datetime, *, channel_id: int | None = None, limit: int = 100
) -> list[Waiting]:
    """The oldest messages first."""
    named = channels.c
    query = (
        select(deliveries, named.name.label("channel"), named.owner, named.enabled, named.per_minute)
        .join(channels, named.id == deliveries.c.channel_id)
        .where(deliveries.c.state == "waiting", named.deleted_at.is_(None))
        .order_by(deliveries.c.id)
        .limit(limit)
    )  # fmt: skip
    if channel_id is not None:
        query = query.where(deliveries.c.channel_id == channel_id)
    rows = conn.execute(query).all()
    lines = _load_lines(conn, {row.channel_id for row in rows}, now)
    return [_waiting(row, lines[row.channel_id], now) for row in rows]


def _load_lines(conn: Connection, wanted: Collection[int], now: datetime) -> dict[int, _Line]:
    table = deliveries.c
    comes = or_(and_(table.attempts > 0, ~table.set_aside), table.next_at <= now)
    comes = and_(comes, ~is_quiet)
    query = (
        select(
            table.channel_id,
            func.min(table.id).filter(comes),
            func.count().filter(table.held_until > now),
        )
        .where(table.channel_id.in_(list(wanted)), table.state == "waiting")
        .group_by(table.channel_id)
    )
    tried = delivery_attempts.c
    recent = (
        select(table.channel_id, func.count(), func.min(tried.started_at))
        .join(delivery_attempts, tried.delivery_id == table.id)
        .where(table.channel_id.in_(list(wanted)), tried.started_at > now - MINUTE)
        .group_by(table.channel_id)
    )
    had = {row[0]: (row[1], row[2]) for row in conn.execute(recent)}
    return {
        channel: _Line(head, busy > 0, *had.get(channel, (0, None)))
        for channel, head, busy in conn.execute(query)
    }


def _waiting(row: Row[Any], line: _Line, now: datetime) -> Waiting:
    reason, until = _why(row, line, now)
    told: Mapping[str, Any] = row.body.get("content") or {}
    events = [*(told.get("fired") or ()), *(told.get("resolved") or ())]
    return Waiting(
        id=row.id,
        channel_id=row.channel_id,
        channel=row.channel,
        owner=row.owner,
        per_minute=row.per_minute,
        rule=str(told.get("rule") or ""),
        symbols=tuple(str(one["symbol"]) for one in events),
        severity=row.severity,
        title=str(row.body.get("title", "")),
        made_at=row.made_at,
        attempts=row.attempts,
        last_error=row.last_error,
        reason=reason,
        until=until,
    )


def _why(row: Row[Any], line: _Line, now: datetime) -> tuple[Reason, datetime | None]:
    """As `core.store.outbox` chooses what is sent next."""
    if row.held_until is not None and row.held_until > now:
        return "sending", None
    if not row.enabled:
        return "off", None
    if row.holder == QUIET:
        return "quiet", row.next_at
    if row.next_at > now:
        return ("retry" if row.attempts else "quiet"), row.next_at
    if line.oldest is not None and line.recent >= row.per_minute:
        return "rate", line.oldest + MINUTE
    if line.busy or line.head != row.id:
        return "behind", None
    return "due", row.next_at
