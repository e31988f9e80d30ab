"""Who is looking: the guard that every page asks first, and the end of a session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Literal, NoReturn, ParamSpec, Protocol

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from core.accounts import Person, Role, may, sessions
from core.accounts.sessions import Session
from core.errors import AccessDenied
from core.instance import instance
from core.observing.context import session_id
from core.ui.browser import SESSION_COOKIE, cookie, leave, page_name, query
from core.ui.entrance import draw_entrance
from core.ui.navigation import path_to
from core.ui.pulse import read_accounts
from core.ui.session_reading import lacks_factor, read_session
from core.ui.turns import TURNS

_READER = "_reader"
# For whom a page is drawn: the person, and whether they lack a second factor. None is a stranger.
Reader = tuple[Person, bool] | None
_Given = ParamSpec("_Given")


class _Decorator(Protocol):
    def __call__(self, draw: Callable[_Given, None], /) -> Callable[_Given, None]: ...


def require_user(role: Role, write: bool = False, *, without_factor: bool = False) -> Person:
    """The person in front of the page, who has at least ``role``; the first statement of a page.

    Anyone else sees the sign-in or a refusal, and the script stops. The database is asked on every
    run, so a session that is ended or a role that is taken away counts from the next run on.
    ``write`` is for what changes something: a guest is refused. ``without_factor`` is for where an
    administrator sets up the second factor that they need for everything else.
    """
    session = note_reader(current_session())
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


def current_session() -> Session | None:
    """The session of this browser, if it holds here and now; the reading counts as use.

    A guest's session holds only where guests are welcome, whatever server it was made on.
    """
    token = _browser_token()
    if token is None:
        return None
    here, now = instance(), datetime.now(UTC)
    session = read_session(here, token, now=now)
    if session and now - session.seen_at > sessions.SEEN_EVERY:
        with here.accounts.begin() as conn:
            sessions.mark_seen(conn, session, now=now)
    return session


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


def note_reader(session: Session | None) -> Session | None:
    """Remember for whom this run draws: what renews itself afterwards is for nobody else."""
    st.session_state[_READER] = _reader_of(session)
    return session


def renewed(every: float | None = None) -> _Decorator:
    """`st.fragment` for a part that is drawn again by itself or by what is done in it."""
    return _for_its_reader(st.fragment(run_every=every))


def dialog(title: str, *, width: Literal["small", "large"] = "small") -> _Decorator:
    """`st.dialog`, which is a part of that kind too."""
    return _for_its_reader(st.dialog(title, width=width))


def _for_its_reader(as_part: Callable[[Any], Any]) -> _Decorator:
    """A rerun of a part passes by the guard of its page. So whoever is not who the page was drawn for
    any more (signed out, disabled, of another role) has the whole page run instead, which asks it."""

    def decorate(draw: Callable[_Given, None]) -> Callable[_Given, None]:
        @wraps(draw)
        def drawn(reader: object, runs: list[bool], /, *args: Any, **kwargs: Any) -> None:
            with TURNS.taken():
                if runs and not _is_still(reader):
                    st.rerun()
                runs.append(True)
                draw(*args, **kwargs)

        part = as_part(drawn)

        @wraps(draw)
        def begin(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
            part(drawn_for(), [], *args, **kwargs)

        return begin

    return decorate


def drawn_for() -> Reader:
    """For whom this page is drawn."""
    reader: Reader = st.session_state.get(_READER)
    return reader


def reader_of_token(token: str | None) -> tuple[bool, Reader]:
    """Whether it can be known whose browser brings this token, and whose it is as of now.

    While the database is away nobody can know, and what is drawn stays until it is back.
    """
    try:
        if read_accounts().away_since:
            return False, None
        here = instance()
        session = read_session(here, token, now=datetime.now(UTC)) if token else None
        return True, _reader_of(session)
    except SQLAlchemyError:
        return False, None


def _is_still(reader: object) -> bool:
    """Whether this browser is that of ``reader`` as of now, as far as that can be known."""
    known, now = reader_of_token(_browser_token())
    return now == reader or not known


def _reader_of(session: Session | None) -> Reader:
    return None if session is None else (session.person, lacks_factor(instance(), session))


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
