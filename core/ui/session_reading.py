"""Whether a token is that of a session which holds here: for pages and for routes beside them.

Apart from the guard of the pages, whose sign-in form takes seconds to load and needs a running page.
"""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from core.accounts import Role, may, sessions
from core.accounts.sessions import Session
from core.instance import Instance, instance
from core.ui.browser import SESSION_COOKIE


def read_session(here: Instance, token: str, *, now: datetime) -> Session | None:
    """The session of a token, if it holds on this server and now."""
    with here.accounts.connect() as conn:
        session = sessions.read(conn, token, now=now, limits=here.session_limits)
    if session is None or (session.person.guest and not here.guests_welcome):
        return None
    return session


def admits(request: HTTPConnection, role: Role, *, write: bool = False) -> bool:
    """Whether the session that a request brings has at least ``role``, for what is no page."""
    here, token = instance(), request.cookies.get(SESSION_COOKIE, "")
    session = read_session(here, token, now=datetime.now(UTC))
    if session is None or here.lacks_factor(session):
        return False
    return may(session.person, role, write=write)
