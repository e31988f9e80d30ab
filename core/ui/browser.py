"""What the browser holds and where it is sent: two cookies, and two components that move it on."""

from __future__ import annotations

from urllib.parse import urlsplit

import streamlit as st

from core.accounts.attempts import Place

SESSION_COOKIE = "cryptosatx_session"
BROWSER_COOKIE = "cryptosatx_browser"

# Each name with the mark that gives it away; browsers carry each other's marks, so order counts.
_BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "Linux": "Linux",
}

_go = st.components.v2.component(
    "cryptosatx_go",
    js="""
export default function ({ data }) {
  window.location.replace(data.to)
}
""",
)
_leave = st.components.v2.component(
    "cryptosatx_leave",
    js="""
export default function ({ data }) {
  const form = document.createElement("form")
  Object.assign(form, { method: "post", action: data.to })
  document.body.append(form)
  form.submit()
}
""",
)


def cookie(name: str) -> str | None:
    """A cookie as the browser sent it when it opened this page."""
    return st.context.cookies.get(name)


def address() -> str:
    """Where the browser speaks from, for counting failed sign-ins."""
    return st.context.ip_address or "this machine"


def place() -> Place:
    """Where a try to sign in comes from."""
    return Place.of(address(), cookie(BROWSER_COOKIE) or "")


def page_name() -> str:
    """The name of the page in the address bar; empty for the root."""
    return urlsplit(st.context.url or "").path.rsplit("/", 1)[-1]


def query() -> list[tuple[str, str]]:
    """The query in the address bar, repeated keys included."""
    return [(key, value) for key in st.query_params for value in st.query_params.get_all(key)]


def browser_words(user_agent: str) -> str:
    """A browser as its owner would call it.

    >>> browser_words("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36")
    'Chrome on Linux'
    """
    browser = _named(_BROWSERS, user_agent) or "A browser"
    system = _named(_SYSTEMS, user_agent) or "an unknown system"
    return f"{browser} on {system}"


def go(path: str) -> None:
    """Take the browser to an address of this site; the present one leaves no trace in history."""
    _go(data={"to": path})


def leave(path: str) -> None:
    """Take the browser to an address of this site by POST, which no foreign page can imitate."""
    _leave(data={"to": path})


def _named(marks: dict[str, str], text: str) -> str | None:
    return next((name for mark, name in marks.items() if mark in text), None)
