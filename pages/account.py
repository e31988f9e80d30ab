"""A person's own account: where they are signed in, their second factor, and their password."""

from datetime import UTC, datetime

import streamlit as st

from core.accounts.sessions import Session
from core.errors import AccessDenied, AccountError
from core.instance import instance
from core.ui.account import change_password, end_other_sessions, end_session, own_sessions
from core.ui.browser import browser_words
from core.ui.controls import reader_clock
from core.ui.entrance import open_session, password_fields
from core.ui.formats import count, duration
from core.ui.own_factor import draw_own_factor
from core.ui.own_keys import draw_keys
from core.ui.session import current_session, require_user
from core.ui.style import style_people


def main() -> None:
    person = require_user("trader", write=True, without_factor=True)
    session = current_session()
    st.markdown(f"{person.name}, username **{person.username}**, role **{person.role}**.")
    lacking = session is not None and instance().lacks_factor(session)
    with st.container(width=620, gap="medium"):
        if lacking:
            st.warning(
                "An administrator needs a second factor here before anything else.",
                icon=":material/lock:",
            )
        _draw_sessions(session)
        if session and session.password:
            draw_own_factor(person)
            _draw_password()
        else:
            st.caption("Your organisation signs you in: password and codes are its own.")
        if not lacking:
            draw_keys(person)


def _draw_sessions(session: Session | None) -> None:
    now = datetime.now(UTC)
    held = own_sessions(now)
    st.subheader("Where you are signed in", anchor=False)
    style_people()
    with st.container(key="sessions", gap="small"):
        for each in held:
            _draw_session(each, here=session is not None and each.id == session.id, now=now)
    if st.button("Sign out everywhere else", disabled=len(held) < 2):
        ended = end_other_sessions()
        st.success(f"{count(ended, 'other session')} ended.")


def _draw_session(each: Session, *, here: bool, now: datetime) -> None:
    clock = reader_clock()
    used, begun = duration(now - each.seen_at), clock.stamp(each.created_at)
    with st.container(horizontal=True, vertical_alignment="center"):
        badge = " :gray-badge[this browser]" if here else ""
        st.markdown(
            f"**{browser_words(each.user_agent)}**{badge}  \n"
            f"last used {used} ago, signed in on {begun} ({clock.label})"
        )
        if not here and st.button("End", key=f"end_{each.id[:16]}"):
            end_session(each.id)
            st.rerun()


def _draw_password() -> None:
    with st.form("password"):
        st.subheader("Change the password", anchor=False)
        st.caption("Every session ends with it, and this browser gets a new one.")
        current = st.text_input(
            "Present password", type="password", autocomplete="current-password"
        )
        password, again = password_fields("New password")
        if not st.form_submit_button("Change the password"):
            return
    try:
        user_id = change_password(current, password, again)
    except (AccessDenied, AccountError) as error:
        st.error(str(error), icon=":material/error:")
    else:
        open_session(user_id, "/account")


main()
