"""A person's own account: where they are signed in, and their password."""

from datetime import UTC, datetime

import streamlit as st

from core.errors import AccessDenied, AccountError
from core.ui.account import change_password, end_other_sessions, own_sessions
from core.ui.browser import browser_words
from core.ui.entrance import open_session, password_fields
from core.ui.formats import count, duration
from core.ui.session import current_session, require_user


def main() -> None:
    person = require_user("trader", write=True)
    st.subheader(person.name, anchor=False)
    st.markdown(f"Username **{person.username}**, role **{person.role}**.")
    with st.container(width=640, gap="medium"):
        _draw_sessions()
        _draw_password()


def _draw_sessions() -> None:
    session, now = current_session(), datetime.now(UTC)
    held = own_sessions(now)
    st.markdown("#### Where you are signed in")
    st.dataframe(
        {
            "Browser": [browser_words(each.user_agent) for each in held],
            "Last used": [f"{duration(now - each.seen_at)} ago" for each in held],
            "Signed in": [f"{duration(now - each.created_at)} ago" for each in held],
            "": ["this browser" if session and each.id == session.id else "" for each in held],
        },
        hide_index=True,
    )
    if st.button("Sign out everywhere else", disabled=len(held) < 2):
        ended = end_other_sessions()
        st.success(f"{count(ended, 'other session')} ended.")


def _draw_password() -> None:
    with st.form("password"):
        st.markdown("#### Change the password")
        st.caption("Every session ends with it, and this browser gets a new one.")
        current = st.text_input("Present password", type="password")
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
