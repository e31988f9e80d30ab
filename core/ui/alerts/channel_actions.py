"""What a person does with channels; each checks the role and whose channel it is, on the server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from pydantic import ValidationError

from core.accounts import may
from core.alerts.delivery import Written, allowed_targets, load_sealer, parse_target
from core.alerts.delivery.outcome import Outcome
from core.alerts.delivery.targets import open_target
from core.alerts.subscriptions import Subscription
from core.errors import AccessDenied, DeliveryError
from core.store import audit, channels, outbox
from core.store.channels import Channel, Who
from core.ui import loaders
from core.ui.alerts.actions import writer
from core.ui.instance import instance

# A channel is not tested more often: a test goes out past the limit of messages.
TEST_EVERY = timedelta(seconds=10)


@dataclass(frozen=True)
class _Test:
    """A message that says what it is."""

    key: str
    severity: str
    body: Mapping[str, Any]
    made_at: datetime


def create(*, name: str, kind: str, address: str, shared: bool) -> Written:
    """A new channel, the person's own or shared; what was written, with the secret that signs."""
    who = _who(shared=shared)
    here = instance()
    written = parse_target(kind, address, allowed_targets(here.settings))
    sealer = load_sealer(here.settings)
    with here.engine.begin() as conn:
        made = channels.create_channel(
            conn,
            name=name,
            written=written,
            sealer=sealer,
            owner=None if shared else who.name,
            who=who,
            now=_now(),
        )
        if not shared:
            # Whoever makes a channel wants to hear of something.
            body = Subscription().model_dump(mode="json")
            channels.save_subscription(conn, made, body, who=who, now=_now())
    loaders.forget_alerts()
    return written


def change(
    channel_id: int,
    *,
    name: str | None = None,
    address: str | None = None,
    per_minute: int | None = None,
    enabled: bool | None = None,
) -> Written | None:
    """Change what is given; an address that is written anew replaces the old one, and is given back."""
    who, here = _who(), instance()
    written, sealer = None, None
    with here.engine.connect() as conn:
        before = _own(conn, channel_id, who)
    if address:
        # It asks a name service: not while the database waits.
        written = parse_target(before.kind, address, allowed_targets(here.settings))
        sealer = load_sealer(here.settings)
    with here.engine.begin() as conn:
        channels.change_channel(
            conn, channel_id, who=who, now=_now(), name=name, written=written, sealer=sealer,
            per_minute=per_minute, enabled=enabled,
        )  # fmt: skip
    loaders.forget_alerts()
    return written


def delete(channel_id: int) -> None:
    """Delete a channel with its secret."""
    who = _who()
    with instance().engine.begin() as conn:
        _own(conn, channel_id, who)
        channels.delete_channel(conn, channel_id, who=who, now=_now())
    loaders.forget_alerts()


def subscribe(channel_id: int, body: Mapping[str, Any]) -> None:
    """What comes to a channel, and when not."""
    who = _who()
    try:
        wanted = Subscription.model_validate(dict(body)).model_dump(mode="json")
    except ValidationError as error:
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise DeliveryError(f"{said[0].upper()}{said[1:]}.") from error
    with instance().engine.begin() as conn:
        _own(conn, channel_id, who)
        channels.save_subscription(conn, channel_id, wanted, who=who, now=_now())


def test(channel_id: int) -> Outcome:
    """Send a message that says that it is a test, now and from here; what came of it."""
    who, here, now = _who(), instance(), _now()
    with here.engine.begin() as conn:
        channel = _own(conn, channel_id, who)
        last = audit.list_changes(conn, subject="channel", subject_id=channel_id, limit=1)
        if last and last[0].action == "test" and now - last[0].at < TEST_EVERY:
            raise DeliveryError("It was tested a moment ago: wait ten seconds.")
        target = channels.load_target(conn, channel_id, load_sealer(here.settings))
        audit.note(
            conn, at=now, by=who.name, action="test", subject="channel", subject_id=channel_id,
            name=channel.name,
        )  # fmt: skip
    message = _Test(
        f"test-{channel_id}-{int(now.timestamp())}",
        "info",
        {
            "title": "CryptoSatX: a test",
            "text": f"{who.name} tests the channel {channel.name}. Alerts will look like this.",
            "content": {"kind": "test", "channel": channel.name},
        },
        now,
    )
    began = monotonic()
    with open_target(target, allowed_targets(here.settings)) as send:
        outcome = send(message, now)
    took = f" It took {monotonic() - began:.1f} s."
    return Outcome(outcome.sent, outcome.message + took, outcome.permanent, outcome.answered)


def resend(*, ids: Collection[int] | None = None, channel_id: int | None = None) -> int:
    """Send again what was given up; all but one's own channels are an administrator's."""
    who, here = _who(), instance()
    if not who.is_admin and (ids is not None or channel_id is None):
        raise AccessDenied("Administrators send single messages again.")
    with here.engine.begin() as conn:
        if channel_id is not None:
            _own(conn, channel_id, who)
        n = outbox.resend(conn, by=who.name, now=_now(), ids=ids, channel_id=channel_id)
    loaders.forget_alerts()
    return n


def _who(*, shared: bool = False) -> Who:
    person = writer("admin" if shared else "trader")
    return Who(person.username, may(person, "admin"))


def _own(conn: Any, channel_id: int, who: Who) -> Channel:
    """The channel, where it is the person's own, or shared and the person an administrator."""
    found = channels.load_channel(conn, channel_id)
    if found is None or found.deleted_at is not None:
        raise DeliveryError("This channel is gone.")
    if found.owner != who.name and not who.is_admin:
        raise AccessDenied("This channel belongs to somebody else.")
    return found


def _now() -> datetime:
    return datetime.now(UTC)
