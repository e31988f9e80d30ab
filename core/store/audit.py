"""The log of changes: who changed what, when, from what to what. Rows are only added.

Every database has one, and what is changed is noted where it lies: people in the database of people,
rules, channels and versions in that of their market.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from core.store.tables import audit_log

# Who did it where nobody was signed in. No username has a space, so nobody can be called so.
COMMAND_LINE, SIGN_IN, START = "command line", "the sign-in", "the server's start"


@dataclass(frozen=True)
class Change:
    """One entry. ``subject`` is the kind of thing (rule, channel, ...), ``name`` what it was called
    then; ``before`` and ``after`` hold what the change was about."""

    id: int
    at: datetime
    by: str
    action: str
    subject: str
    subject_id: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def note(
    conn: Connection,
    *,
    at: datetime,
    by: str,
    action: str,
    subject: str,
    subject_id: object,
    name: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write a change down, in the transaction that makes it; nothing in it may be a secret."""
    conn.execute(
        audit_log.insert().values(
            at=at,
            by=by,
            action=action,
            subject=subject,
            subject_id=str(subject_id),
            name=name,
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
        )
    )


def list_changes(
    conn: Connection,
    *,
    subject: str | None = None,
    subject_id: object | None = None,
    action: str | None = None,
    by: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[Change]:
    """The newest changes first, from ``since`` and before ``until``; ``before_id`` goes on after the
    last one of a page."""
    query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    wanted = {"subject": subject, "action": action, "by": by}
    wanted["subject_id"] = None if subject_id is None else str(subject_id)
    for column, value in wanted.items():
        if value is not None:
            query = query.where(audit_log.c[column] == value)
    if since is not None:
        query = query.where(audit_log.c.at >= since)
    if until is not None:
        query = query.where(audit_log.c.at < until)
    if before_id is not None:
        query = query.where(audit_log.c.id < before_id)
    return [Change(**row) for row in conn.execute(query).mappings()]


def list_authors(conn: Connection) -> list[str]:
    """Everyone who ever changed something, by name."""
    return list(conn.scalars(select(audit_log.c.by).distinct().order_by(audit_log.c.by)))


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of two states is not the same, as `note` takes it.

    >>> differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4})
    ({'b': 2}, {'b': 3, 'c': 4})
    """
    changed = [
        name for name in {**before, **after} if before.get(name, ...) != after.get(name, ...)
    ]
    return (
        {name: before[name] for name in changed if name in before},
        {name: after[name] for name in changed if name in after},
    )
