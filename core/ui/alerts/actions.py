"""What a person does about alerts; each checks the role itself, whatever the page showed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.accounts import Person, Role
from core.alerts.silences import parse_silence
from core.instance import instance
from core.store.alerts import noting, silences
from core.store.alerts.noting import Place
from core.ui import loaders
from core.ui.session import require_user


@dataclass(frozen=True)
class Draft:
    """A silence as somebody writes it: matchers as data or text."""

    matchers: tuple[Mapping[str, Any] | str, ...]
    reason: str
    starts_at: datetime
    ends_at: datetime


def take_note(places: Collection[Place], note: str) -> int:
    """Acknowledge what fires at these places (rule, symbol); how many firings that were.

    Firings that somebody acknowledged before stay with that person.
    """
    who = writer("trader").username
    with instance().engine.begin() as conn:
        firings = noting.take_note(conn, places, note, by=who, now=_now())
    loaders.forget_alerts()
    return firings


def silence(draft: Draft) -> int:
    """Have nothing told of what the draft matches; the number of the silence."""
    who, now = writer("trader").username, _now()
    wanted = parse_silence(body_of(draft, who))
    with instance().engine.begin() as conn:
        made = silences.make_silence(conn, wanted, now=now)
    loaders.forget_alerts()
    return made


def body_of(draft: Draft, who: str) -> dict[str, Any]:
    """A draft as `core.alerts.silences.parse_silence` takes it."""
    return {
        "matchers": list(draft.matchers),
        "reason": draft.reason,
        "starts_at": draft.starts_at.isoformat(),
        "ends_at": draft.ends_at.isoformat(),
        "author": who,
    }


def end_silence(silence_id: int) -> None:
    """End a silence now."""
    who, now = writer("trader").username, _now()
    with instance().engine.begin() as conn:
        silences.end_silence(conn, silence_id, by=who, now=now)
    loaders.forget_alerts()


def writer(role: Role) -> Person:
    """The person, who may write and has the role; anyone else goes no further."""
    return require_user(role, write=True)


def _now() -> datetime:
    return datetime.now(UTC)
