"""Invitations: links by which somebody makes an account of their own, once, with a role that is set.

An invitation is worth what its maker is worth at that moment: it opens nothing while they are no
administrator who can sign in. What the command line made is whoever has the machine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, exists, insert, not_, select

from core.accounts import people
from core.accounts.people import Person, Role, check_role
from core.accounts.tokens import digest, new_token
from core.errors import AccessDenied, AccountError
from core.store import audit
from core.store.audit import COMMAND_LINE
from core.store.tables import invitations, users

LASTS = timedelta(hours=72)
LONGEST = timedelta(days=14)
GONE = (
    "This invitation is not good any more: it was used, withdrawn, or is too old. "
    "Ask whoever sent it for another one."
)
LAPSED = (
    "This invitation is not good any more: {made_by}, who made it, is no administrator now. "
    "Ask an administrator for another one."
)


@dataclass(frozen=True)
class Invitation:
    """One that is open; ``note`` says whom it is for, ``lapsed`` that its maker is no administrator who
    can sign in, and so nobody can use it."""

    id: int
    role: Role
    note: str
    made_by: str
    made_at: datetime
    expires_at: datetime
    lapsed: bool

    @property
    def fault(self) -> str:
        """Why nobody can use it; empty if somebody can."""
        return LAPSED.format(made_by=self.made_by) if self.lapsed else ""


def invite(
    conn: Connection,
    *,
    role: str,
    by: str,
    now: datetime,
    note: str = "",
    lasts: timedelta = LASTS,
) -> str:
    """The token of a new invitation, which nobody can look up later."""
    role, note = check_role(role), " ".join(note.split())
    if not timedelta(0) < lasts <= LONGEST:
        raise AccountError(f"An invitation lasts up to {LONGEST.days} days: choose less.")
    if len(note) > 80 or not (note or " ").isprintable():
        raise AccountError("Whom it is for takes up to 80 letters.")
    conn.execute(delete(invitations).where(invitations.c.expires_at <= now))
    token = new_token()
    row = {
        "token_hash": digest(token),
        "role": role,
        "note": note,
        "made_by": by,
        "made_at": now,
        "expires_at": now + lasts,
    }
    made = conn.execute(insert(invitations).values(row).returning(invitations.c.id)).scalar_one()
    _note(conn, "create", made, note, by, now, role=role, until=row["expires_at"])
    return token


def list_invitations(conn: Connection, *, now: datetime) -> list[Invitation]:
    """Those that are open, the newest first."""
    rows = conn.execute(
        _invitations().where(invitations.c.expires_at > now).order_by(invitations.c.id.desc())
    )
    return [_invitation(row) for row in rows.mappings()]


def find(conn: Connection, token: str, *, now: datetime) -> Invitation | None:
    """The open invitation of a token, or None; look at its ``fault`` before it is used."""
    mine = (invitations.c.token_hash == digest(token.strip())) & (invitations.c.expires_at > now)
    row = conn.execute(_invitations().where(mine)).mappings().first()
    return None if row is None else _invitation(row)


def withdraw(conn: Connection, invitation_id: int, *, by: str, now: datetime) -> bool:
    """Make an invitation worthless; False if it is so already."""
    mine = invitations.c.id == invitation_id
    row = conn.execute(select(invitations).where(mine)).mappings().first()
    if row is None or not conn.execute(delete(invitations).where(mine)).rowcount:
        return False
    _note(conn, "withdraw", invitation_id, row["note"], by, now, role=row["role"])
    return True


def accept(
    conn: Connection, token: str, *, username: str, name: str, password: str, now: datetime
) -> Person:
    """The new person, with the role of the invitation, which dies in the same transaction."""
    found = find(conn, token, now=now)
    mine = invitations.c.token_hash == digest(token.strip())
    if found is not None and found.fault:
        raise AccessDenied(found.fault)
    if found is None or not conn.execute(delete(invitations).where(mine)).rowcount:
        raise AccessDenied(GONE)
    person = people.create_user(
        conn,
        username=username,
        name=name,
        role=found.role,
        password=password,
        now=now,
        by=people.clean_username(username),
    )
    _note(conn, "accept", found.id, found.note, person.username, now, invited_by=found.made_by)
    return person


def _invitations() -> Select[Any]:
    still = exists().where(
        users.c.username == invitations.c.made_by,
        users.c.role == "admin",
        users.c.disabled.is_(False),
    )
    lapsed = and_(invitations.c.made_by != COMMAND_LINE, not_(still))
    return select(invitations, lapsed.label("lapsed"))


def _invitation(row: Any) -> Invitation:
    found = {name: row[name] for name in Invitation.__dataclass_fields__}
    return Invitation(**found | {"lapsed": bool(row["lapsed"])})


def _note(
    conn: Connection, action: str, number: int, note: str, by: str, now: datetime, **after: object
) -> None:
    audit.note(
        conn,
        at=now,
        by=by,
        action=action,
        subject="invitation",
        subject_id=number,
        name=note or f"number {number}",
        after={key: _plain(value) for key, value in after.items()},
    )


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
