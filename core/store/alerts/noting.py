"""Taking note of what fires; who may is for the caller to check."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection

from core.alerts.texts import writable
from core.errors import RuleError
from core.store import audit
from core.store.alerts import watching
from core.store.alerts.states import Acknowledgement, acknowledge

LONGEST_NOTE = 500
Place = tuple[int, str]


def take_note(
    conn: Connection, places: Collection[Place], note: str, *, by: str, now: datetime
) -> int:
    """Acknowledge what fires at these places (rule, symbol); how many firings that were.

    Firings that somebody acknowledged before stay with that person. Raises `RuleError` where none is
    left.
    """
    said = writable(" ".join(note.split()))
    if len(said) > LONGEST_NOTE:
        raise RuleError(f"A note has at most {LONGEST_NOTE} letters.")
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
            Acknowledgement(one.rule_id, one.symbol, one.fired_at, by, said, now)
            for one in firing
            if one.fired_at is not None
        ],
    )
    _note_each_rule(conn, firing, said, by, now)
    return len(firing)


def _note_each_rule(
    conn: Connection, firing: Iterable[watching.Standing], said: str, who: str, now: datetime
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
