"""The outbox: messages that wait to be sent, written in the transaction that made them.

Whoever sends claims the oldest message of a channel for a while, sends it outside of any transaction and
notes what came of it. A channel's messages go out one at a time and in order, whichever worker sends
them. A worker that dies between sending and noting leaves a message that is sent again with the same
key: receivers tell by the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from core.alerts.delivery.retrying import GIVEN_UP
from core.store import audit
from core.store.database import UtcDateTime, dump_json
from core.store.tables import RowId, channels, deliveries, delivery_attempts, subscriptions

# How long a claim lasts unless it is prolonged.
LEASE = timedelta(seconds=60)
MINUTE = timedelta(minutes=1)
SENT_KEPT = timedelta(days=30)
DEAD_KEPT = timedelta(days=90)
# Who holds what waits for the end of quiet hours: nobody gets it before it is asked again.
QUIET = "quiet hours"
UNDER_WAY = "Begun; what came of it is not known."
STALE = "Not sent: the channel was switched off for a day."
_DROPPED_AT_ONCE, _HELD_AT_ONCE = 5_000, 500
# How many messages an entry of the log of changes calls by their titles.
_NAMED = 5


@dataclass(frozen=True)
class Message:
    """What a channel is to be told. ``content`` is what own webhooks get beside title and text;
    before ``not_before`` it waits without holding others back, and longer until it is let go."""

    key: str
    channel_id: int
    severity: str
    title: str
    text: str
    content: Mapping[str, Any]
    rule_id: int | None = None
    not_before: datetime | None = None


@dataclass(frozen=True)
class Claimed:
    """A message that ``holder`` is to send now, for the ``attempt``-th time."""

    id: int
    key: str
    channel_id: int
    rule_id: int | None
    severity: str
    body: Mapping[str, Any]
    made_at: datetime
    since: datetime
    holder: str
    attempt: int
    attempt_id: int


@dataclass(frozen=True)
class Answered:
    """A message that was sent, how long that took, and what the receiver said."""

    claimed: Claimed
    took_ms: float
    message: str


@dataclass(frozen=True)
class Due:
    """A channel whose next message can be sent now; ``failing`` where that was tried before."""

    channel_id: int
    failing: bool


def message_key(
    *, rule_id: int, bar: datetime, kind: str, channel_id: int, symbol: str = ""
) -> str:
    """The key of a message: the same whenever the same bar is worked on again.

    >>> from datetime import UTC
    >>> bar = datetime(2025, 1, 1, tzinfo=UTC)
    >>> message_key(rule_id=1, bar=bar, kind="fired", channel_id=2)[:16]
    '9785012f8c7b4c3e'
    """
    said = dump_json([rule_id, bar.timestamp(), kind, channel_id, symbol])
    return hashlib.sha256(said.encode()).hexdigest()


def put(conn: Connection, messages: Iterable[Message], now: datetime) -> int:
    """Have messages sent once this transaction is over; how many are new.

    A message whose key is there already is left as it is.
    """
    rows = [
        {
            "key": one.key,
            "channel_id": one.channel_id,
            "rule_id": one.rule_id,
            "severity": one.severity,
            "body": {"title": one.title, "text": one.text, "content": dict(one.content)},
            "state": "waiting",
            "attempts": 0,
            "set_aside": False,
            "since": one.not_before or now,
            "next_at": one.not_before or now,
            "holder": QUIET if one.not_before else None,
            "made_at": now,
        }
        for one in messages
    ]
    if not rows:
        return 0
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(deliveries)
    new = insert.on_conflict_do_nothing(index_elements=["key"])
    return conn.execute(new, rows, execution_options={"preserve_rowcount": True}).rowcount


def load_due(conn: Connection, now: datetime) -> list[Due]:
    """Channels with something to send now, those first that did not fail and whose message is oldest."""
    found = conn.execute(_DUE, {"now": now, "minute_ago": now - MINUTE})
    return [Due(row.channel_id, row.attempts > 0) for row in found]


def claim(
    conn: Connection,
    channel_ids: Collection[int],
    holder: str,
    now: datetime,
    length: timedelta = LEASE,
) -> dict[int, Claimed]:
    """Take the next message of each channel; by channel, without those that have none to be sent now.

    Nobody else gets a message of such a channel until it is noted what came of this one, or the
    lease is over.
    """
    free = sorted(channel_ids)
    if conn.dialect.name == "postgresql":
        # Of the others somebody is just claiming.
        free = list(conn.scalars(_LOCK, {"channels": _padded(free)}))
    if not free:
        return {}
    given = {"channels": _padded(free), "now": now, "minute_ago": now - MINUTE}
    rows = conn.execute(_CLAIM, given | {"by": holder, "until": now + length}).all()
    if not rows:
        return {}
    begun = [
        {"delivery_id": row.id, "worker": holder, "started_at": now, "message": UNDER_WAY}
        for row in rows
    ]
    attempts = {row.delivery_id: row.id for row in conn.execute(_BEGIN, begun)}
    names = ("id", "key", "channel_id", "rule_id", "severity", "body", "made_at", "since")
    return {
        row.channel_id: Claimed(
            **{name: getattr(row, name) for name in names},
            holder=holder,
            attempt=row.attempts,
            attempt_id=attempts[row.id],
        )
        for row in rows
    }


def _padded(ids: Sequence[int]) -> list[int]:
    """The ids, the last one several times: few lengths are few statements, which are prepared once.

    >>> _padded([4, 7, 9]), _padded([4])
    ([4, 7, 9, 9], [4])
    """
    length = 1 << (len(ids) - 1).bit_length()
    return [*ids, *[ids[-1]] * (length - len(ids))]


def _heads(*, of_some: bool) -> Select[Any]:
    """Of every channel, or of some, the message that comes next, where it can be sent now.

    One that failed holds back those after it until its time has come, unless it was set aside.
    """
    now = bindparam("now", type_=UtcDateTime())
    other, begun = deliveries.alias("other"), deliveries.alias("begun")
    waits = and_(other.c.state == "waiting", other.c.holder.is_distinct_from(QUIET))
    holds = and_(other.c.attempts > 0, ~other.c.set_aside)
    first = (
        select(other.c.channel_id, func.min(other.c.id).label("id"))
        .where(waits, or_(holds, other.c.next_at <= now))
        .group_by(other.c.channel_id)
    )
    if of_some:
        first = first.where(other.c.channel_id.in_(_CHANNELS))
    heads = first.subquery("heads")
    held = (
        select(begun.c.id)
        .where(
            begun.c.channel_id == channels.c.id,
            begun.c.state == "waiting",
            begun.c.held_until > now,
        )
        .exists()
    )
    # Counted once for all: for each by itself every attempt of the minute would be looked at again.
    counted = (
        select(begun.c.channel_id, func.count().label("attempts"))
        .select_from(delivery_attempts)
        .join(begun, begun.c.id == delivery_attempts.c.delivery_id)
        .where(delivery_attempts.c.started_at > bindparam("minute_ago", type_=UtcDateTime()))
        .group_by(begun.c.channel_id)
    )
    if of_some:
        counted = counted.where(begun.c.channel_id.in_(_CHANNELS))
    recent = counted.subquery("recent")
    return (
        select(deliveries.c.id, deliveries.c.channel_id, deliveries.c.attempts)
        .select_from(heads)
        .join(deliveries, deliveries.c.id == heads.c.id)
        .join(channels, channels.c.id == heads.c.channel_id)
        .outerjoin(recent, recent.c.channel_id == heads.c.channel_id)
        .where(
            deliveries.c.next_at <= now,
            channels.c.enabled,
            channels.c.deleted_at.is_(None),
            ~held.correlate(channels),
            func.coalesce(recent.c.attempts, 0) < channels.c.per_minute,
        )
    )


_CHANNELS = bindparam("channels", type_=RowId, expanding=True)
# To build these takes longer than to run them.
_DUE = _heads(of_some=False).order_by(deliveries.c.attempts > 0, deliveries.c.id)
_LOCK = (
    select(channels.c.id)
    .where(channels.c.id.in_(_CHANNELS))
    .with_for_update(skip_locked=True, key_share=True)  # messages may be put meanwhile
)
_CLAIM = (
    update(deliveries)
    .where(
        deliveries.c.id.in_(_heads(of_some=True).with_only_columns(deliveries.c.id)),
        deliveries.c.state == "waiting",
    )
    .values(
        holder=bindparam("by"), held_until=bindparam("until"), attempts=deliveries.c.attempts + 1
    )
    .returning(deliveries)
)
_BEGIN = delivery_attempts.insert().returning(
    delivery_attempts.c.id, delivery_attempts.c.delivery_id
)


def prolong(
    conn: Connection, claimed: Collection[Claimed], now: datetime, length: timedelta = LEASE
) -> None:
    """Keep what is still being sent."""
    for one in claimed:
        conn.execute(
            update(deliveries).where(_is_held(one)).values(held_until=now + length),
        )


def note_sent(conn: Connection, arrived: Collection[Answered], now: datetime) -> int:
    """Note that messages arrived; of how many that was not known and the channel is still there."""
    _note_attempts(conn, arrived, succeeded=True)
    # Also where another has it in hand by now: it must not be sent a third time.
    ids = _padded([one.claimed.id for one in arrived])
    waits = and_(deliveries.c.id.in_(ids), deliveries.c.state == "waiting")
    return _end(conn, waits, state="sent", sent_at=now, last_error=None)


def note_failed(
    conn: Connection,
    claimed: Claimed,
    *,
    took_ms: float,
    message: str,
    next_at: datetime | None,
    set_aside: bool = False,
    quiet: bool = False,
) -> bool:
    """Note why a message did not arrive, and when it is tried again; None gives it up.

    With ``quiet`` that is the end of quiet hours, when it is asked again first. False where another
    has taken it over.
    """
    _note_attempts(conn, [Answered(claimed, took_ms, message)], succeeded=False)
    held = _is_held(claimed)
    if next_at is None:
        return _end(conn, held, state="dead", last_error=message) == 1
    values = {"next_at": next_at, "last_error": message, "set_aside": set_aside}
    if quiet:
        values |= {"holder": QUIET, "since": next_at}
    return _end(conn, held, **values) == 1


def _is_held(claimed: Claimed) -> ColumnElement[bool]:
    """Whether a claim still stands: attempts are only ever counted up."""
    return and_(
        deliveries.c.id == claimed.id,
        deliveries.c.state == "waiting",
        deliveries.c.holder == claimed.holder,
        deliveries.c.attempts == claimed.attempt,
    )


def _end(conn: Connection, where: ColumnElement[bool], **values: Any) -> int:
    ended = update(deliveries).where(where)
    ended = ended.values({"holder": None, "held_until": None, **values})
    return conn.execute(ended).rowcount


_NOTE_ATTEMPT = (
    update(delivery_attempts)
    .where(delivery_attempts.c.id == bindparam("attempt", type_=RowId))
    .values(took_ms=bindparam("took"), succeeded=bindparam("yes"), message=bindparam("said"))
)


def _note_attempts(conn: Connection, told: Collection[Answered], *, succeeded: bool) -> None:
    conn.execute(
        _NOTE_ATTEMPT,
        [
            {
                "attempt": one.claimed.attempt_id,
                "took": one.took_ms,
                "yes": succeeded,
                "said": one.message,
            }
            for one in told
        ],
    )


@dataclass(frozen=True)
class HeldBack:
    """A message that was held for quiet hours, with what its channel's owner wants by now."""

    id: int
    rule_id: int | None
    severity: str
    body: Mapping[str, Any]
    owner: str | None
    subscription: Mapping[str, Any] | None


is_quiet = and_(deliveries.c.state == "waiting", deliveries.c.holder.is_not_distinct_from(QUIET))


def is_any_held(conn: Connection, now: datetime) -> bool:
    """Whether something was held until now."""
    query = select(deliveries.c.id).where(is_quiet, deliveries.c.next_at <= now).limit(1)
    return conn.scalar(query) is not None


def load_held(conn: Connection, now: datetime) -> list[HeldBack]:
    """What was held until now, the oldest first; nobody else gets that before this transaction ends."""
    of = deliveries.c
    query = (
        select(of.id, of.rule_id, of.severity, of.body, channels.c.owner, subscriptions.c.body)
        .join(channels, channels.c.id == of.channel_id)
        .outerjoin(subscriptions, subscriptions.c.channel_id == of.channel_id)
        .where(is_quiet, of.next_at <= now)
        .order_by(of.id)
        .limit(_HELD_AT_ONCE)
        .with_for_update(of=deliveries, skip_locked=True)
    )
    return [HeldBack(*row) for row in conn.execute(query)]


def let_go(conn: Connection, ids: Collection[int]) -> None:
    """Have what was held sent."""
    _end(conn, and_(is_quiet, deliveries.c.id.in_(list(ids))))


def hold_on(conn: Connection, ids: Collection[int], until: datetime) -> None:
    """Hold it for longer."""
    held = update(deliveries).where(is_quiet, deliveries.c.id.in_(list(ids)))
    conn.execute(held.values(next_at=until, since=until))


def drop_held(conn: Connection, ids: Collection[int], reason: str) -> None:
    """Never send what was held, and say why."""
    held = and_(is_quiet, deliveries.c.id.in_(list(ids)))
    _end(conn, held, state="dropped", last_error=reason)


def resend(
    conn: Connection,
    *,
    by: str,
    now: datetime,
    ids: Collection[int] | None = None,
    channel_id: int | None = None,
) -> int:
    """Have messages that were given up sent again, by id or all of a channel; how many.

    They go out with the keys they had.
    """
    where = [deliveries.c.state == "dead"]
    if ids is not None:
        where.append(deliveries.c.id.in_(list(ids)))
    if channel_id is not None:
        where.append(deliveries.c.channel_id == channel_id)
    if len(where) == 1:
        raise ValueError("say which messages to send again: ids or a channel")
    again = update(deliveries).where(*where)
    # Attempts stay counted, so that no old claim fits.
    again = again.values(state="waiting", since=now, next_at=now, set_aside=False, last_error=None)
    return _note_each_channel(conn, again, "resend", by, now)


def send_now(conn: Connection, ids: Collection[int], *, by: str, now: datetime) -> int:
    """Have messages that wait to be tried again tried now; how many.

    What waits for the end of somebody's quiet hours goes on waiting: that is for them to say.
    """
    retried = and_(deliveries.c.attempts > 0, deliveries.c.next_at > now, ~is_quiet)
    hurried = update(deliveries).where(_lies(ids, now), retried).values(next_at=now)
    return _note_each_channel(conn, hurried, "send now", by, now)


def drop(conn: Connection, ids: Collection[int], *, by: str, now: datetime) -> int:
    """Have messages that wait never sent; how many. One that is just being sent stays."""
    dropped = update(deliveries).where(_lies(ids, now))
    dropped = dropped.values(state="dropped", holder=None, held_until=None)
    return _note_each_channel(conn, dropped, "drop", by, now)


def _lies(ids: Collection[int], now: datetime) -> ColumnElement[bool]:
    """Whether a message of these waits and nobody is sending it."""
    held = deliveries.c.held_until
    return and_(
        deliveries.c.id.in_(list(ids)),
        deliveries.c.state == "waiting",
        or_(held.is_(None), held <= now),
    )


def _note_each_channel(
    conn: Connection, changed: Update, action: str, by: str, now: datetime
) -> int:
    """Change messages, and note by channel which; how many."""
    rows = conn.execute(
        changed.returning(deliveries.c.id, deliveries.c.channel_id, deliveries.c.body)
    ).all()
    for channel in sorted({row.channel_id for row in rows}):
        mine = sorted((row for row in rows if row.channel_id == channel), key=lambda row: row.id)
        titles = [str(row.body.get("title", "")) for row in mine[:_NAMED]]
        name = conn.scalar(select(channels.c.name).where(channels.c.id == channel))
        audit.note(
            conn,
            at=now,
            by=by,
            action=action,
            subject="channel",
            subject_id=channel,
            name=name or "",
            after={"deliveries": [row.id for row in mine], "titles": titles},
        )
    return len(rows)


def drop_waiting(conn: Connection, channel_id: int) -> int:
    """Give up what waits for a channel that is gone, and what could be sent to it again; how many."""
    unsent = and_(
        deliveries.c.channel_id == channel_id, deliveries.c.state.in_(("waiting", "dead"))
    )
    dropped = update(deliveries).where(unsent).values(state="dropped", holder=None, held_until=None)
    return conn.execute(dropped).rowcount


def give_up_stale(conn: Connection, now: datetime, channel_id: int | None = None) -> int:
    """Give up what has waited a day for a channel that is switched off; how many.

    It is no news any more, and would come as such once the channel is switched on. With
    ``channel_id`` of that channel alone, which is just about to be. It can still be sent again.
    """
    off = select(channels.c.id).where(~channels.c.enabled, channels.c.deleted_at.is_(None))
    if channel_id is not None:
        off = off.where(channels.c.id == channel_id)
    of = deliveries.c
    stale = and_(
        of.state == "waiting",
        of.since <= now - GIVEN_UP,
        of.channel_id.in_(off),
        or_(of.held_until.is_(None), of.held_until <= now),
    )
    return _end(conn, stale, state="dead", last_error=STALE)


def drop_old_deliveries(conn: Connection, now: datetime) -> int:
    """Delete what was sent or dropped a month ago or given up three months ago, with its attempts."""
    dropped = 0
    for states, kept in ((("sent", "dropped"), SENT_KEPT), (("dead",), DEAD_KEPT)):
        old = (
            select(deliveries.c.id)
            .where(deliveries.c.state.in_(states), deliveries.c.made_at < now - kept)
            .limit(_DROPPED_AT_ONCE)
        )
        ids = list(conn.scalars(old))
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            conn.execute(delete(delivery_attempts).where(delivery_attempts.c.delivery_id.in_(part)))
            dropped += conn.execute(delete(deliveries).where(deliveries.c.id.in_(part))).rowcount
    return dropped
