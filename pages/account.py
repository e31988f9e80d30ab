"""A person's own account: where they are signed in, and their password."""

from datetime import UTC, datetime

import streamlit as st

from core.errors import AccessDenied, AccountError
from core.ui.account import change_password, end_other_sessions, own_sessions
from core.ui.browser import browser_words
from core.ui.entrance import open_session, password_fields
from core.ui.formats import count, duration
from core.ui.own_keys import draw_keys
from core.ui.session import current_session, require_user


def main() -> None:
    person = require_user("trader", write=True)
    st.markdown(f"{person.name}, username **{person.username}**, role **{person.role}**.")
    with st.container(width=560, gap="medium"):
        _draw_sessions()
        _draw_password()
    draw_keys(person)


def _draw_sessions() -> None:
    session, now = current_session(), datetime.now(UTC)
    held = own_sessions(now)
    st.subheader("Where you are signed in", anchor=False)
    for each in held:
        here = " :gray-badge[this browser]" if session and each.id == session.id else ""
        used, begun = duration(now - each.seen_at), duration(now - each.created_at)
        st.markdown(
            f"**{browser_words(each.user_agent)}**{here}  \n"
            f"last used {used} ago, signed in {begun} ago"
        )
    if st.button("Sign out everywhere else", disabled=len(held) < 2):
        ended = end_other_sessions()
        st.success(f"{count(ended, 'other session')} ended.")


def _draw_password() -> None:
    with st.form("password"):
        st.subheader("Change the password", anchor=False)
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
