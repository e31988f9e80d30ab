"""Checking who somebody is: a password, and where they have one a second factor.

It costs the same whether the account exists or not. A right password alone sets no count back: where a
code is wanted, it counts as failed until the code was right too, and only then as good.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, select

from core.accounts import attempts, passwords, second_factor
from core.accounts.attempts import Place
from core.accounts.people import Person
from core.alerts.delivery.sealing import Sealer
from core.errors import AccessDenied
from core.store.tables import second_factors, users

WRONG = "The username or the password is not right."
DISABLED = "This account is switched off. Ask an administrator to switch it on."
TOO_LATE = "That took too long: sign in again."
# How long a code may come after the password.
PATIENCE = timedelta(minutes=5)
# More than any password, however it was typed; nobody is to make the server work on a novel.
_LONGEST_TYPED = 1_024


@dataclass(frozen=True)
class Known:
    """Whoever gave the right password. With ``wants_code`` they are not in yet, and ``attempt`` counts
    as failed; ``account_as_of`` is when their account was last changed."""

    person: Person
    wants_code: bool
    at: datetime
    account_as_of: datetime
    attempt: int


def check_password(
    engine: Engine,
    username: str,
    password: str,
    *,
    place: Place,
    now: datetime,
    matches: Callable[[str, str], bool] = passwords.matches,
) -> Known:
    """Who gave the right password; `AccessDenied` with a sentence for anyone else.

    ``matches`` compares a prepared password with a stored hash.
    """
    username = username.strip().lower().replace("\0", "")
    if not username or not password:
        raise AccessDenied("Write your username and your password.")
    attempt = _admit(engine, username, place, now)
    with engine.connect() as conn:
        row = conn.execute(_with_factor().where(users.c.username == username)).first()
    fault = _fault(row, password, matches)
    if fault or row is None:
        _note_failure(engine, username, place, row.id if row else None, now)
        raise AccessDenied(fault)
    wants_code = row.factor_at is not None
    if not wants_code:
        with engine.begin() as conn:
            attempts.succeed(conn, attempt)
    person = Person(row.id, row.username, row.name, row.role)
    return Known(person, wants_code, now, row.updated_at, attempt)


def check_code(
    engine: Engine,
    known: Known,
    code: str,
    *,
    place: Place,
    now: datetime,
    sealer: Callable[[], Sealer],
) -> Person:
    """The person who gave the right password and then a right code; `AccessDenied` for anyone else."""
    if now - known.at > PATIENCE:
        raise AccessDenied(TOO_LATE)
    person = known.person
    with engine.connect() as conn:
        as_of = conn.scalar(select(users.c.updated_at).where(users.c.id == person.id))
    if as_of != known.account_as_of:  # Perhaps the password that was right is so no more.
        raise AccessDenied(TOO_LATE)
    _try_code(engine, person, code, place=place, now=now, sealer=sealer, before=(known.attempt,))
    return person


def confirm(
    engine: Engine,
    person: Person,
    proof: str,
    *,
    place: Place,
    now: datetime,
    sealer: Callable[[], Sealer],
) -> None:
    """Pass if ``proof`` is the password of a person who is signed in, or a code of their device."""
    if second_factor.is_code(proof):
        _try_code(engine, person, proof, place=place, now=now, sealer=sealer)
    else:
        confirm_password(engine, person, proof, place=place, now=now)


def confirm_password(
    engine: Engine, person: Person, password: str, *, place: Place, now: datetime
) -> None:
    """Pass if ``password`` is that of a person who is signed in; `AccessDenied` if not."""
    known = check_password(engine, person.username, password, place=place, now=now)
    with engine.begin() as conn:
        attempts.succeed(conn, known.attempt)


def _try_code(
    engine: Engine,
    person: Person,
    code: str,
    *,
    place: Place,
    now: datetime,
    sealer: Callable[[], Sealer],
    before: tuple[int, ...] = (),
) -> None:
    """Pass if a code is right, and with it the tries ``before`` that waited for it."""
    attempt = _admit(engine, person.username, place, now)
    with engine.begin() as conn:
        right = second_factor.take_code(conn, person, code, sealer, now=now)
        if right:
            for good in (*before, attempt):
                attempts.succeed(conn, good)
    if not right:
        _note_failure(engine, person.username, place, person.id, now)
        raise AccessDenied(second_factor.WRONG)


def _with_factor() -> Any:
    factor = second_factors.c.confirmed_at.label("factor_at")
    return select(users, factor).outerjoin(second_factors, second_factors.c.user_id == users.c.id)


def _fault(row: Row[Any] | None, password: str, matches: Callable[[str, str], bool]) -> str:
    """What to answer whoever gave this password for the account of a row; empty lets them in."""
    stored = row.password_hash if row else None
    # Nobody's password, checked for who has none: an unknown name, or a person of an organisation.
    against = passwords.decoy(passwords.ROUNDS) if stored is None else stored
    if len(password) > _LONGEST_TYPED or not matches(passwords.prepare(password), against):
        return WRONG
    if row is None or stored is None:
        return WRONG
    return DISABLED if row.disabled else ""


def _admit(engine: Engine, username: str, place: Place, now: datetime) -> int:
    with engine.begin() as conn:
        attempt = attempts.begin(conn, username, place, now=now)
    with engine.begin() as conn:
        wait = attempts.wait_before(conn, attempt, username, place, now=now)
        if wait:
            attempts.withdraw(conn, attempt)
    if wait:
        raise AccessDenied(f"Too many failed sign-ins. Try again in {_in_words(wait)}.")
    return attempt


def _note_failure(
    engine: Engine, username: str, place: Place, user_id: int | None, now: datetime
) -> None:
    with engine.begin() as conn:
        attempts.note_locks(conn, username, place, user_id=user_id, now=now)


def _in_words(wait: timedelta) -> str:
    seconds = math.ceil(wait.total_seconds())
    if seconds < 90:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"{math.ceil(seconds / 60)} minutes"
