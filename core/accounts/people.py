"""People and what they may do. A username is kept in lower case and is never given twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from core.accounts import passwords
from core.errors import AccountError
from core.store.tables import meta, sessions, users

Role = Literal["trader", "analyst", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
SETUP_KEY = "setup_token"


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
    """A person's account as an administrator sees it."""

    person: Person
    disabled: bool
    created_at: datetime


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
    conn: Connection, *, username: str, name: str, role: str, password: str, now: datetime
) -> Person:
    """A new account; `AccountError` with what to change if a field is not acceptable."""
    username, name, role = clean_username(username), clean_name(name), check_role(role)
    passwords.check_password(password, username=username)
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
    conn.execute(meta.delete().where(meta.c.key == SETUP_KEY))
    return Person(made, username, name, role)


def set_password(conn: Connection, username: str, password: str, *, now: datetime) -> None:
    """Replace the password and end every session that was opened with the old one."""
    passwords.check_password(password, username=username)
    _change(conn, username, now, password_hash=passwords.hash_password(password))
    _end_sessions(conn, username)


def set_role(conn: Connection, username: str, role: str, *, now: datetime) -> None:
    """Give another role; the last administrator who can sign in keeps theirs."""
    role = check_role(role)
    if role != "admin":
        _keep_an_admin(conn, username)
    _change(conn, username, now, role=role)


def disable(conn: Connection, username: str, *, now: datetime) -> None:
    """Refuse this person from now on, and end their sessions."""
    _keep_an_admin(conn, username)
    _change(conn, username, now, disabled=True)
    _end_sessions(conn, username)


def enable(conn: Connection, username: str, *, now: datetime) -> None:
    """Let a disabled person sign in again."""
    _change(conn, username, now, disabled=False)


def list_people(conn: Connection) -> list[Account]:
    """Every account, by username."""
    rows = conn.execute(select(users).order_by(users.c.username))
    return [
        Account(Person(row.id, row.username, row.name, row.role), row.disabled, row.created_at)
        for row in rows
    ]


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


def _change(conn: Connection, username: str, now: datetime, **values: Any) -> None:
    asked = users.c.username == username.strip().lower()
    changed = conn.execute(users.update().where(asked).values(updated_at=now, **values))
    if changed.rowcount == 0:
        raise AccountError(f"There is no user {username}: see `python -m core user list`.")


def _keep_an_admin(conn: Connection, username: str) -> None:
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


def _end_sessions(conn: Connection, username: str) -> None:
    owner = select(users.c.id).where(users.c.username == username.strip().lower())
    conn.execute(sessions.delete().where(sessions.c.user_id.in_(owner)))
