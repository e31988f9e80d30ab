"""Checking a username and a password, at the same cost whether the account exists or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, select

from core.accounts import attempts, passwords
from core.accounts.people import Person
from core.errors import AccessDenied
from core.store.tables import users

WRONG = "The username or the password is not right."
DISABLED = "This account is switched off. Ask an administrator to switch it on."


def sign_in(
    engine: Engine,
    username: str,
    password: str,
    *,
    address: str,
    now: datetime,
    matches: Callable[[str, str], bool] = passwords.matches,
) -> Person:
    """The person who gave the right password; `AccessDenied` with a sentence for anyone else.

    ``matches`` compares a prepared password with a stored hash.
    """
    username = username.strip().lower().replace("\0", "")
    if not username or not password:
        raise AccessDenied("Write your username and your password.")
    attempt = _admit(engine, username, address, now)
    with engine.connect() as conn:
        row = conn.execute(select(users).where(users.c.username == username)).first()
    fault = _fault(row, password, matches)
    if fault or row is None:
        with engine.begin() as conn:
            user_id = row.id if row else None
            attempts.note_locks(conn, username, address, user_id=user_id, now=now)
        raise AccessDenied(fault)
    with engine.begin() as conn:
        attempts.succeed(conn, attempt)
    return Person(row.id, row.username, row.name, row.role)


def _fault(row: Row[Any] | None, password: str, matches: Callable[[str, str], bool]) -> str:
    """What to answer whoever gave this password for the account of a row; empty lets them in."""
    decoy = passwords.decoy(passwords.ROUNDS)
    stored = row.password_hash if row else decoy
    if len(password) > passwords.LONGEST or not matches(passwords.prepare(password), stored):
        return WRONG
    if row is None:
        return WRONG
    return DISABLED if row.disabled else ""


def _admit(engine: Engine, username: str, address: str, now: datetime) -> int:
    with engine.begin() as conn:
        attempt = attempts.begin(conn, username, address, now=now)
    with engine.begin() as conn:
        wait = attempts.wait_before(conn, attempt, username, address, now=now)
        if wait:
            attempts.withdraw(conn, attempt)
    if wait:
        raise AccessDenied(f"Too many failed sign-ins. Try again in {_in_words(wait)}.")
    return attempt


def _in_words(wait: timedelta) -> str:
    seconds = math.ceil(wait.total_seconds())
    if seconds < 90:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"{math.ceil(seconds / 60)} minutes"
