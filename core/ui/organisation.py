"""The sign-in of an organisation, by `st.login`: settings in, an identity out, and a session of ours.

Streamlit speaks with the provider and hands over who came back in a signed cookie. It is traded at once
for a session in the database, like everybody's, and is then worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.accounts import organisation
from core.accounts.organisation import Arrived, Mapped
from core.alerts.delivery.sealing import sealing_keys
from core.errors import SettingsError
from core.instance import Instance
from core.settings import Settings, load_settings
from core.ui import browser

CALLBACK = "/oauth2callback"
# Streamlit's, with what it adds to their names for further pieces.
IDENTITY_COOKIE = "_streamlit_user"
_TOKENS, _STATE = "_streamlit_user_tokens", "_streamlit_session"
_UNFINISHED = "The sign-in with {name} was not finished. Try again; if it happens again, tell your administrator."
_TRADED_WITHIN_SECONDS = 120


def auth_secrets(settings: Settings) -> dict[str, Any] | None:
    """What `st.login` needs, made of the product's own settings; None where no provider is set.

    The secret that signs Streamlit's cookies follows from the key that seals secrets, so that every
    server of one installation has the same and nobody has to make one up.
    """
    secret = settings.oidc_client_secret
    if settings.oidc_metadata_url is None or settings.url is None or secret is None:
        return None
    key = sealing_keys(settings)[0].encode()
    return {
        "auth": {
            "redirect_uri": settings.url.rstrip("/") + CALLBACK,
            "cookie_secret": hmac.new(key, b"st.login cookies", hashlib.sha256).hexdigest(),
            "client_id": settings.oidc_client_id,
            "client_secret": secret.get_secret_value(),
            "server_metadata_url": settings.oidc_metadata_url,
        }
    }


def given_secrets() -> dict[str, Any] | None:
    """`auth_secrets` of the environment. What is wrong with that is said by the start of the server."""
    try:
        return auth_secrets(load_settings())
    except SettingsError:
        return None


def mapped(settings: Settings) -> Mapped:
    """How the provider's claims become roles."""
    return Mapped(settings.oidc_name, settings.oidc_role_claim, settings.oidc_roles)


def arrive(here: Instance) -> Arrived | None:
    """What follows from the identity that this browser brings from the provider; None without one."""
    mark = browser.cookie(browser.BROWSER_COOKIE)
    if here.settings.oidc_metadata_url is None or not mark:
        return None
    claims, now = _identity(), datetime.now(UTC)
    if not claims:
        with here.accounts.connect() as conn:
            away = organisation.is_away(conn, browser=mark, now=now)
        return Arrived(fault=_UNFINISHED.format(name=here.settings.oidc_name)) if away else None
    with here.accounts.begin() as conn:
        return organisation.arrive(conn, claims, mapped(here.settings), browser=mark, now=now)


def draw_door(here: Instance, next_path: str) -> None:
    """The button that leads to the provider, where one is set."""
    if here.settings.oidc_metadata_url is None:
        return
    label = f"Sign in with {here.settings.oidc_name}"
    if not st.button(label, icon=":material/corporate_fare:", width="stretch", key="organisation"):
        return
    mark = browser.cookie(browser.BROWSER_COOKIE)
    if not mark:
        st.error("This browser keeps no cookies for this site, and a sign-in needs one.")
        return
    with here.accounts.begin() as conn:
        organisation.begin(conn, browser=mark, next_path=next_path, now=datetime.now(UTC))
    st.login()


class ShortIdentity:
    """Middleware: Streamlit's cookies of a sign-in last no longer than the trade takes.

    Of itself Streamlit keeps who somebody is for a month in the browser, with the provider's tokens and
    without asking for HTTPS.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        secure = HTTPConnection(scope).url.scheme == "https"

        async def send_shortened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                cookies = headers.getlist("set-cookie")
                if any(one.startswith("_streamlit_") for one in cookies):
                    del headers["set-cookie"]
                    for one in cookies:
                        for kept in _shortened(one, secure=secure):
                            headers.append("set-cookie", kept)
            await send(message)

        await self.app(scope, receive, send_shortened)


def _shortened(cookie: str, *, secure: bool) -> list[str]:
    """A cookie as it is sent on; none for what nobody needs.

    >>> _shortened("_streamlit_user=x; HttpOnly; Max-Age=2592000; Path=/", secure=True)
    ['_streamlit_user=x; HttpOnly; Max-Age=120; Path=/; Secure']
    >>> _shortened("_streamlit_user_tokens=x; HttpOnly; Max-Age=2592000", secure=True)
    []
    """
    first, *parts = [part.strip() for part in cookie.split(";")]
    name = first.partition("=")[0]
    removed = any(part.lower() == "max-age=0" for part in parts)
    if name.startswith(_TOKENS) and not removed:
        return []
    if name.startswith(IDENTITY_COOKIE) and not removed:
        limit = f"Max-Age={_TRADED_WITHIN_SECONDS}"
        parts = [limit if part.lower().startswith("max-age=") else part for part in parts]
    if (
        secure
        and name.startswith((IDENTITY_COOKIE, _STATE))
        and "secure" not in map(str.lower, parts)
    ):
        parts.append("Secure")
    return ["; ".join([first, *parts])]


def _identity() -> Mapping[str, Any]:
    claims: dict[str, Any] = st.user.to_dict()
    return claims if claims.get("is_logged_in") else {}
