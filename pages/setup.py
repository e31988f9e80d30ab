"""The first administrator, at the address that the terminal shows with its one-time token."""

import streamlit as st

from core.ui.entrance import draw_entrance
from core.ui.session import current_session

if current_session() is not None:
    st.switch_page("signals.py")
draw_entrance("/", setup_token=st.query_params.get("token", ""))
