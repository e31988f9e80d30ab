"""Rounds: what was done for each bar of a live market, and how far it has come in its past."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.signals import Profile
from core.store.tables import bars, replays, rounds

COUNTS = ("new_observations", "new_bars", "new_signals", "new_outcomes")


def start_round(conn: Connection, bar: datetime, worker: str, at: datetime) -> bool:
    """Note that work on a bar begins, or begins again; False when it is done already."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(rounds)
    statement = insert.values(
        time=bar, state="running", worker=worker, started_at=at, **dict.fromkeys(COUNTS, 0)
    ).on_conflict_do_update(
        index_elements=["time"],
        set_={"state": "running", "worker": worker, "message": None},
        where=rounds.c.state != "done",
    )
    return conn.execute(statement.returning(rounds.c.time)).scalar() is not None


def end_round(
    conn: Connection, bar: datetime, at: datetime, message: str | None = None, **counts: int
) -> None:
    """Note that a round is done, or with ``message`` why it failed; ``counts`` are of `COUNTS`."""
    conn.execute(
        update(rounds)
        .where(rounds.c.time == bar, rounds.c.state != "done")
        .values(
            state="done" if message is None else "failed",
            message=message,
            finished_at=at,
            **counts,
        )
    )


def wait_round(conn: Connection, bar: datetime, message: str) -> None:
    """Note what a round that is not over waits for."""
    conn.execute(
        update(rounds)
        .where(rounds.c.time == bar, rounds.c.state == "running")
        .values(message=message)
    )


def is_done(conn: Connection, bar: datetime) -> bool:
    return conn.scalar(select(rounds.c.state).where(rounds.c.time == bar)) == "done"


def last_done(conn: Connection, before: datetime) -> datetime | None:
    """The newest bar before a time whose round is done."""
    query = select(func.max(rounds.c.time)).where(rounds.c.state == "done", rounds.c.time < before)
    found: datetime | None = conn.scalar(query)
    return found


def load_rounds(conn: Connection, limit: int) -> pd.DataFrame:
    """The newest rounds, the columns of the table, index time, the newest first."""
    query = select(rounds).order_by(rounds.c.time.desc()).limit(limit)
    rows = conn.execute(query).mappings().all()
    return pd.DataFrame(rows, columns=[column.name for column in rounds.c]).set_index("time")


def first_round(conn: Connection) -> datetime | None:
    """The earliest bar that a round is known of."""
    found: datetime | None = conn.scalar(select(func.min(rounds.c.time)))
    return found


def count_stored(conn: Connection, since: datetime) -> dict[datetime, int]:
    """How many markets have a bar at each time after ``since``; times without any are left out."""
    query = select(bars.c.time, func.count()).where(bars.c.time > since).group_by(bars.c.time)
    return {row[0]: row[1] for row in conn.execute(query)}


def announce_past(
    conn: Connection, key: str, label: str, profiles: Sequence[Profile], rows: int, at: datetime
) -> None:
    """Show that ``rows`` of the past are to be worked through, as a replay's progress is shown."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(replays)
    values: list[dict[str, Any]] = [
        {
            "key": f"{key} {profile.name}",
            "source": label,
            "profile_name": profile.name,
            "profile_version": profile.version,
            "state": "running",
            "rows_done": 0,
            "rows_total": rows,
            "started_at": at,
            "updated_at": at,
        }
        for profile in profiles
    ]
    conn.execute(insert.on_conflict_do_nothing(), values)


def advance_past(conn: Connection, key: str, rows: int, at: datetime) -> None:
    """Add rows to what is done of an announced past; nothing where none was announced."""
    conn.execute(
        update(replays)
        .where(replays.c.key.startswith(f"{key} ", autoescape=True), replays.c.state == "running")
        .values(rows_done=replays.c.rows_done + rows, updated_at=at)
    )


def end_past(conn: Connection, through: datetime, at: datetime) -> None:
    """Note that whatever was announced is done, up to a bar."""
    conn.execute(
        update(replays)
        .where(replays.c.key.startswith("past "), replays.c.state == "running")
        .values(state="done", rows_done=replays.c.rows_total, through=through, updated_at=at)
    )
