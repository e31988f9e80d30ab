"""Counting sign-ins in the database: every failure makes the next try wait longer.

Counted by account, whether it exists or not, and by address. The wait is what slows down guessing;
it is short enough that nobody can keep an owner out by failing in their name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, select

from core.store import audit
from core.store.database import hold
from core.store.tables import sign_in_attempts as attempts

KEPT = timedelta(days=30)
_LOCK = 7_267_283_007


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
    others = attempts.c.id != attempt
    account = _failed(conn, _of_account(username), PER_ACCOUNT, now, others)
    place = _failed(conn, _of_address(address), PER_ADDRESS, now, others)
    return max(account.wait(PER_ACCOUNT, now), place.wait(PER_ADDRESS, now))


def note_locks(
    conn: Connection, username: str, address: str, *, user_id: int | None, now: datetime
) -> None:
    """After a failure, note in the log of changes that the account or the address has to wait from now
    on: once for a row of failures, however long it gets.

    A username that nobody has (no ``user_id``) is left out of it: the log is for ever, and what is
    written there by mistake is often a password.
    """
    found = [("address", address[:64], address[:64], PER_ADDRESS, _of_address(address))]
    if user_id is not None:
        found.append(("person", str(user_id), username, PER_ACCOUNT, _of_account(username)))
    for subject, subject_id, name, patience, mine in found:
        failed = _failed(conn, mine, patience, now)
        if failed.count < patience.free:
            continue
        hold(conn, _LOCK)  # Of guesses made at the same time one writes it down.
        if audit.list_changes(
            conn, subject=subject, subject_id=subject_id, action="lock", since=failed.since, limit=1
        ):
            continue
        audit.note(
            conn,
            at=now,
            by=audit.SIGN_IN,
            action="lock",
            subject=subject,
            subject_id=subject_id,
            name=name,
            after={"failures": failed.count, "last_from": address[:64]},
        )


def withdraw(conn: Connection, attempt: int) -> None:
    """Forget a try that was turned away unread: impatience does not lengthen the wait."""
    conn.execute(attempts.delete().where(attempts.c.id == attempt))


def succeed(conn: Connection, attempt: int) -> None:
    """Mark a try as good, which sets the count of its account back to nothing."""
    conn.execute(attempts.update().where(attempts.c.id == attempt).values(succeeded=True))


@dataclass(frozen=True)
class _Failed:
    """Failures since a moment, which is that of the last success where there was one."""

    since: datetime
    count: int
    latest: datetime | None

    def wait(self, patience: Patience, now: datetime) -> timedelta:
        if self.latest is None:
            return timedelta(0)
        wait: timedelta = max(self.latest + patience.wait(self.count) - now, timedelta(0))
        return wait


def _of_account(username: str) -> ColumnElement[bool]:
    return attempts.c.username == username[:64]


def _of_address(address: str) -> ColumnElement[bool]:
    return attempts.c.address == address[:64]


def _failed(
    conn: Connection,
    mine: ColumnElement[bool],
    patience: Patience,
    now: datetime,
    *further: ColumnElement[bool],
) -> _Failed:
    since = now - patience.window
    if patience is PER_ACCOUNT:
        last_good = select(func.max(attempts.c.attempted_at)).where(mine, attempts.c.succeeded)
        since = max(since, conn.scalar(last_good) or since)
    failed = select(func.count(), func.max(attempts.c.attempted_at)).where(
        mine, attempts.c.succeeded.is_(False), attempts.c.attempted_at > since, *further
    )
    count, latest = conn.execute(failed).one()
    return _Failed(since, count, latest)
