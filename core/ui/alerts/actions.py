"""What a person does about alerts; each checks the role itself, whatever the page showed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.accounts import Person, Role
from core.alerts.silences import parse_silence
from core.alerts.texts import writable
from core.errors import RuleError
from core.store import audit
from core.store.alerts import silences, watching
from core.store.alerts.states import Acknowledgement, acknowledge
from core.ui import loaders
from core.ui.instance import instance
from core.ui.session import require_user

LONGEST_NOTE = 500
Place = tuple[int, str]


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
    who, now = writer("trader").username, _now()
    said = writable(" ".join(note.split()))
    if len(said) > LONGEST_NOTE:
        raise RuleError(f"A note has at most {LONGEST_NOTE} letters.")
    with instance().engine.begin() as conn:
        wanted = set(places)
        firing = [
            one
            for one in watching.load_standings(conn, watching.FIRES)
            if (one.rule_id, one.symbol) in wanted
            and one.acknowledgement is None
            and one.fired_at is not None
        ]
        if not firing:
            raise RuleError("None of these fires any more without being acknowledged.")
        acknowledge(
            conn,
            [
                Acknowledgement(one.rule_id, one.symbol, one.fired_at, who, said, now)
                for one in firing
                if one.fired_at is not None
            ],
        )
        _note_each_rule(conn, firing, said, who, now)
    loaders.forget_alerts()
    return len(firing)


def _note_each_rule(
    conn: Any, firing: Iterable[watching.Standing], said: str, who: str, now: datetime
) -> None:
    """One entry of the log per rule, naming its symbols."""
    by_rule: dict[int, list[watching.Standing]] = {}
    for one in firing:
        by_rule.setdefault(one.rule_id, []).append(one)
    for rule_id, each in by_rule.items():
        audit.note(
            conn,
            at=now,
            by=who,
            action="acknowledge",
            subject="rule",
            subject_id=rule_id,
            name=each[0].rule,
            after={"symbols": sorted(one.symbol for one in each), "note": said},
        )


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
