"""Silences: what is not to be told for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from core.alerts.silences import Silence
from core.errors import RuleError
from core.store import audit
from core.store.tables import silences


@dataclass(frozen=True)
class StoredSilence:
    """A silence with its number."""

    id: int
    silence: Silence
    made_at: datetime


def make_silence(conn: Connection, silence: Silence, *, now: datetime) -> int:
    """Have nothing told of what it matches, from its start to its end; its number."""
    if silence.ends_at <= now:
        raise RuleError("The silence would be over already. Choose a later end.")
    matchers = [str(one) for one in silence.matchers]
    made = silences.insert().values(
        matcher=matchers,
        reason=silence.reason,
        start_at=silence.starts_at,
        end_at=silence.ends_at,
        made_by=silence.author,
        made_at=now,
    )
    silence_id: int = conn.execute(made.returning(silences.c.id)).scalar_one()
    audit.note(
        conn,
        at=now,
        by=silence.author,
        action="create",
        subject="silence",
        subject_id=silence_id,
        name=" and ".join(matchers)[:128],
        after=silence.model_dump(mode="json"),
    )
    return silence_id


def end_silence(conn: Connection, silence_id: int, *, by: str, now: datetime) -> None:
    """End a silence now; one that has not begun never holds."""
    row = conn.execute(select(silences).where(silences.c.id == silence_id)).first()
    if row is None or row.end_at <= now:
        raise RuleError("This silence is over already.")
    until = max(now, row.start_at)
    conn.execute(update(silences).where(silences.c.id == silence_id).values(end_at=until))
    audit.note(
        conn,
        at=now,
        by=by,
        action="end",
        subject="silence",
        subject_id=silence_id,
        name=" and ".join(row.matcher)[:128],
        before={"ends_at": row.end_at.isoformat()},
        after={"ends_at": until.isoformat()},
    )


def rename_in_silences(conn: Connection, old: str, new: str, *, by: str, now: datetime) -> None:
    """Have silences that name a rule and are not over go on to hold under its new name."""
    for one in list_silences(conn, now):
        renamed = one.silence.renamed(old, new)
        if renamed == one.silence:
            continue
        before, after = ([str(each) for each in s.matchers] for s in (one.silence, renamed))
        conn.execute(update(silences).where(silences.c.id == one.id).values(matcher=after))
        audit.note(
            conn,
            at=now,
            by=by,
            action="change",
            subject="silence",
            subject_id=one.id,
            name=" and ".join(after)[:128],
            before={"matchers": before},
            after={"matchers": after},
        )


def load_silences(conn: Connection, since: datetime) -> list[Silence]:
    """Those that hold now, will hold, or held after ``since``."""
    return [one.silence for one in list_silences(conn, since)]


def list_silences(conn: Connection, since: datetime) -> list[StoredSilence]:
    """The same with their numbers, the one that ends last first."""
    query = select(silences).where(
        silences.c.end_at > since, silences.c.end_at > silences.c.start_at
    )
    return [
        StoredSilence(
            row.id,
            Silence.model_validate(
                {
                    "matchers": row.matcher,
                    "reason": row.reason,
                    "starts_at": row.start_at,
                    "ends_at": row.end_at,
                    "author": row.made_by,
                }
            ),
            row.made_at,
        )
        for row in conn.execute(query.order_by(silences.c.end_at.desc(), silences.c.id))
    ]
