"""Channels: each person's own with what comes to them, and for administrators the shared ones."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import streamlit as st

from core.accounts import Person, may
from core.alerts.delivery import Written
from core.errors import CryptoSatXError
from core.store.channels import MOST_OWN
from core.ui.alerts import channel_actions
from core.ui.alerts.channel_form import draw_new, draw_secret
from core.ui.alerts.personal import Held, load_channels
from core.ui.alerts.services import VERIFICATION
from core.ui.alerts.subscription_form import draw_subscription, subscription_words
from core.ui.alerts.words import plain
from core.ui.controls import reader_clock
from core.ui.formats import count, number

_SAID, _REFUSED = "_channels_said", "_channels_refused"


def draw_channels(person: Person) -> None:
    """Own channels, then the shared ones for whoever keeps them."""
    if person.guest:
        with st.container(border=True, key="alerts_guest", horizontal_alignment="center"):
            st.markdown(":material/person_off: **Channels belong to an account**")
            st.markdown(
                "Whoever signs in has up to five channels of their own, such as Telegram, Slack or "
                "e-mail, and chooses which alerts reach them and when."
            )
        return
    if said := st.session_state.pop(_SAID, ""):
        st.toast(said)
    if refused := st.session_state.pop(_REFUSED, ""):
        st.error(plain(refused), icon=":material/error:")
    draw_secret()
    own = load_channels(person, shared=False)
    st.subheader("Your own channels", anchor=False)
    st.caption(
        f"{len(own)} of {MOST_OWN}. Only you use them, and choose what comes to each and when. Addresses "
        "are kept encrypted and never shown again."
    )
    for held in own:
        _draw_channel(held)
    if len(own) < MOST_OWN:
        draw_new(shared=False, first=not own)
    if may(person, "admin"):
        _draw_shared(person)
    _draw_verification()


def _draw_shared(person: Person) -> None:
    shared = load_channels(person, shared=True)
    st.subheader("Shared channels", anchor=False)
    st.caption("Rules name them; administrators keep them. What was given up is in Deliveries.")
    for held in shared:
        _draw_channel(held)
    draw_new(shared=True, first=False)


def _draw_channel(held: Held) -> None:
    one = held.channel
    with st.container(border=True, key=f"channel_{one.id}", gap="small"):
        st.html(channel_html(held))
        with st.container(horizontal=True, gap="small"):
            tested = st.button("Test", icon=":material/send:", key=f"channel_test_{one.id}")
            _draw_actions(held)
        if tested:
            _test(one.id)


def channel_html(held: Held) -> str:
    """What is known of a channel; what stands in it was written by somebody and is text."""
    one = held.channel
    off = "" if one.enabled else ", <b>switched off</b>"
    lines = [
        f"<b>{escape(one.name)}</b>{off}",
        f"{escape(one.service)}, {escape(one.shown)}, at most {count(one.per_minute, 'message')} a minute",
    ]
    if one.owner is not None:
        lines.append(escape(subscription_words(held.subscription)))
    lines.append(f'<span class="cx-note">{escape(_fares(held))}</span>')
    return f'<div style="line-height: 1.5; overflow-wrap: anywhere">{"<br>".join(lines)}</div>'


def _fares(held: Held) -> str:
    counted, clock = held.counted, reader_clock()
    if counted is None or not (counted.last_sent_at or counted.waiting or counted.dead):
        return "Nothing was sent to it yet."
    said = [f"{number(counted.sent)} sent in 24 h"]
    if counted.last_sent_at:
        said.append(f"last {clock.stamp(counted.last_sent_at)}")
    if counted.waiting:
        said.append(f"{number(counted.waiting)} waiting")
    if counted.dead:
        said.append(f"{number(counted.dead)} given up")
    reason = f". {counted.last_error}" if counted.last_error else ""
    return f"{', '.join(said)}{reason}"


def _draw_actions(held: Held) -> None:
    one = held.channel
    if one.owner is not None:
        with st.popover("What comes", icon=":material/tune:", key=f"channel_subscribe_{one.id}"):
            draw_subscription(held)
    with st.popover("Change", icon=":material/edit:", key=f"channel_change_{one.id}"):
        _draw_change(held)
    st.button(
        "Switch off" if one.enabled else "Switch on",
        key=f"channel_switch_{one.id}",
        on_click=_do,
        args=(
            lambda: channel_actions.change(one.id, enabled=not one.enabled),
            "Switched off: what comes meanwhile waits." if one.enabled else "Switched on.",
        ),
    )
    if held.counted and held.counted.dead:
        st.button(
            f"Send {number(held.counted.dead)} again",
            key=f"channel_resend_{one.id}",
            on_click=_do,
            args=(lambda: channel_actions.resend(channel_id=one.id), "They will be sent again."),
        )
    with st.popover("Delete", key=f"channel_delete_{one.id}"):
        st.markdown("Its address is forgotten, and what waits for it is dropped.")
        st.button(
            "Delete the channel",
            type="primary",
            key=f"channel_gone_{one.id}",
            on_click=_do,
            args=(lambda: channel_actions.delete(one.id), "Deleted."),
        )


def _draw_change(held: Held) -> None:
    one = held.channel
    with st.form(f"channel_form_{one.id}", border=False):
        name = st.text_input("Name", value=one.name, max_chars=128)
        rate = st.number_input(
            "Most messages a minute", value=one.per_minute, min_value=1, max_value=10_000, step=1
        )
        address = st.text_input(
            "Another address",
            type="password",
            autocomplete="off",
            placeholder="Empty: as it is",
            help="It takes the place of the present one, which is not shown.",
        )
        if not st.form_submit_button("Save"):
            return
    _do(
        lambda: channel_actions.change(
            one.id, name=name, per_minute=int(rate or one.per_minute), address=address
        ),
        "Saved.",
    )
    st.rerun()


def _test(channel_id: int) -> None:
    try:
        with st.spinner("A test is sent …", show_time=True):
            outcome = channel_actions.test(channel_id)
    except CryptoSatXError as error:
        st.error(plain(error), icon=":material/error:")
        return
    if outcome.sent:
        st.success(plain(outcome.message), icon=":material/check:")
    else:
        st.error(plain(outcome.message), icon=":material/error:")


def _do(work: Callable[[], object], said: str) -> None:
    """Do something, and have the page say at its next run what came of it."""
    try:
        made = work()
    except CryptoSatXError as error:
        st.session_state[_REFUSED] = str(error)
        return
    st.session_state[_SAID] = said
    if isinstance(made, Written):
        draw_secret(made)


def _draw_verification() -> None:
    with st.expander(
        "How a receiver verifies that a webhook is ours", icon=":material/verified_user:"
    ):
        st.markdown(
            "Every message is signed as the Standard Webhooks specification says (standardwebhooks.com "
            "has libraries for most languages): `webhook-signature` is an HMAC-SHA256, by the channel's "
            "secret, over id, timestamp and body. `webhook-id` is the same at every try of a message: "
            "whoever has seen it leaves the second one alone. In Python:"
        )
        st.code(VERIFICATION, language="python")
