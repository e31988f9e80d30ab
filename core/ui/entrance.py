"""The way in: sign-in, the first administrator's set-up, invitations, and looking around as a guest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit_authenticator import Authenticate, Hasher

from core.accounts import Person, invitations, passwords, people, setup, tickets
from core.accounts.sign_in import PATIENCE, Known, check_code, check_password
from core.alerts.delivery.sealing import load_sealer
from core.errors import AccessDenied, AccountError, SettingsError
from core.instance import Instance, instance
from core.ui import browser, organisation
from core.ui.formats import duration
from core.ui.style import style_entrance

_KNOWN = "_known"
PRODUCT, MARK = "CryptoSatX", Path(__file__).with_name("mark.svg")
PROMISE = "Signals for crypto perpetual futures, each traceable to what was known at that moment."


def draw_entrance(
    next_path: str, *, setup_token: str = "", invitation: str = "", notice: str = ""
) -> None:
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
        if invitation and not first:
            admitted = _draw_invitation(here, invitation)
            guest = False
        else:
            arrived = organisation.arrive(here)
            if arrived is not None and arrived.person is not None:
                open_session(arrived.person.id, arrived.next_path)
                return
            admitted = _draw_setup(here, setup_token) if first else _draw_sign_in(here)
            if arrived is not None:
                st.error(arrived.fault, icon=":material/error:")
            others = admitted is None and _KNOWN not in st.session_state
            if others and not first:
                organisation.draw_door(here, next_path)
            guest = others and here.guests_welcome and _draw_guest_door()
        if admitted is not None or guest:
            open_session(admitted, next_path)


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
    """The form for the password, and in its place the one for a code where a code is wanted.

    What is known between the two stays on the server, in the session of this page.
    """
    slot = st.empty()
    known: Known | None = st.session_state.get(_KNOWN)
    if known is None or datetime.now(UTC) - known.at > PATIENCE:
        _forget()
        with slot.container():
            known = _ask_password(here)
        if known is None or not known.wants_code:
            return known.person.id if known else None
        st.session_state[_KNOWN] = known
        slot.empty()
    with slot.container():
        person = _ask_code(here, known)
    return person.id if person else None


def _ask_password(here: Instance) -> Known | None:
    admitted: list[Known] = []
    refusal: list[str] = []

    def check(username: str, password: str) -> bool:
        try:
            known = check_password(
                here.accounts,
                username,
                password,
                place=browser.place(),
                now=datetime.now(UTC),
                matches=Hasher.check_pw,
            )
        except AccessDenied as error:
            refusal.append(str(error))
            return False
        admitted.append(known)
        return True

    SignInForm(check).login(fields={"Form name": "Sign in", "Login": "Sign in"}, key="sign_in")
    for sentence in refusal:
        st.error(sentence, icon=":material/error:")
    return admitted[0] if admitted else None


def _ask_code(here: Instance, known: Known) -> Person | None:
    with st.form("second_factor", clear_on_submit=True):
        st.subheader("Second step", anchor=False)
        st.caption(
            "Write the six digits that your device shows now. If you have lost it, write one of your "
            "recovery codes."
        )
        code = st.text_input("Code", autocomplete="one-time-code", max_chars=40)
        sent = st.form_submit_button("Continue", type="primary", width="stretch")
    if st.button("Sign in as somebody else", type="tertiary"):
        _forget()
        st.rerun()
    if not sent:
        return None
    try:
        person = check_code(
            here.accounts,
            known,
            code,
            place=browser.place(),
            now=datetime.now(UTC),
            sealer=lambda: load_sealer(here.settings),
        )
    except (AccessDenied, AccountError, SettingsError) as error:
        st.error(str(error), icon=":material/error:")
        return None
    _forget()
    return person


def _forget() -> None:
    st.session_state.pop(_KNOWN, None)


def _draw_setup(here: Instance, token: str) -> int | None:
    with st.form("setup"):
        st.subheader("Set up the first administrator", anchor=False)
        st.caption("Nobody has an account yet. The one-time token is in the server's terminal.")
        token = st.text_input("One-time token", token, type="password", autocomplete="off")
        return _draw_new_account(
            here, "Create the administrator", partial(setup.create_first_admin, token=token)
        )


def _draw_invitation(here: Instance, token: str) -> int | None:
    now = datetime.now(UTC)
    with here.accounts.connect() as conn:
        found = invitations.find(conn, token, now=now)
    if found is None or found.fault:
        fault = invitations.GONE if found is None else found.fault
        st.error(fault, icon=":material/error:")
        return None
    with st.form("invitation"):
        st.subheader("You are invited", anchor=False)
        st.caption(
            f"By {found.made_by}, with the role {found.role}. Good for another "
            f"{duration(found.expires_at - now)}, once."
        )
        return _draw_new_account(
            here, "Create my account", partial(invitations.accept, token=token)
        )


def _draw_new_account(here: Instance, label: str, create: Callable[..., Person]) -> int | None:
    """The rest of a form: who somebody wants to be; their id once ``create`` has made them."""
    username = st.text_input("Username", autocomplete="username")
    name = st.text_input("Your name", autocomplete="name")
    password, again = password_fields("Password")
    if not st.form_submit_button(label, type="primary", width="stretch"):
        return None
    try:
        if password != again:
            raise AccountError("The two passwords differ: write the same one twice.")
        with here.accounts.begin() as conn:
            now = datetime.now(UTC)
            return create(conn, username=username, name=name, password=password, now=now).id
    except (AccessDenied, AccountError) as error:
        st.error(str(error), icon=":material/error:")
    return None


def _draw_guest_door() -> bool:
    with st.container(key="guest", gap="xsmall"):
        entered = st.button("Look around", icon=":material/visibility:", width="stretch")
        st.caption("Read everything on the simulated market as a guest, without an account.")
    return entered
