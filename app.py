"""The entry: `streamlit run app.py` serves the pages, the session's routes, the API and the health."""

import streamlit as st
from starlette.middleware import Middleware

from core.api import api_routes
from core.operations.every import all_operations
from core.ui.failures import show_failure
from core.ui.lifespan import lifespan
from core.ui.organisation import ShortIdentity, given_secrets
from core.ui.routes import ROUTES
from core.ui.security import Protection

app = st.App(
    "pages/router.py",
    routes=[*ROUTES, *api_routes(all_operations())],
    middleware=[Middleware(Protection), Middleware(ShortIdentity)],
    secrets=given_secrets(),
    lifespan=lifespan,
    on_script_error=show_failure,
)
