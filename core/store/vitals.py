"""Whether somebody still fills the database of a live market, in a few small questions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from core.store.leases import worker_leases
from core.store.tables import bars, meta, replays, rounds, streams

# A past that nobody has advanced for this long is not being worked through.
MOVING = timedelta(minutes=2)


@dataclass(frozen=True)
class Heard:
    """A venue's stream: whether it is down, and when it last gave a sign of life."""

    venue: str
    down: bool
    heard_at: datetime | None
    noted_at: datetime


@dataclass(frozen=True)
class Vitals:
    """``done_bar`` is the newest bar whose round is done; ``failure`` says why the newest round
    failed, where it did. ``worker_seen_at`` is until when a worker that is gone was alive at most.
    """

    newest_bar: datetime | None = None
    done_bar: datetime | None = None
    failure: str | None = None
    workers: int = 0
    worker_seen_at: datetime | None = None
    streams: tuple[Heard, ...] = ()
    catching_up: bool = False


def check_answers(conn: Connection) -> None:
    """Raise what the driver raises where this is not a database of ours that answers."""
    conn.execute(select(meta.c.key).limit(1)).all()


def load_vitals(conn: Connection, now: datetime) -> Vitals:
    """How the database of a live market is being filled."""
    last = conn.execute(select(rounds).order_by(rounds.c.time.desc()).limit(1)).first()
    held_until = worker_leases(conn)
    return Vitals(
        newest_bar=conn.scalar(select(func.max(bars.c.time))),
        done_bar=conn.scalar(select(func.max(rounds.c.time)).where(rounds.c.state == "done")),
        failure=last.message if last is not None and last.state == "failed" else None,
        workers=sum(until > now for until in held_until),
        worker_seen_at=max(held_until, default=None),
        streams=tuple(
            Heard(row.venue, row.state == "down", row.heard_at, row.updated_at)
            for row in conn.execute(select(streams).order_by(streams.c.venue))
        ),
        catching_up=_is_catching_up(conn, now),
    )


def _is_catching_up(conn: Connection, now: datetime) -> bool:
    moving = replays.c.state.in_(("waiting", "running")) & (replays.c.updated_at > now - MOVING)
    return conn.execute(select(replays.c.key).where(moving).limit(1)).first() is not None
