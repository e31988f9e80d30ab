"""The sign-in at an address of its own."""

import streamlit as st

from core.ui.entrance import draw_entrance
from core.ui.session import current_session

if current_session() is not None:
    st.switch_page("signals.py")
late = "That sign-in took too long or came from another browser. Please sign in again."
draw_entrance("/", notice=late if "late" in st.query_params else "")
