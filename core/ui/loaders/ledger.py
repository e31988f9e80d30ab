"""How far the ledger is."""

from __future__ import annotations

import streamlit as st

from core.store import ledger
from core.ui.loaders.kept import KEPT_SECONDS, State, reading, state_now


def load_head() -> tuple[int, bytes]:
    """Length of the ledger and its last hash; see `core.store.verifying.Published` for the words."""
    return _head(state_now())


@st.cache_data(ttl=KEPT_SECONDS, max_entries=4, show_spinner=False)
def _head(state: State) -> tuple[int, bytes]:  # noqa: ARG001
    with reading() as conn:
        return ledger.head(conn)
