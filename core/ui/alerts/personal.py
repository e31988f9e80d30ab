"""What depends on who looks, and is never kept for others: own channels, and messages to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from core.accounts import Person, may
from core.alerts.subscriptions import Subscription
from core.store import channels, sent
from core.store.alerts import past
from core.store.alerts.states import StoredEvent
from core.store.channels import Channel
from core.store.waiting import Queue, Waiting, count_waiting, list_waiting
from core.ui.loaders.kept import reading
from core.ui.session import require_user


@dataclass(frozen=True)
class Held:
    """A channel with what its owner wants on it, and how its messages fare."""

    channel: Channel
    subscription: Subscription | None
    counted: sent.Counted | None


def load_told(events: Sequence[StoredEvent], person: Person) -> list[past.Told]:
    """Messages made of events. Where they went is told of shared channels and the person's own, and of
    all to an administrator; of others only that there was one."""
    with reading() as conn:
        found = past.load_told(conn, events)
    everything = may(person, "admin")
    own = None if person.guest else person.username
    return [
        one
        if everything or one.owner is None or one.owner == own
        else replace(one, channel=None, owner=None, last_error=None)
        for one in found
    ]


def load_channels(person: Person, *, shared: bool) -> list[Held]:
    """The person's own channels; the shared ones are for administrators."""
    if person.guest:
        return []
    if shared:
        require_user("admin")
    with reading() as conn:
        found = channels.list_channels(conn, owner=None if shared else person.username)
        if not found:
            return []
        counted = {one.channel_id: one for one in sent.count_deliveries(conn, datetime.now(UTC))}
        bodies = {one.id: channels.load_subscription(conn, one.id) for one in found}
    return [
        Held(
            one,
            None if bodies[one.id] is None else Subscription.model_validate(bodies[one.id]),
            counted.get(one.id),
        )
        for one in found
    ]


def load_waiting(channel_id: int | None, limit: int) -> list[Waiting]:
    """What waits to be sent, for administrators."""
    require_user("admin")
    with reading() as conn:
        return list_waiting(conn, datetime.now(UTC), channel_id=channel_id, limit=limit)


def load_queues() -> dict[int, Queue]:
    """How much waits by channel, for administrators."""
    require_user("admin")
    with reading() as conn:
        return count_waiting(conn)


def load_dead(channel_id: int | None, limit: int) -> list[sent.Dead]:
    """What was given up, for administrators."""
    require_user("admin")
    with reading() as conn:
        return sent.list_dead(conn, channel_id=channel_id, limit=limit)


def load_attempts(channel_id: int | None, limit: int) -> list[sent.Attempt]:
    """Every try to send, for administrators."""
    require_user("admin")
    with reading() as conn:
        return sent.list_attempts(conn, channel_id=channel_id, limit=limit)
