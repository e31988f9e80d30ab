"""What a person does with channels; each checks the role and whose channel it is, on the server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from pydantic import ValidationError

from core.accounts import may
from core.alerts.delivery import Written, allowed_targets, load_sealer, parse_target
from core.alerts.delivery.outcome import Outcome
from core.alerts.subscriptions import Subscription
from core.errors import AccessDenied, DeliveryError
from core.instance import instance
from core.jobs.sending import send_test
from core.store import channels, outbox
from core.store.channels import Who
from core.ui import loaders
from core.ui.alerts.actions import writer


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
        before = channels.load_own(conn, channel_id, who)
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
        channels.save_subscription(conn, channel_id, wanted, who=who, now=_now())


def test(channel_id: int) -> Outcome:
    """Send a message that says that it is a test, now and from here; what came of it."""
    here, began = instance(), monotonic()
    outcome = send_test(here.engine, here.settings, channel_id, who=_who(), now=_now())
    return replace(outcome, message=f"{outcome.message} It took {monotonic() - began:.1f} s.")


def resend(*, ids: Collection[int] | None = None, channel_id: int | None = None) -> int:
    """Send again what was given up; all but one's own channels are an administrator's."""
    who, here = _who(), instance()
    if not who.is_admin and (ids is not None or channel_id is None):
        raise AccessDenied("Administrators send single messages again.")
    with here.engine.begin() as conn:
        if channel_id is not None:
            channels.load_own(conn, channel_id, who)
        n = outbox.resend(conn, by=who.name, now=_now(), ids=ids, channel_id=channel_id)
    loaders.forget_alerts()
    return n


def send_now(ids: Collection[int]) -> int:
    """Have what waits to be tried again tried at once; an administrator's."""
    who, here = _admin(), instance()
    with here.engine.begin() as conn:
        n = outbox.send_now(conn, ids, by=who.name, now=_now())
    if not n:
        raise DeliveryError("None of these waits to be tried again.")
    loaders.forget_alerts()
    return n


def drop(ids: Collection[int]) -> int:
    """Have what waits never sent; an administrator's."""
    who, here = _admin(), instance()
    with here.engine.begin() as conn:
        n = outbox.drop(conn, ids, by=who.name, now=_now())
    if not n:
        raise DeliveryError("None of these waits any more, or it is just being sent.")
    loaders.forget_alerts()
    return n


def _admin() -> Who:
    who = _who()
    if not who.is_admin:
        raise AccessDenied("What waits to be sent is an administrator's.")
    return who


def _who(*, shared: bool = False) -> Who:
    person = writer("admin" if shared else "trader")
    return Who(person.username, may(person, "admin"))


def _now() -> datetime:
    return datetime.now(UTC)
