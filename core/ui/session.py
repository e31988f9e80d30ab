"""Who is looking: the guard that every page asks first, and the end of a session."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from core.accounts import Person, Role, may, sessions
from core.accounts.sessions import Session
from core.errors import AccessDenied
from core.instance import Instance, instance
from core.observing.context import session_id
from core.ui.browser import SESSION_COOKIE, cookie, leave, page_name, query
from core.ui.entrance import draw_entrance
from core.ui.navigation import path_to
from core.ui.pulse import read_accounts

WATCH_SECONDS = 30


def require_user(role: Role, write: bool = False, *, without_factor: bool = False) -> Person:
    """The person in front of the page, who has at least ``role``; the first statement of a page.

    Anyone else sees the sign-in or a refusal, and the script stops. The database is asked on every
    run, so a session that is ended or a role that is taken away counts from the next run on.
    ``write`` is for what changes something: a guest is refused. ``without_factor`` is for where an
    administrator sets up the second factor that they need for everything else.
    """
    session = current_session()
    if session is None:
        draw_entrance(path_to(page_name(), query()))
        _refuse()
    if not may(session.person, role, write=write):
        st.subheader("Not for this account", anchor=False)
        st.markdown(_refusal(session.person, role))
        _refuse()
    if not without_factor and lacks_factor(instance(), session):
        st.subheader("First a second factor", anchor=False)
        st.markdown(
            "Here an administrator needs one before anything else. It is set up on the page "
            "**Account**, at the foot of the menu."
        )
        _refuse()
    return session.person


def current_session(*, seen: bool = True) -> Session | None:
    """The session of this browser, if it holds here and now.

    A guest's session holds only where guests are welcome, whatever server it was made on.
    ``seen`` counts the reading as use, which keeps the session from going idle.
    """
    token = _browser_token()
    if token is None:
        return None
    here, now = instance(), datetime.now(UTC)
    session = read_session(here, token, now=now)
    if session and seen and now - session.seen_at > sessions.SEEN_EVERY:
        with here.accounts.begin() as conn:
            sessions.mark_seen(conn, session, now=now)
    return session


def read_session(here: Instance, token: str, *, now: datetime) -> Session | None:
    """The session of a token, if it holds on this server and now."""
    with here.accounts.connect() as conn:
        session = sessions.read(conn, token, now=now, limits=here.session_limits)
    if session is None or (session.person.guest and not here.guests_welcome):
        return None
    return session


def lacks_factor(here: Instance, session: Session) -> bool:
    """Whether its person has to set up a second factor before anything else."""
    required = here.settings.second_factor == "required" and session.person.role == "admin"
    return required and session.password and not session.factor


def close_session() -> NoReturn:
    """End this browser's session for all its tabs, and have its cookie removed."""
    token = _browser_token()
    if token is not None:
        with instance().accounts.begin() as conn:
            sessions.end(conn, token)
    leave("/session/end")
    st.stop()


def session_mark() -> str | None:
    """The session of this browser as logs name it, whether it holds or not; None for a stranger."""
    return session_id(_browser_token())


@st.fragment(run_every=WATCH_SECONDS)
def watch_session() -> None:
    """Leave the page when its session has ended elsewhere, even if nobody touches it.

    While the database is away nobody can know, and the page stays until it is back.
    """
    try:
        if read_accounts().away_since or current_session(seen=False) is not None:
            return
    except SQLAlchemyError:
        return
    st.rerun()


def _refuse() -> NoReturn:
    st.stop()
    # Outside of a page's run that does nothing, and nobody may get past it there either.
    raise AccessDenied("This account may not do that.")


def _refusal(person: Person, role: Role) -> str:
    if person.guest and role == "admin":
        return "This page is for administrators, and you are looking around as a guest."
    if person.guest:
        return "A guest looks around and changes nothing. Sign in with an account to do this."
    return (
        f"This needs the role {role}, and {person.username} is signed in as {person.role}. "
        "Ask an administrator for the role."
    )


def _browser_token() -> str | None:
    return cookie(SESSION_COOKIE)
