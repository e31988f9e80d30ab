"""People and what they may do. A username is kept in lower case and is never given twice.

Every change is noted in the log of changes, in the same transaction and without passwords or their
hashes; ``by`` is who made it, as they are called there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Row, Select, and_, func, select
from sqlalchemy.exc import IntegrityError

from core.accounts import ending, passwords
from core.errors import AccountError
from core.store import audit
from core.store.audit import COMMAND_LINE
from core.store.database import hold
from core.store.tables import meta, second_factors, users

Role = Literal["trader", "analyst", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
SETUP_KEY = "setup_token"
_LOCK = 7_267_283_011


@dataclass(frozen=True)
class Person:
    """Whoever looks at a page. A guest has no account: no id, and no right to write."""

    id: int | None
    username: str
    name: str
    role: Role
    guest: bool = False


@dataclass(frozen=True)
class Account:
    """A person's account as an administrator sees it. ``issuer`` is the organisation that signs them
    in, where they have no password; ``seen_at`` is when they last used the dashboard."""

    person: Person
    disabled: bool
    created_at: datetime
    seen_at: datetime | None = None
    second_factor: bool = False
    issuer: str | None = None


GUEST = Person(None, "guest", "Guest", "analyst", guest=True)


def may(person: Person, role: Role, *, write: bool = False) -> bool:
    """Whether ``person`` has at least ``role``; a guest reads and never writes.

    >>> may(GUEST, "trader"), may(GUEST, "trader", write=True), may(GUEST, "admin")
    (True, False, False)
    """
    if write and person.guest:
        return False
    return ROLES.index(person.role) >= ROLES.index(role)


def create_user(
    conn: Connection,
    *,
    username: str,
    name: str,
    role: str,
    password: str,
    now: datetime,
    by: str = COMMAND_LINE,
) -> Person:
    """A new account; `AccountError` with what to change if a field is not acceptable."""
    username, name, role = clean_username(username), clean_name(name), check_role(role)
    passwords.check_password(password, username=username, name=name)
    row = {
        "username": username,
        "name": name,
        "role": role,
        "password_hash": passwords.hash_password(password),
        "disabled": False,
        "created_at": now,
        "updated_at": now,
    }
    try:
        made = conn.execute(users.insert().values(row).returning(users.c.id)).scalar_one()
    except IntegrityError as error:
        raise AccountError(f"There is already a user {username}: choose another name.") from error
    forget_setup(conn)
    person = Person(made, username, name, role)
    note_change(conn, person, "create", by, now, after={"role": role, "name": name})
    return person


def set_password(
    conn: Connection, username: str, password: str, *, now: datetime, by: str = COMMAND_LINE
) -> None:
    """Replace the password and end every session that was opened with the old one, or was about to be."""
    account = _find(conn, username)
    _refuse_foreign(account, "password")
    person = account.person
    passwords.check_password(password, username=person.username, name=person.name)
    _change(conn, person, now, password_hash=passwords.hash_password(password))
    ended = ending.end_sessions(conn, person.id)
    note_change(conn, person, "password", by, now, after={"sessions_ended": ended})


def set_role(
    conn: Connection, username: str, role: str, *, now: datetime, by: str = COMMAND_LINE
) -> None:
    """Give another role; the last administrator who can sign in keeps theirs."""
    role = check_role(role)
    if role != "admin":
        _keep_an_admin(conn, username)
    account = _find(conn, username)
    _refuse_foreign(account, "role")
    person = account.person
    if person.role != role:
        _change(conn, person, now, role=role)
        ending.drop_tickets(conn, person.id or 0)
        note_change(
            conn, person, "role", by, now, before={"role": person.role}, after={"role": role}
        )


def disable(conn: Connection, username: str, *, now: datetime, by: str = COMMAND_LINE) -> None:
    """Refuse this person from now on, end their sessions, and revoke their keys for good."""
    _keep_an_admin(conn, username)
    account = _find(conn, username)
    ended = end_access(conn, account.person, now)
    if not account.disabled:
        _change(conn, account.person, now, disabled=True)
    if not account.disabled or any(ended.values()):
        note_change(conn, account.person, "disable", by, now, after=ended)


def enable(conn: Connection, username: str, *, now: datetime, by: str = COMMAND_LINE) -> None:
    """Let a disabled person sign in again; no key of theirs opens again."""
    account = _find(conn, username)
    if account.disabled:
        # Who was disabled before keys were revoked with it, or was given one since, may still have some.
        revoked = ending.revoke_keys(conn, account.person.id, now=now)
        _change(conn, account.person, now, disabled=False)
        after = {"keys_revoked": revoked} if revoked else None
        note_change(conn, account.person, "enable", by, now, after=after)


def end_sessions(conn: Connection, username: str, *, now: datetime, by: str = COMMAND_LINE) -> int:
    """End every session of a person; how many that were."""
    person = _find(conn, username).person
    ended = ending.end_sessions(conn, person.id)
    if ended:
        note_change(conn, person, "revoke", by, now, after={"sessions_ended": ended})
    return ended


def end_access(conn: Connection, person: Person, now: datetime) -> dict[str, int]:
    """End what opens the product to a person; how much that was, as it is noted."""
    ended = ending.end_sessions(conn, person.id)
    return {"sessions_ended": ended, "keys_revoked": ending.revoke_keys(conn, person.id, now=now)}


def list_people(conn: Connection) -> list[Account]:
    """Every account, by username."""
    return [_account(row) for row in conn.execute(_accounts().order_by(users.c.username))]


def find_account(conn: Connection, username: str) -> Account:
    """The account of a username; `AccountError` if there is none."""
    return _find(conn, username)


def forget_setup(conn: Connection) -> None:
    """Somebody has an account: the tokens that make the first one are dead."""
    conn.execute(meta.delete().where(meta.c.key.startswith(SETUP_KEY, autoescape=True)))


def any_people(conn: Connection) -> bool:
    """Whether anybody has an account yet."""
    return conn.execute(select(users.c.id).limit(1)).first() is not None


def clean_username(username: str) -> str:
    """The username as it is kept.

    >>> clean_username(" Ada.L ")
    'ada.l'
    """
    username = username.strip().lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9._@+-]{0,63}", username):
        raise AccountError(
            "A username has 1 to 64 characters, starts with a letter from a to z or a digit, and "
            "then also takes . _ - + and @."
        )
    return username


def clean_name(name: str) -> str:
    """The name as it is shown, with single spaces."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise AccountError("A name has 1 to 80 letters: write how the person is called.")
    return name


def check_role(role: str) -> Role:
    """``role`` if it is one."""
    for known in ROLES:
        if role == known:
            return known
    raise AccountError(f"There is no role {role}: write trader, analyst or admin.")


def note_change(
    conn: Connection,
    person: Person,
    action: str,
    by: str,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down what was done to a person, in the transaction that does it."""
    audit.note(
        conn,
        at=now,
        by=by,
        action=action,
        subject="person",
        subject_id=person.id,
        name=person.username,
        before=before,
        after=after,
    )


def _accounts() -> Select[Any]:
    counts = and_(
        second_factors.c.user_id == users.c.id, second_factors.c.confirmed_at.is_not(None)
    )
    factor = second_factors.c.confirmed_at.label("factor_at")
    return select(users, factor).outerjoin(second_factors, counts)


def _account(row: Row[Any]) -> Account:
    return Account(
        Person(row.id, row.username, row.name, row.role),
        row.disabled,
        row.created_at,
        row.seen_at,
        row.factor_at is not None,
        row.issuer,
    )


def _refuse_foreign(account: Account, what: str) -> None:
    if account.issuer is not None:
        raise AccountError(
            f"{account.person.username} is signed in by an organisation ({account.issuer}), and the "
            f"{what} comes from there: change it there."
        )


def _find(conn: Connection, username: str) -> Account:
    asked = users.c.username == username.strip().lower()
    row = conn.execute(_accounts().where(asked)).first()
    if row is None:
        raise AccountError(f"There is no user {username}: see `python -m core user list`.")
    return _account(row)


def _change(conn: Connection, person: Person, now: datetime, **values: Any) -> None:
    mine = users.c.id == person.id
    conn.execute(users.update().where(mine).values(updated_at=now, **values))


def _keep_an_admin(conn: Connection, username: str) -> None:
    hold(conn, _LOCK)  # Of two who take each other's role away, the second one is refused.
    others = select(func.count()).where(
        users.c.role == "admin",
        users.c.disabled.is_(False),
        users.c.username != username.strip().lower(),
    )
    asked = select(users.c.role, users.c.disabled).where(
        users.c.username == username.strip().lower()
    )
    row = conn.execute(asked).first()
    if row and row.role == "admin" and not row.disabled and not conn.scalar(others):
        raise AccountError(f"{username} is the last administrator: make another one first.")
