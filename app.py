"""The entry: `streamlit run app.py` serves the pages, the session's routes and the health."""

import streamlit as st
from starlette.middleware import Middleware

from core.edges import Gate, RealAddress, keep_peer_address
from core.observing.requests import Requests
from core.ui.browser import SESSION_COOKIE
from core.ui.failures import show_failure
from core.ui.lifespan import lifespan
from core.ui.navigation import ADDRESSES
from core.ui.routes import ROUTES
from core.ui.security import Protection

keep_peer_address()
app = st.App(
    "pages/router.py",
    routes=ROUTES,
    middleware=[
        Middleware(RealAddress),
        Middleware(Requests, pages=ADDRESSES, cookie=SESSION_COOKIE),
        Middleware(Protection),
        Middleware(Gate),
    ],
    lifespan=lifespan,
    on_script_error=show_failure,
)
