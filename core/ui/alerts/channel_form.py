"""Making a channel: which service, its address with help how to come by it, and the secret once."""

from __future__ import annotations

import streamlit as st

from core.alerts.delivery import Written
from core.errors import CryptoSatXError
from core.ui.alerts import channel_actions
from core.ui.alerts.services import SERVICES, address_of
from core.ui.alerts.words import plain

_SECRET = "_channel_secret"


def draw_new(*, shared: bool, first: bool) -> None:
    """The form for a channel; its address is checked before it is kept."""
    whose = "shared" if shared else "own"
    title = "Add a shared channel" if shared else "Add a channel"
    with st.expander(title, expanded=first, icon=":material/add:", key=f"channel_new_{whose}"):
        chosen = st.segmented_control(
            "Service",
            list(SERVICES),
            default="Telegram",
            required=True,
            key=f"channel_service_{whose}",
            wrap=True,
        )
        service = SERVICES[chosen or "Telegram"]
        st.caption(plain(service.help))
        round_ = int(st.session_state.get(f"_channel_round_{whose}", 0))
        name = st.text_input(
            "Name", key=f"channel_name_{whose}_{round_}", max_chars=128, placeholder=chosen,
        )  # fmt: skip
        address = st.text_input(
            "Address",
            key=f"channel_address_{whose}_{round_}",
            type="password",
            autocomplete="off",
            placeholder=service.form,
            help=f"Such as {service.form}",
        )
        st.caption(f"Such as `{service.form}`. It is kept encrypted and not shown again.")
        if st.button("Add", type="primary", key=f"channel_add_{whose}", disabled=not address):
            _add(name or str(chosen), service.kind, address or "", shared=shared)


def _add(name: str, kind: str, address: str, *, shared: bool) -> None:
    whose = "shared" if shared else "own"
    try:
        with st.spinner("The address is checked …"):
            wanted = address.strip() if kind == "webhook" else address_of(address)
            written = channel_actions.create(name=name, kind=kind, address=wanted, shared=shared)
    except CryptoSatXError as error:
        st.error(plain(error), icon=":material/error:")
        return
    # Fields with another key are empty, so that no secret stays in the session.
    round_ = int(st.session_state.get(f"_channel_round_{whose}", 0))
    st.session_state.pop(f"channel_address_{whose}_{round_}", None)
    st.session_state[f"_channel_round_{whose}"] = round_ + 1
    draw_secret(written)
    st.rerun()


def draw_secret(written: Written | None = None) -> None:
    """Keep the secret of a webhook that was just written, or show the one that was kept, once."""
    if written is not None:
        if written.target.kind == "webhook":
            st.session_state[_SECRET] = written.target.signing_secret
        return
    secret = st.session_state.pop(_SECRET, "")
    if secret:
        with st.container(border=True, key="channel_secret"):
            st.markdown(
                ":material/key: **The secret that signs this webhook.** It is shown this once: copy it to "
                "the receiver now."
            )
            st.code(secret, language=None)
