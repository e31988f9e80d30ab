"""An account of one's own, at the address of an invitation."""

import streamlit as st

from core.ui.entrance import draw_entrance
from core.ui.session import current_session

HELD = "_invitation"

# The token leaves the address bar at once, and with it the history of the browser.
if "token" in st.query_params:
    st.session_state[HELD] = st.query_params["token"]
    del st.query_params["token"]
if current_session() is not None:
    st.markdown("You are signed in. Sign out first to make another account by an invitation.")
    st.stop()
draw_entrance("/", invitation=st.session_state.get(HELD, ""))
