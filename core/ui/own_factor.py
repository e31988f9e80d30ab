"""The second factor on the page of one's own account: setting it up, recovery codes, turning it off."""

from __future__ import annotations

from datetime import datetime

import segno
import streamlit as st

from core.accounts import Person
from core.accounts.second_factor import RECOVERY_CODES, Factor, address_of
from core.errors import AccessDenied, AccountError, SettingsError
from core.ui.account import begin_factor, confirm_factor, own_factor, remove_factor, renew_codes
from core.ui.controls import reader_clock

# What is shown once is kept on the server, in the session of this page, until it is put away.
_SECRET, _CODES = "_factor_secret", "_recovery_codes"
_FAULTS = (AccessDenied, AccountError, SettingsError)


def draw_own_factor(person: Person) -> None:
    """The part of the page about the second factor, in whichever state it is."""
    st.subheader("Second factor", anchor=False)
    codes: list[str] | None = st.session_state.get(_CODES)
    factor = own_factor()
    if codes is not None:
        _draw_codes(codes)
    elif factor is not None and factor.confirmed_at is not None:
        _draw_on(factor, factor.confirmed_at)
    elif _SECRET in st.session_state and factor is not None:
        _draw_confirming(person, st.session_state[_SECRET])
    else:
        _draw_off()


def square(address: str) -> str:
    """A square of dots that a camera reads, as an image that stands in the page itself; no other site
    draws it, and none learns of the secret."""
    made = segno.make(address, error="m")
    source = made.svg_data_uri(scale=5, dark="#000000", light="#FFFFFF", border=4)
    alt = "The square that sets up the second factor"
    return f'<img class="cx-square" alt="{alt}" width="220" height="220" src="{source}">'


def _draw_off() -> None:
    st.markdown(
        "Off. With one, whoever has your password still cannot sign in: your device shows a code that "
        "changes every half minute. Any authenticator app will do."
    )
    with st.form("factor_begin", border=False):
        present = st.text_input("Password", type="password", autocomplete="current-password")
        if not st.form_submit_button("Set up a second factor"):
            return
    try:
        st.session_state[_SECRET] = begin_factor(present)
    except _FAULTS as error:
        st.error(str(error), icon=":material/error:")
        return
    st.rerun()


def _draw_confirming(person: Person, secret: str) -> None:
    st.markdown("**1.** Show this square to an authenticator app, or write the key into it.")
    st.html(square(address_of(secret, person)))
    st.code(" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)), language=None)
    with st.form("factor_confirm", border=False):
        st.markdown("**2.** Write the six digits that it shows now.")
        code = st.text_input("Code", autocomplete="one-time-code", max_chars=10)
        with st.container(horizontal=True):
            sent = st.form_submit_button("Turn it on", type="primary")
            given_up = st.form_submit_button("Not now", type="tertiary")
    if given_up:
        st.session_state.pop(_SECRET)
        st.rerun()
    if not sent:
        return
    try:
        st.session_state[_CODES] = confirm_factor(code)
    except _FAULTS as error:
        st.error(str(error), icon=":material/error:")
        return
    st.session_state.pop(_SECRET)
    st.rerun()


def _draw_codes(codes: list[str]) -> None:
    st.success("The second factor is on. Other browsers have to sign in again with it.")
    st.markdown(
        "**Keep these recovery codes** where you keep passwords. Each lets you in once without the "
        "device, and they are not shown again."
    )
    st.code("\n".join(codes), language=None)
    if st.button("I have kept them", type="primary"):
        st.session_state.pop(_CODES)
        st.rerun()


def _draw_on(factor: Factor, since: datetime) -> None:
    clock = reader_clock()
    st.markdown(
        f"On since {clock.stamp(since)} ({clock.label}). "
        f"{factor.codes_left} of {RECOVERY_CODES} recovery codes are left."
    )
    if factor.codes_left < 3:
        st.warning("Few recovery codes are left: make new ones.", icon=":material/warning:")
    with st.form("factor_change", border=False):
        proof = st.text_input(
            "Password, or a code of the device", type="password", autocomplete="off"
        )
        with st.container(horizontal=True):
            renewed = st.form_submit_button("Make new recovery codes")
            removed = st.form_submit_button("Turn it off")
    try:
        if renewed:
            st.session_state[_CODES] = renew_codes(proof)
        elif removed:
            remove_factor(proof)
        else:
            return
    except _FAULTS as error:
        st.error(str(error), icon=":material/error:")
        return
    st.rerun()
