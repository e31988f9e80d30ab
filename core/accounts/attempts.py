"""Counting sign-ins in the database: every failure makes the next try wait longer.

Counted by account, whether it exists or not, and by address. The wait is what slows down guessing;
it is short enough that nobody can keep an owner out by failing in their name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, select

from core.store.tables import sign_in_attempts as attempts

KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Patience:
    """``free`` failures within ``window`` cost nothing; from then on the wait doubles."""

    free: int
    first: timedelta
    longest: timedelta
    window: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long after the last of so many failures the next try may come.

        >>> [int(PER_ACCOUNT.wait(n).total_seconds()) for n in (4, 5, 6, 7, 99)]
        [0, 2, 4, 8, 300]
        """
        if failures < self.free:
            return timedelta(0)
        doublings = min(failures - self.free, 32)
        wait: timedelta = min(self.first * 2**doublings, self.longest)
        return wait


PER_ACCOUNT = Patience(5, timedelta(seconds=2), timedelta(minutes=5), timedelta(hours=24))
PER_ADDRESS = Patience(30, timedelta(seconds=2), timedelta(minutes=1), timedelta(hours=1))


def begin(conn: Connection, username: str, address: str, *, now: datetime) -> int:
    """Record a try as failed until it succeeds, so that tries at the same time count each other."""
    conn.execute(attempts.delete().where(attempts.c.attempted_at < now - KEPT))
    row = {
        "username": username[:64],
        "address": address[:64],
        "succeeded": False,
        "attempted_at": now,
    }
    made: int = conn.execute(attempts.insert().values(row).returning(attempts.c.id)).scalar_one()
    return made


def wait_before(
    conn: Connection, attempt: int, username: str, address: str, *, now: datetime
) -> timedelta:
    """How long this try has to wait for those before it; zero: it may go on."""
    account = _wait(conn, attempts.c.username == username[:64], attempt, PER_ACCOUNT, now)
    place = _wait(conn, attempts.c.address == address[:64], attempt, PER_ADDRESS, now)
    return max(account, place)


def withdraw(conn: Connection, attempt: int) -> None:
    """Forget a try that was turned away unread: impatience does not lengthen the wait."""
    conn.execute(attempts.delete().where(attempts.c.id == attempt))


def succeed(conn: Connection, attempt: int) -> None:
    """Mark a try as good, which sets the count of its account back to nothing."""
    conn.execute(attempts.update().where(attempts.c.id == attempt).values(succeeded=True))


def _wait(
    conn: Connection, mine: ColumnElement[bool], attempt: int, patience: Patience, now: datetime
) -> timedelta:
    since = now - patience.window
    if patience is PER_ACCOUNT:
        last_good = select(func.max(attempts.c.attempted_at)).where(mine, attempts.c.succeeded)
        since = max(since, conn.scalar(last_good) or since)
    failed = select(func.count(), func.max(attempts.c.attempted_at)).where(
        mine,
        attempts.c.succeeded.is_(False),
        attempts.c.attempted_at > since,
        attempts.c.id != attempt,
    )
    failures, latest = conn.execute(failed).one()
    if not failures:
        return timedelta(0)
    wait: timedelta = max(latest + patience.wait(failures) - now, timedelta(0))
    return wait
