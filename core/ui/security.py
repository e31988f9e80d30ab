"""What every response tells the browser to refuse, and the cookie that tells browsers apart."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import file_util

from core.accounts.tokens import new_token
from core.ui.browser import BROWSER_COOKIE

# What is served in folders: by Streamlit, and our own routes.
_FOLDERS = ("_stcore", "api", "app", "auth", "component", "media", "record", "session", "static")
_MARK_SECONDS = 180 * 86_400
# What browsers offer and no page of ours uses.
_NOT_NEEDED = (
    *("accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "geolocation"),
    *("gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi", "payment"),
    *("picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "serial", "usb"),
    *("web-share", "xr-spatial-tracking"),
)
_CLOSED = re.compile(r"/_stcore/(metrics/*$|agent(/|$))")
_NO_WASM = "delete window.WebAssembly"
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def script_hashes(html: str) -> list[str]:
    """The Content-Security-Policy sources of the scripts written into ``html``.

    >>> script_hashes("<script>alert(1)</script><script src='a.js'></script>")
    ["'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"]
    """
    return [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(html)
    ]


def content_policy(hashes: Iterable[str]) -> str:
    """The policy: everything from this server, scripts also from blobs and by their hash.

    Streamlit writes styles into the page and components as blobs. No script is evaluated from
    text, and no other site may show this one in a frame.
    """
    sources = {
        "default-src": ["'self'"],
        "script-src": ["'self'", "blob:", *hashes],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'", "blob:"],
        "frame-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(" ".join([name, *allowed]) for name, allowed in sources.items())


@cache
def page_html() -> str:
    """What every page begins as: Streamlit's, without a WebAssembly that the policy forbids anyway.

    A library of it tries one for its numbers, and goes on without where there is none: browsers
    would report each try as a violation.
    """
    index = file_util.get_static_dir() + "/index.html"
    with open(index, encoding="utf-8", newline="") as file:
        return file.read().replace("<head>", f"<head><script>{_NO_WASM}</script>", 1)


def serve_page(_request: Request) -> Response:
    """The page at any address of one; its script says which it is."""
    return HTMLResponse(page_html(), headers={"Cache-Control": "no-cache"})


@cache
def security_headers() -> dict[str, str]:
    """The headers of every response; the policy knows the inline script of this Streamlit."""
    policy = content_policy(script_hashes(page_html()))
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Origin-Agent-Cluster": "?1",
        "X-Permitted-Cross-Domain-Policies": "none",
        "Permissions-Policy": ", ".join(f"{name}=()" for name in _NOT_NEEDED),
    }


class Protection:
    """Middleware: the headers on every response, and a token for each browser on its first page.

    A ticket of the sign-in is bound to that token, so it is worth nothing in another browser.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        secure = request.url.scheme == "https"
        mark = _opens_page(scope) and BROWSER_COOKIE not in request.cookies

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(security_headers())
                if secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
                if mark:
                    headers.append("Set-Cookie", _browser_mark(secure))
            await send(message)

        await self.app(scope, receive, send_protected)


class Addresses:
    """Middleware behind the gate: answers for addresses that Streamlit has and this product has not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if _CLOSED.search(scope["path"]):
                # Streamlit tells anyone how many sessions there are and what is cached, and
                # describes an interface for programs that is off here.
                await PlainTextResponse("Not found", 404)(scope, receive, send)
                return
            if _opens_page(scope) and _is_nested(scope["path"]):
                # The pages' assets are beside the page, so below a folder it would stay white.
                await RedirectResponse("/", 303)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _opens_page(scope: Scope) -> bool:
    return scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")


def _is_nested(path: str) -> bool:
    """Whether it looks like a page in a folder, of which there are none.

    >>> _is_nested("/pages/signals"), _is_nested("/signals/"), _is_nested("/static/js/index.js")
    (True, False, False)
    """
    first, *rest = path.strip("/").split("/")
    return bool(rest) and first not in _FOLDERS


def _browser_mark(secure: bool) -> str:
    response = Response()
    # It outlives the session: where somebody signed in before, strangers do not keep them out.
    response.set_cookie(
        BROWSER_COOKIE,
        new_token(),
        max_age=_MARK_SECONDS,
        httponly=True,
        samesite="lax",
        secure=secure,
    )
    return response.headers["set-cookie"]
