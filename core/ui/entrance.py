"""The way in: sign-in, the first administrator's set-up, and looking around as a guest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit_authenticator import Authenticate, Hasher

from core.accounts import passwords, people, setup, tickets
from core.accounts.sign_in import sign_in
from core.errors import AccessDenied, AccountError
from core.instance import Instance, instance
from core.ui import browser
from core.ui.style import style_entrance

PRODUCT, MARK = "CryptoSatX", Path(__file__).with_name("mark.svg")
PROMISE = "Signals for crypto perpetual futures, each traceable to what was known at that moment."


def draw_entrance(next_path: str, *, setup_token: str = "", notice: str = "") -> None:
    """What a stranger sees on every page; whoever gets in ends at ``next_path``."""
    here = instance()
    with here.accounts.connect() as conn:
        first = not people.any_people(conn)
    style_entrance()
    with (
        st.container(horizontal_alignment="center"),
        st.container(width=420, gap="small", key="entrance"),
    ):
        _draw_product(here)
        if notice:
            st.info(notice)
        user_id = _draw_setup(here, setup_token) if first else _draw_sign_in(here)
        if user_id is None and not (here.guests_welcome and _draw_guest_door()):
            return
        open_session(user_id, next_path)


def open_session(user_id: int | None, next_path: str) -> None:
    """Take the browser to the route that opens a session there and then shows ``next_path``.

    A page cannot set a cookie, so it hands over a ticket that only this browser can use.
    """
    mark = browser.cookie(browser.BROWSER_COOKIE)
    if not mark:
        st.error(
            "This browser keeps no cookies for this site, and a session needs one. "
            "Allow them, reload the page and try again."
        )
        return
    with instance().accounts.begin() as conn:
        ticket = tickets.issue(
            conn, user_id=user_id, browser=mark, next_path=next_path, now=datetime.now(UTC)
        )
    browser.go(f"/session/start?ticket={ticket}")


def password_fields(label: str) -> tuple[str, str]:
    """Two fields for a new password, so that a slip of the hand is noticed."""
    password = st.text_input(
        label,
        type="password",
        autocomplete="new-password",
        help=f"{passwords.SHORTEST} to {passwords.LONGEST} characters. "
        f"{passwords.ADVISED} or more are advised, for example four unrelated words.",
    )
    again = st.text_input(f"{label} again", type="password", autocomplete="new-password")
    return password, again


class SignInForm(Authenticate):  # type: ignore[misc]
    """streamlit-authenticator's form alone: no cookie, no memory of users, no mail, no pause.

    ``check`` gets the username and the password of a form that was sent.
    """

    def __init__(self, check: Callable[[str, str], bool]) -> None:
        self.attrs = {"login_sleep_time": 0}
        self.path = None
        self.cookie_controller = _NoCookie()
        self.authentication_controller = _Checked(check)


class _NoCookie:
    def get_cookie(self) -> None:
        return None

    def set_cookie(self) -> None:
        return None


class _Checked:
    def __init__(self, check: Callable[[str, str], bool]) -> None:
        self._check = check

    def login(self, username: str, password: str, *_: Any, **__: Any) -> bool:
        return self._check(username, password)


def _draw_product(here: Instance) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(MARK, width=36)
        st.title(PRODUCT, anchor=False, width="content")
    st.markdown(PROMISE)
    kind, note = ("simulated", "no real prices") if here.market.simulated else ("", "")
    label = escape(here.market.label)
    st.html(f'<div class="market {kind}"><i></i><span>{label} <small>{note}</small></span></div>')


def _draw_sign_in(here: Instance) -> int | None:
    admitted: list[int] = []
    refusal: list[str] = []

    def check(username: str, password: str) -> bool:
        try:
            person = sign_in(
                here.accounts,
                username,
                password,
                address=browser.address(),
                now=datetime.now(UTC),
                matches=Hasher.check_pw,
            )
        except AccessDenied as error:
            refusal.append(str(error))
            return False
        if person.id is not None:
            admitted.append(person.id)
        return True

    SignInForm(check).login(fields={"Form name": "Sign in", "Login": "Sign in"}, key="sign_in")
    for sentence in refusal:
        st.error(sentence, icon=":material/error:")
    return admitted[0] if admitted else None


def _draw_setup(here: Instance, token: str) -> int | None:
    with st.form("setup"):
        st.subheader("Set up the first administrator", anchor=False)
        st.caption("Nobody has an account yet. The one-time token is in the server's terminal.")
        token = st.text_input("One-time token", token, type="password", autocomplete="off")
        username = st.text_input("Username", autocomplete="username")
        name = st.text_input("Your name", autocomplete="name")
        password, again = password_fields("Password")
        if not st.form_submit_button("Create the administrator", type="primary", width="stretch"):
            return None
    try:
        if password != again:
            raise AccountError("The two passwords differ: write the same one twice.")
        with here.accounts.begin() as conn:
            return setup.create_first_admin(
                conn, token, username=username, name=name, password=password, now=datetime.now(UTC)
            ).id
    except (AccessDenied, AccountError) as error:
        st.error(str(error), icon=":material/error:")
    return None


def _draw_guest_door() -> bool:
    with st.container(key="guest", gap="xsmall"):
        entered = st.button("Look around", icon=":material/visibility:", width="stretch")
        st.caption("Read everything on the simulated market as a guest, without an account.")
    return entered
