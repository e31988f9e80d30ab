"""People whom an organisation signs in: who they are and what they may do is said by its provider.

A person is known by the provider and what it calls them for good (issuer and subject), never by an
e-mail address or a username, which change hands. Their role follows from a claim at every sign-in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.accounts import people
from core.accounts.people import ROLES, Person, Role, clean_name, clean_username, note_change
from core.accounts.tokens import digest
from core.errors import AccountError
from core.store.tables import journeys, users

# How long somebody may be away at the provider, and how far its clock may be off.
PATIENCE, SKEW = timedelta(minutes=10), timedelta(minutes=1)
NO_ROLE = (
    "You are known to {name}, but it gives you no role here. Ask your administrator for one of the "
    "groups that may use this dashboard."
)
STALE = "That sign-in took too long or was used before. Please sign in again."
DISABLED = "This account is switched off. Ask an administrator to switch it on."


@dataclass(frozen=True)
class Mapped:
    """How claims become roles: the path to a claim, and the role that each value of it gives."""

    name: str
    claim: str
    roles: Mapping[str, str]

    def role(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest role that the claims give; None for none.

        >>> desk = Mapped("Example", "realm.groups", {"desk": "trader", "ops": "admin"})
        >>> desk.role({"realm": {"groups": ["ops", "desk"]}}), desk.role({"realm": "desk"})
        ('admin', None)
        """
        given = {self.roles[one] for one in _values(claims, self.claim) if one in self.roles}
        return next((role for role in reversed(ROLES) if role in given), None)


def begin(conn: Connection, *, browser: str, next_path: str, now: datetime) -> None:
    """Remember that a browser goes to the provider, and where it wants to end."""
    conn.execute(delete(journeys).where(journeys.c.began_at <= now - 2 * PATIENCE))
    conn.execute(delete(journeys).where(journeys.c.browser_hash == digest(browser)))
    row = {"browser_hash": digest(browser), "next_path": next_path, "began_at": now}
    conn.execute(insert(journeys).values(row))


@dataclass(frozen=True)
class Arrived:
    """What became of a sign-in by the organisation: a person and where they wanted to end, or why not."""

    person: Person | None = None
    next_path: str = "/"
    fault: str = ""


def arrive(
    conn: Connection, claims: Mapping[str, Any], mapped: Mapped, *, browser: str, now: datetime
) -> Arrived | None:
    """What follows from the identity that a browser came back with; None if it did not ask for one.

    It is taken once, and only if it was given after the browser asked: an identity that was copied from
    another browser is worth nothing. Nothing is raised, for what is refused has to be kept too.
    """
    mine = journeys.c.browser_hash == digest(browser)
    asked = select(journeys).where(mine, journeys.c.identity_hash.is_(None))
    row = conn.execute(asked).first()
    if row is None:
        return None
    if not _taken(conn, claims, browser) or not _given_since(claims, row.began_at, now):
        conn.execute(delete(journeys).where(mine, journeys.c.identity_hash.is_(None)))
        return Arrived(fault=STALE)
    return _admit(conn, claims, mapped, row.next_path, now)


def is_away(conn: Connection, *, browser: str, now: datetime) -> bool:
    """Whether a browser went to the provider a moment ago and has not come back with an identity."""
    mine = (journeys.c.browser_hash == digest(browser)) & journeys.c.identity_hash.is_(None)
    began_at: datetime | None = conn.scalar(select(journeys.c.began_at).where(mine))
    return began_at is not None and now - began_at <= PATIENCE


def _taken(conn: Connection, claims: Mapping[str, Any], browser: str) -> bool:
    """Whether an identity was not shown before, in any browser."""
    shown = digest("\n".join(str(claims.get(key)) for key in ("iss", "sub", "iat", "nonce")))
    mine = (journeys.c.browser_hash == digest(browser)) & journeys.c.identity_hash.is_(None)
    try:
        with conn.begin_nested():
            return (
                conn.execute(update(journeys).where(mine).values(identity_hash=shown)).rowcount > 0
            )
    except IntegrityError:
        return False


def _given_since(claims: Mapping[str, Any], asked_at: datetime, now: datetime) -> bool:
    given_at = _time(claims.get("iat"))
    if given_at is None or now - asked_at > PATIENCE:
        return False
    return asked_at - SKEW <= given_at <= now + SKEW


def _admit(
    conn: Connection, claims: Mapping[str, Any], mapped: Mapped, next_path: str, now: datetime
) -> Arrived:
    """The person of an identity, made at their first sign-in. Who has lost every role is refused, and
    whatever they held ends."""
    issuer, subject = str(claims.get("iss") or ""), str(claims.get("sub") or "")
    if not 1 <= len(issuer) <= 256 or not 1 <= len(subject) <= 256:
        return Arrived(fault=STALE)
    mine = (users.c.issuer == issuer) & (users.c.subject == subject)
    row = conn.execute(select(users).where(mine)).first()
    role = mapped.role(claims)
    if role is None:
        if row is not None:
            _take_role(conn, Person(row.id, row.username, row.name, row.role), mapped, now)
        return Arrived(fault=NO_ROLE.format(name=mapped.name))
    if row is None:
        return Arrived(_create(conn, claims, mapped, role, issuer, subject, now), next_path)
    if row.disabled:
        return Arrived(fault=DISABLED)
    person = Person(row.id, row.username, row.name, row.role)
    if role != row.role:
        conn.execute(update(users).where(mine).values(role=role, updated_at=now))
        before, after = {"role": row.role}, {"role": role}
        note_change(conn, person, "role", _by(mapped), now, before=before, after=after)
    return Arrived(Person(row.id, row.username, row.name, role), next_path)


def _create(
    conn: Connection,
    claims: Mapping[str, Any],
    mapped: Mapped,
    role: Role,
    issuer: str,
    subject: str,
    now: datetime,
) -> Person:
    username = _free_username(conn, claims)
    row = {
        "username": username,
        "name": _name(claims, username),
        "role": role,
        "password_hash": None,
        "disabled": False,
        "created_at": now,
        "updated_at": now,
        "issuer": issuer,
        "subject": subject,
    }
    made = conn.execute(insert(users).values(row).returning(users.c.id)).scalar_one()
    person = Person(made, username, str(row["name"]), role)
    people.forget_setup(conn)
    after = {"role": role, "name": person.name, "issuer": issuer}
    note_change(conn, person, "create", _by(mapped), now, after=after)
    return person


def _take_role(conn: Connection, person: Person, mapped: Mapped, now: datetime) -> None:
    """Leave nothing to somebody whom the provider gives no role: their sessions end, their keys are
    revoked, and the account has the least role until the provider gives one again, so that nothing they
    began as an administrator, such as an invitation, counts as one's."""
    before: dict[str, Any] = {}
    after = dict[str, Any](people.end_access(conn, person, now))
    if person.role != ROLES[0]:
        mine = users.c.id == person.id
        conn.execute(update(users).where(mine).values(role=ROLES[0], updated_at=now))
        before, after = {"role": person.role}, after | {"role": ROLES[0]}
    if any(after.values()):
        note_change(conn, person, "revoke", _by(mapped), now, before=before or None, after=after)


def _by(mapped: Mapped) -> str:
    # With a space in it, no username can be mistaken for it.
    return f"sign-in by {mapped.name}"


def _free_username(conn: Connection, claims: Mapping[str, Any]) -> str:
    """What the provider calls them, if it can be a username; with a number if somebody has it."""
    wanted = "person"
    for claim in ("preferred_username", "email", "sub"):
        try:
            wanted = clean_username(str(claims.get(claim) or ""))[:60]
            break
        except AccountError:
            continue
    taken = set(conn.scalars(select(users.c.username).where(users.c.username.startswith(wanted))))
    tries = (wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in tries if one not in taken)


def _name(claims: Mapping[str, Any], username: str) -> str:
    try:
        return clean_name(str(claims.get("name") or username)[:80])
    except AccountError:
        return username


def _values(claims: Mapping[str, Any], path: str) -> list[str]:
    """The values at a path; a name with dots of its own is found as it is."""
    found: Any = claims
    if path in claims:
        found = claims[path]
    else:
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [str(one) for one in found] if isinstance(found, Sequence) else []


def _time(value: object) -> datetime | None:
    if not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None
