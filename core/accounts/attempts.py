"""Counting sign-ins in the database: every failure makes the next try wait longer.

Counted by account, whether it exists or not, and by address. What strangers do in somebody's name does
not keep the owner out: at an address or in a browser that they signed in from within a month, only what
failed there counts against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from core.accounts.tokens import digest
from core.store import audit
from core.store.database import hold
from core.store.tables import sign_in_attempts as attempts

KEPT = timedelta(days=30)
_LOCK = 7_267_283_007


@dataclass(frozen=True)
class Place:
    """Where a try comes from: ``network`` is an address, or all that one household has of IPv6;
    ``browser_hash`` is the digest of the token that tells browsers apart, or empty."""

    network: str
    browser_hash: str = ""

    @classmethod
    def of(cls, address: str, browser: str = "") -> Place:
        """The place of an address and a browser's token.

        >>> Place.of("2001:db8:1:2:3:4:5:6").network, Place.of("::ffff:192.0.2.1").network
        ('2001:db8:1:2::/64', '192.0.2.1')
        """
        return cls(_network(address)[:64], digest(browser) if browser else "")


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


def begin(conn: Connection, username: str, place: Place, *, now: datetime) -> int:
    """Record a try as failed until it succeeds, so that tries at the same time count each other."""
    conn.execute(attempts.delete().where(attempts.c.attempted_at < now - KEPT))
    row = {
        "username": username[:64],
        "address": place.network,
        "browser_hash": place.browser_hash,
        "succeeded": False,
        "attempted_at": now,
    }
    made: int = conn.execute(attempts.insert().values(row).returning(attempts.c.id)).scalar_one()
    return made


def wait_before(
    conn: Connection, attempt: int, username: str, place: Place, *, now: datetime
) -> timedelta:
    """How long this try has to wait for those before it; zero: it may go on."""
    others = attempts.c.id != attempt
    known = _known_at(conn, username, place)
    waits = [_of_account(conn, username, known, now, others).wait(PER_ACCOUNT, now)]
    if not known.browser:
        waits.append(_of_address(conn, place, now, others).wait(PER_ADDRESS, now))
    return max(waits)


def note_locks(
    conn: Connection, username: str, place: Place, *, user_id: int | None, now: datetime
) -> None:
    """After a failure, note in the log of changes that the account or the address has to wait from now
    on: once for a row of failures, however long it gets.

    A username that nobody has (no ``user_id``) is left out of it: the log is for ever, and what is
    written there by mistake is often a password.
    """
    network, known = place.network, _known_at(conn, username, place)
    found = [("address", network, network, PER_ADDRESS, _of_address(conn, place, now))]
    if user_id is not None:
        account = _of_account(conn, username, known, now)
        found.append(("person", str(user_id), username, PER_ACCOUNT, account))
    for subject, subject_id, name, patience, failed in found:
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
            after={"failures": failed.count, "last_from": network},
        )


def withdraw(conn: Connection, attempt: int) -> None:
    """Forget a try that was turned away unread: impatience does not lengthen the wait."""
    conn.execute(attempts.delete().where(attempts.c.id == attempt))


def succeed(conn: Connection, attempt: int) -> None:
    """Mark a try as good, which sets the count of its account at this place back to nothing."""
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


@dataclass(frozen=True)
class _Known:
    """Whether somebody signed in to an account from a place before, and ``here``: the tries from it."""

    address: bool
    browser: bool
    here: ColumnElement[bool]


def _known_at(conn: Connection, username: str, place: Place) -> _Known:
    same_address = attempts.c.address == place.network
    same_browser = and_(
        attempts.c.browser_hash == place.browser_hash, attempts.c.browser_hash != ""
    )
    good = select(func.count().filter(same_address), func.count().filter(same_browser))
    mine = attempts.c.username == username[:64], attempts.c.succeeded
    address, browser = conn.execute(good.where(*mine)).one()
    return _Known(address > 0, browser > 0, or_(same_address, same_browser))


def _of_account(
    conn: Connection,
    username: str,
    known: _Known,
    now: datetime,
    *further: ColumnElement[bool],
) -> _Failed:
    """Failures of an account. Those of strangers count until they are a day old, whatever its owner
    does; at a place that is known, those there since the last success."""
    mine = attempts.c.username == username[:64]
    since = now - PER_ACCOUNT.window
    if known.address or known.browser:
        mine = and_(mine, known.here)
        last_good = select(func.max(attempts.c.attempted_at)).where(mine, attempts.c.succeeded)
        since = max(since, conn.scalar(last_good) or since)
    return _failed(conn, since, mine, *further)


def _of_address(
    conn: Connection, place: Place, now: datetime, *further: ColumnElement[bool]
) -> _Failed:
    mine = attempts.c.address == place.network
    return _failed(conn, now - PER_ADDRESS.window, mine, *further)


def _failed(conn: Connection, since: datetime, *which: ColumnElement[bool]) -> _Failed:
    failed = select(func.count(), func.max(attempts.c.attempted_at)).where(
        *which, attempts.c.succeeded.is_(False), attempts.c.attempted_at > since
    )
    count, latest = conn.execute(failed).one()
    return _Failed(since, count, latest)


def _network(address: str) -> str:
    """A household has 2 ** 64 addresses of IPv6, and they count as one."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return str(ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return str(found)
