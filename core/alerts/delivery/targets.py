"""Where a channel leads: what a person wrote, how it is kept, and how it is opened for sending."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from core.alerts.delivery.addresses import Allowed
from core.alerts.delivery.outcome import Outcome
from core.alerts.delivery.services import check_service, open_service
from core.alerts.delivery.webhook import (
    Sent,
    Webhook,
    check_webhook,
    new_secret,
    open_webhook,
    shown,
)
from core.errors import DeliveryError

KINDS = ("apprise", "webhook")
WEBHOOKS_PER_MINUTE = 300
Send = Callable[[Sent, datetime], Outcome]


@dataclass(frozen=True)
class Target:
    """``kind`` is apprise or webhook; the rest is secret."""

    kind: str
    url: str = field(repr=False)
    signing_secret: str = field(default="", repr=False)

    def kept(self) -> str:
        """As it is sealed and stored."""
        return json.dumps({"url": self.url, "signing_secret": self.signing_secret})

    @classmethod
    def from_kept(cls, kind: str, text: str) -> Target:
        return cls(kind, **json.loads(text))


@dataclass(frozen=True)
class Written:
    """A target, and what may be said of it: the service's name, a form without secrets, and how many
    messages a minute it takes."""

    target: Target
    service: str
    shown: str
    per_minute: int


def parse_target(kind: str, url: str, allowed: Allowed, signing_secret: str = "") -> Written:
    """What a person wrote, checked; `DeliveryError` says which part is wrong.

    A webhook without a signing secret gets one.
    """
    url = url.strip()
    if kind == "webhook":
        target = Target(kind, url, signing_secret.strip() or new_secret())
        check_webhook(url, target.signing_secret, allowed)
        return Written(target, "Webhook", shown(url)[:256], WEBHOOKS_PER_MINUTE)
    if kind != "apprise":
        raise DeliveryError(f"A channel is one of {' or '.join(KINDS)}.")
    try:
        service = check_service(url, allowed)
    except LookupError as error:
        raise DeliveryError(f"{error} Check the host of the address.") from error
    return Written(Target(kind, url), service.name, service.shown, service.per_minute)


@contextmanager
def open_target(target: Target, allowed: Allowed) -> Iterator[Send]:
    """Something that sends messages, one after another, from this thread."""
    if target.kind == "webhook":
        with open_webhook(Webhook(target.url, target.signing_secret), allowed) as webhook:
            yield webhook.send
        return
    with open_service(target.url, allowed) as service:

        def send(message: Sent, now: datetime) -> Outcome:
            title, text = str(message.body["title"]), str(message.body["text"])
            link = str(message.body.get("content", {}).get("link", ""))
            return service.send(message.severity, title, text, now=now, link=link)

        yield send
