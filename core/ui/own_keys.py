"""Keys for programs on the Account page: made, shown once, rotated, revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from core.accounts import Person, keys, may
from core.accounts.keys import Key
from core.errors import AccessDenied, AccountError
from core.ui import key_actions
from core.ui.controls import reader_clock
from core.ui.formats import Clock, count, duration
from core.ui.rules.words import plain

_NEW = "_new_key"
_DAYS = (30, 90, 180, 365)
# Hours for which the old key of a rotation still opens.
_OVERLAP = 24
_STATES = {"active": "green", "expired": "gray", "revoked": "gray", "owner disabled": "orange"}


def draw_keys(person: Person) -> None:
    """The person's keys with a form for another; for administrators also everybody's."""
    st.subheader("Keys for programs", anchor=False)
    st.caption(
        "A program asks the API under /api/v1 with a key: as you, and only for what the key allows. "
        "What it can ask for is in the [reference](/api/v1/docs). A key stays good until it expires or is "
        "revoked: signing out, another password and another second factor do not end it."
    )
    _draw_new()
    now, clock = datetime.now(UTC), reader_clock()
    for key in key_actions.own_keys():
        _draw_key(key, now, clock, own=True)
    _draw_form(person)
    if may(person, "admin"):
        others = [key for key in key_actions.all_keys() if key.owner != person.username]
        with st.expander(f"Keys of others: {count(len(others), 'key')}"):
            for key in others:
                _draw_key(key, now, clock, own=False)


def _draw_new() -> None:
    text = st.session_state.pop(_NEW, None)
    if text is not None:
        st.success(
            "Copy the key now: it is not kept, and is not shown again.", icon=":material/key:"
        )
        st.code(text, language=None)


def _draw_key(key: Key, now: datetime, clock: Clock, *, own: bool) -> None:
    state = key.state(now)
    used = f"last used {duration(now - key.last_used_at)} ago" if key.last_used_at else "never used"
    owner = "" if own else f" of {key.owner}"
    with st.container(border=True, gap="small", key=f"key_{key.id}"):
        st.markdown(
            f"**{plain(key.name)}**{owner} `{key.hint}…` :{_STATES[state]}-badge[{state}]  \n"
            f"{', '.join(key.scopes)}  \n{used}, until {clock.stamp(key.expires_at)} ({clock.label})"
        )
        if state in ("revoked", "expired"):
            return
        with st.container(horizontal=True, gap="small"):
            if own and key.rotated_to is None:
                st.button(
                    "Rotate", key=f"rotate_{key.id}", icon=":material/autorenew:", type="tertiary",
                    help=f"Makes another with the same scopes; this one still opens for {_OVERLAP} h.",
                    on_click=_rotate, args=(key.id,),
                )  # fmt: skip
            st.button(
                "Revoke", key=f"revoke_{key.id}", icon=":material/block:", type="tertiary",
                help="Ends it at once.", on_click=_revoke, args=(key.id,),
            )  # fmt: skip


def _draw_form(person: Person) -> None:
    scopes = key_actions.scopes_for(person)
    with st.form("new_key", width=560):
        st.markdown("**Make a key**")
        name = st.text_input("What will use it", max_chars=64, key="key_name")
        wanted = st.multiselect("What it may do", scopes, key="key_scopes", placeholder="Scopes")
        days = st.selectbox(
            "Expires after", _DAYS, index=1, key="key_days", format_func=lambda days: f"{days} days"
        )
        if st.form_submit_button("Make the key"):
            _create(name, wanted, days)


def _create(name: str, scopes: Sequence[str], days: int) -> None:
    try:
        st.session_state[_NEW] = key_actions.create(name, scopes, days)
    except (AccountError, AccessDenied) as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()


def _rotate(key_id: int) -> None:
    try:
        st.session_state[_NEW] = key_actions.rotate(
            key_id, overlap_hours=_OVERLAP, days=keys.USUAL.days
        )
    except (AccountError, AccessDenied) as error:
        st.toast(str(error), icon=":material/error:")


def _revoke(key_id: int) -> None:
    try:
        key_actions.revoke(key_id)
    except (AccountError, AccessDenied) as error:
        st.toast(str(error), icon=":material/error:")
