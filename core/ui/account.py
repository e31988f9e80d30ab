"""What a person does with their own account, as the session of this browser allows it."""

from __future__ import annotations

from datetime import UTC, datetime

from core.accounts import people, sessions
from core.accounts.sessions import Session
from core.accounts.sign_in import sign_in
from core.errors import AccessDenied, AccountError
from core.instance import instance
from core.ui import browser
from core.ui.session import current_session, require_user


def own_sessions(now: datetime) -> list[Session]:
    """The sessions of the person in front of the page."""
    person = require_user("trader", write=True)
    if person.id is None:
        return []
    with instance().accounts.connect() as conn:
        return sessions.list_sessions(conn, person.id, now=now)


def end_other_sessions() -> int:
    """End every session of this person but this browser's; how many that were."""
    require_user("trader", write=True)
    session = current_session()
    if session is None:
        return 0
    with instance().accounts.begin() as conn:
        return sessions.end_others(conn, session, now=datetime.now(UTC))


def change_password(present: str, password: str, again: str) -> int | None:
    """Replace the own password, which ends every session; the id to open a new one with."""
    person = require_user("trader", write=True)
    if password != again:
        raise AccountError("The two new passwords differ: write the same one twice.")
    here, now = instance(), datetime.now(UTC)
    try:
        sign_in(here.accounts, person.username, present, address=browser.address(), now=now)
    except AccessDenied as error:
        raise AccessDenied(f"The present password was not accepted. {error}") from error
    with here.accounts.begin() as conn:
        people.set_password(conn, person.username, password, now=now, by=person.username)
    return person.id
