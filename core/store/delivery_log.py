"""The log of deliveries: what was to be said, every try of it, and how each channel is doing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, select
from sqlalchemy.sql.elements import ColumnElement

from core.store.outbox import MINUTE, is_quiet
from core.store.tables import channels, deliveries, delivery_attempts


@dataclass(frozen=True)
class Delivery:
    """A message in the log: what was to be said, and how far it has come."""

    id: int
    key: str
    channel_id: int
    rule_id: int | None
    severity: str
    body: Mapping[str, Any]
    state: str
    attempts: int
    next_at: datetime
    last_error: str | None
    made_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True)
class Attempt:
    """One try: ``succeeded`` None while it is under way, and where its worker ended meanwhile."""

    started_at: datetime
    worker: str
    took_ms: float | None
    succeeded: bool | None
    message: str


@dataclass(frozen=True)
class Counts:
    """How a channel is doing: what waits and since when, what was given up, what arrived lately."""

    channel_id: int
    waiting: int
    oldest_waiting_at: datetime | None
    dead: int
    sent_last_hour: int
    sent_last_day: int
    failed_last_hour: int
    last_error: str | None


def list_deliveries(
    conn: Connection,
    *,
    channel_ids: Collection[int] | None = None,
    state: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """The newest messages first; ``before_id`` goes on after the last one of a page."""
    names = tuple(Delivery.__dataclass_fields__)
    query = select(*(deliveries.c[name] for name in names)).order_by(deliveries.c.id.desc())
    if channel_ids is not None:
        query = query.where(deliveries.c.channel_id.in_(list(channel_ids)))
    if state is not None:
        query = query.where(deliveries.c.state == state)
    if before_id is not None:
        query = query.where(deliveries.c.id < before_id)
    return [Delivery(**row) for row in conn.execute(query.limit(limit)).mappings()]


def list_attempts(conn: Connection, delivery_id: int) -> list[Attempt]:
    """Every try of a message, the first one first."""
    names = tuple(Attempt.__dataclass_fields__)
    query = (
        select(*(delivery_attempts.c[name] for name in names))
        .where(delivery_attempts.c.delivery_id == delivery_id)
        .order_by(delivery_attempts.c.id)
    )
    return [Attempt(**row) for row in conn.execute(query).mappings()]


def load_counts(conn: Connection, now: datetime) -> list[Counts]:
    """Every channel that is not deleted, by id. What is to wait for a time to come is not counted as
    waiting before it."""
    state, at = deliveries.c.state, deliveries.c.sent_at
    waits = and_(state == "waiting", ~is_quiet)
    sent = state == "sent"
    query = (
        select(
            channels.c.id,
            _number(waits),
            func.min(case((waits, deliveries.c.made_at))),
            _number(state == "dead"),
            _number(and_(sent, at > now - 60 * MINUTE)),
            _number(and_(sent, at > now - 24 * 60 * MINUTE)),
        )
        .select_from(channels)
        .outerjoin(deliveries, deliveries.c.channel_id == channels.c.id)
        .where(channels.c.deleted_at.is_(None))
        .group_by(channels.c.id)
        .order_by(channels.c.id)
    )
    failed, errors = _failed(conn, now - 60 * MINUTE), _errors(conn)
    return [
        Counts(number, waiting, oldest, dead, hour, day, failed.get(number, 0), errors.get(number))
        for number, waiting, oldest, dead, hour, day in conn.execute(query).all()
    ]


def _number(what: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((what, 1), else_=0)), 0)


def _failed(conn: Connection, since: datetime) -> dict[int, int]:
    query = (
        select(deliveries.c.channel_id, func.count())
        .join(delivery_attempts, delivery_attempts.c.delivery_id == deliveries.c.id)
        .where(delivery_attempts.c.started_at > since, ~delivery_attempts.c.succeeded)
        .group_by(deliveries.c.channel_id)
    )
    return {row[0]: row[1] for row in conn.execute(query)}


def _errors(conn: Connection) -> dict[int, str]:
    """Why the newest message of each channel that has not arrived did not."""
    newest = (
        select(func.max(deliveries.c.id))
        .where(deliveries.c.state.in_(("waiting", "dead")), deliveries.c.last_error.is_not(None))
        .group_by(deliveries.c.channel_id)
    )
    query = select(deliveries.c.channel_id, deliveries.c.last_error)
    return {row[0]: row[1] for row in conn.execute(query.where(deliveries.c.id.in_(newest)))}
