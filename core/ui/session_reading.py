"""Whether a token is that of a session which holds here: for pages and for routes beside them.

Apart from the guard of the pages, whose sign-in form takes seconds to load and needs a running page.
"""

from __future__ import annotations

from datetime import datetime

from core.accounts import sessions
from core.accounts.sessions import Session
from core.instance import Instance


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
