"""What a person does with their own account, as the session of this browser allows it.

An administrator who still lacks the second factor that they need may do all of this, and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime

from core.accounts import Person, people, second_factor, sessions
from core.accounts.second_factor import Factor
from core.accounts.sessions import Session
from core.accounts.sign_in import confirm, confirm_password
from core.alerts.delivery.sealing import Sealer, load_sealer
from core.errors import AccessDenied, AccountError
from core.instance import instance
from core.ui import browser
from core.ui.session import current_session, require_user


def own_sessions(now: datetime) -> list[Session]:
    """The sessions of the person in front of the page."""
    person = _owner()
    here = instance()
    if person.id is None:
        return []
    with here.accounts.connect() as conn:
        return sessions.list_sessions(conn, person.id, now=now, limits=here.session_limits)


def end_other_sessions() -> int:
    """End every session of this person but this browser's; how many that were."""
    _owner()
    session = current_session()
    if session is None:
        return 0
    with instance().accounts.begin() as conn:
        return sessions.end_others(conn, session, now=datetime.now(UTC))


def end_session(session_id: str) -> bool:
    """End one session of this person; False if it is over already."""
    person, now = _owner(), datetime.now(UTC)
    with instance().accounts.begin() as conn:
        return sessions.end_one(conn, person, session_id, by=person.username, now=now)


def change_password(present: str, password: str, again: str) -> int | None:
    """Replace the own password, which ends every session; the id to open a new one with."""
    person = _owner()
    if password != again:
        raise AccountError("The two new passwords differ: write the same one twice.")
    now = datetime.now(UTC)
    _confirm_password(person, present, now)
    with instance().accounts.begin() as conn:
        people.set_password(conn, person.username, password, now=now, by=person.username)
    return person.id


def own_factor() -> Factor | None:
    """The second factor of the person in front of the page."""
    person = _owner()
    if person.id is None:
        return None
    with instance().accounts.connect() as conn:
        return second_factor.load_factor(conn, person.id)


def begin_factor(present: str) -> str:
    """The secret for this person's device, for the right password."""
    person, now = _owner(), datetime.now(UTC)
    if person.id is None:
        raise AccountError("A guest has no account.")
    _confirm_password(person, present, now)
    with instance().accounts.begin() as conn:
        return second_factor.begin(conn, person.id, _sealer(), now=now)


def confirm_factor(code: str) -> list[str]:
    """Let the factor count from now on; its recovery codes."""
    person, session = _owner(), current_session()
    with instance().accounts.begin() as conn:
        return second_factor.confirm(
            conn,
            person,
            code,
            _sealer(),
            now=datetime.now(UTC),
            keep=session.id if session else "",
        )


def renew_codes(proof: str) -> list[str]:
    """New recovery codes in the place of the old ones, for the password or a code."""
    person, now = _owner(), datetime.now(UTC)
    _confirm(person, proof, now)
    with instance().accounts.begin() as conn:
        return second_factor.renew_codes(conn, person, now=now)


def remove_factor(proof: str) -> None:
    """Turn the own second factor off, for the password or a code."""
    person, now = _owner(), datetime.now(UTC)
    _confirm(person, proof, now)
    with instance().accounts.begin() as conn:
        second_factor.remove(conn, person, by=person.username, now=now)


def _owner() -> Person:
    return require_user("trader", write=True, without_factor=True)


def _sealer() -> Sealer:
    return load_sealer(instance().settings)


def _confirm_password(person: Person, present: str, now: datetime) -> None:
    try:
        confirm_password(instance().accounts, person, present, place=browser.place(), now=now)
    except AccessDenied as error:
        raise AccessDenied(f"The present password was not accepted. {error}") from error


def _confirm(person: Person, proof: str, now: datetime) -> None:
    place = browser.place()
    confirm(instance().accounts, person, proof, place=place, now=now, sealer=_sealer)
