"""What happened by the wishes of a reader: events, how often rules fired, and what was told of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from core.store.alerts.states import StoredEvent
from core.store.tables import alert_events, channels, deliveries

# What a page of events may be asked for at most.
MOST_EVENTS = 10_000


@dataclass(frozen=True)
class Asked:
    """Which events are wanted; empty means all. ``start`` and ``end`` are bars, both included."""

    rule_ids: tuple[int, ...] | None = None
    symbol: str | None = None
    severities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Told:
    """A message that was made of an event, and what became of it; ``owner`` None is shared, and
    ``channel`` None is for whoever looks to know nothing of."""

    key: str
    channel_id: int
    channel: str | None
    owner: str | None
    state: str
    attempts: int
    last_error: str | None
    made_at: datetime
    sent_at: datetime | None


def list_asked(
    conn: Connection, asked: Asked, limit: int = 100, offset: int = 0
) -> list[StoredEvent]:
    """The newest events first."""
    table = alert_events.c
    query = select(alert_events).where(*_wanted(asked))
    query = query.order_by(table.at.desc(), table.id.desc()).limit(limit).offset(offset)
    return [StoredEvent(**row) for row in conn.execute(query).mappings()]


def list_behind(
    conn: Connection, asked: Asked, place: tuple[datetime, int] | None, limit: int
) -> list[StoredEvent]:
    """The newest events first, those behind one of this bar and number, whatever is stored meanwhile."""
    table = alert_events.c
    query = select(alert_events).where(*_wanted(asked))
    if place is not None:
        at, number = place
        query = query.where(or_(table.at < at, and_(table.at == at, table.id < number)))
    query = query.order_by(table.at.desc(), table.id.desc()).limit(limit)
    return [StoredEvent(**row) for row in conn.execute(query).mappings()]


def count_asked(conn: Connection, asked: Asked) -> int:
    """How many events there are of those."""
    return conn.scalar(select(func.count()).select_from(alert_events).where(*_wanted(asked))) or 0


def count_fired(conn: Connection, asked: Asked) -> list[tuple[datetime, str, int]]:
    """How many firings began at each bar, by severity; the oldest first."""
    table = alert_events.c
    query = (
        select(table.at, table.severity, func.count())
        .where(*_wanted(asked), table.kind == "fired")
        .group_by(table.at, table.severity)
        .order_by(table.at)
    )
    return [(row[0], row[1], row[2]) for row in conn.execute(query)]


def load_told(conn: Connection, events: Collection[StoredEvent]) -> list[Told]:
    """The messages that were made when these events were written down.

    An event and what was made of it have the same moment: they are of one transaction.
    """
    if not events:
        return []
    named = channels.c
    query = (
        select(
            deliveries.c.key,
            deliveries.c.channel_id,
            named.name.label("channel"),
            named.owner,
            deliveries.c.state,
            deliveries.c.attempts,
            deliveries.c.last_error,
            deliveries.c.made_at,
            deliveries.c.sent_at,
        )
        .join(channels, named.id == deliveries.c.channel_id)
        .where(
            deliveries.c.made_at.in_(sorted({one.recorded_at for one in events})),
            deliveries.c.rule_id.in_(sorted({one.rule_id for one in events})),
        )
        .order_by(deliveries.c.id)
    )
    return [Told(**row) for row in conn.execute(query).mappings()]


def _wanted(asked: Asked) -> list[ColumnElement[bool]]:
    table = alert_events.c
    wanted = [
        None if asked.rule_ids is None else table.rule_id.in_(asked.rule_ids),
        None if asked.symbol is None else table.symbol == asked.symbol,
        None if not asked.severities else table.severity.in_(asked.severities),
        None if not asked.kinds else table.kind.in_(asked.kinds),
        None if asked.start is None else table.at >= asked.start,
        None if asked.end is None else table.at <= asked.end,
    ]
    return [one for one in wanted if one is not None]
