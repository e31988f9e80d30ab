"""Channels: where messages go, and what each person wants on their own.

A channel without an owner is shared: administrators keep it, rules name it. Every write is noted in the
log of changes, in the same transaction and without secrets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.alerts.delivery import Sealer, Target, Written
from core.errors import AccessDenied, DeliveryError
from core.store import audit, database
from core.store.outbox import drop_waiting, give_up_stale
from core.store.tables import audit_log, channels, subscriptions

MOST_OWN = 5
MOST_PER_MINUTE = 10_000
MOST_TESTS, TESTED_WITHIN = 5, timedelta(minutes=10)
BETWEEN_TESTS = timedelta(seconds=10)
_LOCK = 7_267_283_005
_SHOWN = ("name", "kind", "service", "shown", "per_minute", "enabled", "owner")


@dataclass(frozen=True)
class Channel:
    """A channel without its secret; ``owner`` None is shared by all."""

    id: int
    owner: str | None
    name: str
    kind: str
    service: str
    shown: str
    per_minute: int
    enabled: bool
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    def described(self) -> dict[str, Any]:
        """What the log of changes says of it."""
        return {name: getattr(self, name) for name in _SHOWN}


@dataclass(frozen=True)
class Who:
    """Who asks: a username, and whether it is an administrator."""

    name: str
    is_admin: bool


def create_channel(
    conn: Connection,
    *,
    name: str,
    written: Written,
    sealer: Sealer,
    owner: str | None,
    who: Who,
    now: datetime,
    per_minute: int | None = None,
) -> int:
    """A new channel; its id. Without an owner it is shared, which takes an administrator."""
    _may_change(owner, who)
    name = _checked_name(name)
    _hold(conn)
    _refuse_twice(conn, name, owner)
    if owner is not None and _count_own(conn, owner) >= MOST_OWN:
        raise DeliveryError(f"You have {MOST_OWN} channels already: delete one first.")
    values = {
        "owner": owner,
        "name": name,
        **_of_target(written, sealer),
        "per_minute": _checked_rate(per_minute or written.per_minute),
        "enabled": True,
        "created_at": now,
        "updated_at": now,
    }
    made = channels.insert().values(values).returning(channels.c.id)
    channel_id: int = conn.execute(made).scalar_one()
    made_channel = _found(conn, channel_id)
    _note(conn, made_channel, "create", who, now, after=made_channel.described())
    return channel_id


def change_channel(
    conn: Connection,
    channel_id: int,
    *,
    who: Who,
    now: datetime,
    name: str | None = None,
    written: Written | None = None,
    sealer: Sealer | None = None,
    per_minute: int | None = None,
    enabled: bool | None = None,
) -> None:
    """Change what is given and leave the rest; a new address needs the sealer."""
    before = load_own(conn, channel_id, who)
    values: dict[str, Any] = {"updated_at": now}
    if name is not None and _checked_name(name) != before.name:
        _hold(conn)
        values["name"] = _checked_name(name)
        _refuse_twice(conn, values["name"], before.owner, itself=channel_id)
    if written is not None:
        if sealer is None:
            raise ValueError("a new address needs the sealer")
        values |= _of_target(written, sealer)
    if per_minute is not None:
        values["per_minute"] = _checked_rate(per_minute)
    if enabled is not None:
        values["enabled"] = enabled
        give_up_stale(conn, now, channel_id)
    conn.execute(update(channels).where(channels.c.id == channel_id).values(values))
    after = _found(conn, channel_id)
    was, became = audit.differences(before.described(), after.described())
    if written is not None:
        became["address"] = "written anew"
    _note(conn, after, "change", who, now, before=was, after=became)


def delete_channel(conn: Connection, channel_id: int, *, who: Who, now: datetime) -> None:
    """Delete a channel with its secret; what waits for it is dropped, what was sent stays in the log."""
    before = load_own(conn, channel_id, who)
    gone = update(channels).where(channels.c.id == channel_id)
    conn.execute(gone.values(deleted_at=now, updated_at=now, enabled=False, secret=b""))
    conn.execute(subscriptions.delete().where(subscriptions.c.channel_id == channel_id))
    dropped = drop_waiting(conn, channel_id)
    _note(conn, before, "delete", who, now, before=before.described(), after={"dropped": dropped})


def note_test(conn: Connection, channel_id: int, *, who: Who, now: datetime) -> Channel:
    """Note that a channel is tested; `DeliveryError` where that was done too often just now."""
    channel = load_own(conn, channel_id, who)
    _hold(conn)
    tests = select(func.count(), func.max(audit_log.c.at)).where(
        audit_log.c.subject == "channel",
        audit_log.c.subject_id == str(channel_id),
        audit_log.c.action == "test",
        audit_log.c.at > now - TESTED_WITHIN,
    )
    count, newest = conn.execute(tests).one()
    if count >= MOST_TESTS or (newest is not None and now - newest < BETWEEN_TESTS):
        raise DeliveryError(
            f"The channel was tested just now: wait {BETWEEN_TESTS.seconds} seconds between tests; "
            f"{MOST_TESTS} are possible in {TESTED_WITHIN.seconds // 60} minutes."
        )
    _note(conn, channel, "test", who, now)
    return channel


def list_channels(
    conn: Connection, *, owner: str | None = None, everything: bool = False
) -> list[Channel]:
    """The channels of one person, without ``owner`` the shared ones, or all of both; by name."""
    query = select(channels).where(channels.c.deleted_at.is_(None))
    if not everything:
        whose = channels.c.owner.is_(None) if owner is None else channels.c.owner == owner
        query = query.where(whose)
    return [_channel(row) for row in conn.execute(query.order_by(channels.c.name, channels.c.id))]


def has_channels(conn: Connection) -> bool:
    """Whether there is anybody to send to."""
    return (
        conn.scalar(select(channels.c.id).where(channels.c.deleted_at.is_(None)).limit(1))
        is not None
    )


def load_channel(conn: Connection, channel_id: int) -> Channel | None:
    row = conn.execute(select(channels).where(channels.c.id == channel_id)).first()
    return None if row is None else _channel(row)


def load_own(conn: Connection, channel_id: int, who: Who) -> Channel:
    """A channel that this person may change; `DeliveryError` where it is gone, else `AccessDenied`."""
    channel = load_channel(conn, channel_id)
    if channel is None or channel.deleted_at is not None:
        raise DeliveryError("This channel is gone.")
    _may_change(channel.owner, who)
    return channel


def load_target(conn: Connection, channel_id: int, sealer: Sealer) -> Target:
    """Where a channel leads; `DeliveryError` where it is gone or its key is not here."""
    query = select(channels.c.kind, channels.c.secret).where(
        channels.c.id == channel_id, channels.c.deleted_at.is_(None)
    )
    row = conn.execute(query).first()
    if row is None:
        raise DeliveryError("This channel is gone.")
    return Target.from_kept(row.kind, sealer.unseal(row.secret))


def reseal(conn: Connection, sealer: Sealer) -> int:
    """Seal with the newest key what was sealed with an older one; how many."""
    resealed = 0
    query = select(channels.c.id, channels.c.secret).where(channels.c.deleted_at.is_(None))
    for row in conn.execute(query).all():
        sealed = sealer.reseal(row.secret)
        if sealed is not None:
            same = (channels.c.id == row.id) & (channels.c.secret == row.secret)
            resealed += conn.execute(update(channels).where(same).values(secret=sealed)).rowcount
    return resealed


def save_subscription(
    conn: Connection, channel_id: int, body: Mapping[str, Any], *, who: Who, now: datetime
) -> None:
    """What its owner wants on a channel: which rules and severities, and when not."""
    channel = load_own(conn, channel_id, who)
    before = load_subscription(conn, channel_id)
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(subscriptions)
    statement = insert.values(channel_id=channel_id, body=dict(body), updated_at=now)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["channel_id"], set_={"body": dict(body), "updated_at": now}
        )
    )
    was, became = audit.differences(before or {}, body)
    _note(conn, channel, "subscribe", who, now, before=was, after=became)


def load_subscription(conn: Connection, channel_id: int) -> dict[str, Any] | None:
    found: dict[str, Any] | None = conn.scalar(
        select(subscriptions.c.body).where(subscriptions.c.channel_id == channel_id)
    )
    return found


def load_subscriptions(
    conn: Connection, owners: Collection[str] | None = None
) -> list[tuple[Channel, dict[str, Any]]]:
    """Every channel that can be sent to and has a subscription, by default of everybody."""
    query = (
        select(channels, subscriptions.c.body)
        .join(subscriptions, subscriptions.c.channel_id == channels.c.id)
        .where(channels.c.deleted_at.is_(None), channels.c.enabled)
        .order_by(channels.c.id)
    )
    if owners is not None:
        query = query.where(channels.c.owner.in_(list(owners)))
    return [(_channel(row), row.body) for row in conn.execute(query)]


def _of_target(written: Written, sealer: Sealer) -> dict[str, Any]:
    return {
        "kind": written.target.kind,
        "service": written.service,
        "shown": written.shown,
        "secret": sealer.seal(written.target.kept()),
    }


def _may_change(owner: str | None, who: Who) -> None:
    if owner is None and not who.is_admin:
        raise AccessDenied("Shared channels are kept by administrators.")
    if owner is not None and owner != who.name and not who.is_admin:
        raise AccessDenied("This channel belongs to somebody else.")


def _found(conn: Connection, channel_id: int) -> Channel:
    channel = load_channel(conn, channel_id)
    if channel is None:
        raise DeliveryError("This channel is gone.")
    return channel


def _channel(row: Row[Any]) -> Channel:
    return Channel(**{name: getattr(row, name) for name in Channel.__dataclass_fields__})


def _hold(conn: Connection) -> None:
    """Only one may count channels and then add one, until its transaction ends."""
    database.hold(conn, _LOCK)


def _count_own(conn: Connection, owner: str) -> int:
    query = select(func.count()).where(channels.c.owner == owner, channels.c.deleted_at.is_(None))
    return conn.scalar(query) or 0


def _refuse_twice(
    conn: Connection, name: str, owner: str | None, *, itself: int | None = None
) -> None:
    others = (one for one in list_channels(conn, owner=owner) if one.id != itself)
    if any(one.name.casefold() == name.casefold() for one in others):
        raise DeliveryError(f"There is a channel {name} already: choose another name.")


def _checked_name(name: str) -> str:
    plain = " ".join(name.split())
    if not plain or len(plain) > 128 or not plain.isprintable():
        raise DeliveryError("Give the channel a name of at most 128 letters.")
    return plain


def _checked_rate(per_minute: int) -> int:
    if not 1 <= per_minute <= MOST_PER_MINUTE:
        raise DeliveryError(f"A channel takes from 1 to {MOST_PER_MINUTE:,} messages a minute.")
    return per_minute


def _note(
    conn: Connection,
    channel: Channel,
    action: str,
    who: Who,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    audit.note(
        conn,
        at=now,
        by=who.name,
        action=action,
        subject="channel",
        subject_id=channel.id,
        name=channel.name,
        before=before,
        after=after,
    )
