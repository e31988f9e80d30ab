"""The entry: `streamlit run app.py` serves the pages, the session's routes, the API and the health."""

import streamlit as st
from starlette.middleware import Middleware

from core.api import api_routes
from core.edges import Gate, RealAddress, keep_peer_address
from core.observing.requests import Requests
from core.operations.every import all_operations
from core.ui.browser import SESSION_COOKIE
from core.ui.failures import show_failure
from core.ui.lifespan import lifespan
from core.ui.navigation import ADDRESSES
from core.ui.organisation import ShortIdentity, given_secrets
from core.ui.routes import ROUTES
from core.ui.security import Addresses, Protection
from core.ui.uploads import Uploads

keep_peer_address()
app = st.App(
    "pages/router.py",
    routes=[*ROUTES, *api_routes(all_operations())],
    # The first is the outermost: whose request it is counts for all others, and what the gate refuses
    # has an id and the headers too.
    middleware=[
        Middleware(RealAddress),
        Middleware(Requests, pages=ADDRESSES, cookie=SESSION_COOKIE),
        Middleware(Protection),
        Middleware(Gate),
        Middleware(Addresses),
        Middleware(ShortIdentity),
        Middleware(Uploads),
    ],
    secrets=given_secrets(),
    lifespan=lifespan,
    on_script_error=show_failure,
)
