"""For which host a request is, from which site a script speaks, and whether it comes over HTTPS."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from core.edges.refusing import Refused, is_for_programs
from core.settings import Settings

OTHER_HOST = Refused(
    400, "host-not-allowed", "This server does not answer for that host name: open its own address."
)
OTHER_SITE = Refused(403, "origin-not-allowed", "Only pages of this site may connect here.")
PLAIN_HTTP = Refused(
    403,
    "https-needed",
    "Ask over HTTPS. What was sent now went over the wire for all to read: change the key if it had one.",
)


def is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    """Whether the Host header of a request names an allowed host; the port is free.

    >>> [is_allowed_host(host, ["a.example", "*.b.example", "::1"]) for host in (
    ...     "A.example:8501", "x.b.example", "[::1]:80")]
    [True, True, True]
    >>> [is_allowed_host(host, ["a.example", "*.b.example"]) for host in (
    ...     "b.example", "a.example.evil", "a.example@evil", "a.example:x", "")]
    [False, False, False, False, False]
    """
    name = host_name(host)
    return name is not None and any(
        name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in allowed
    )


def host_name(host: str) -> str | None:
    """The name in a Host header; None where it is not well formed."""
    try:
        parts = urlsplit(f"//{host}")
        name, _port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.netloc != host or "@" in host:
        return None
    return name.rstrip(".") or None


def is_own_site(scope: Scope, url: str | None) -> bool:
    """Whether the page that opens a WebSocket is of this site; what is no browser says nothing."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    own = urlsplit(url or "")
    if own.netloc and (parts.scheme, parts.netloc.lower()) == (own.scheme, own.netloc.lower()):
        return True
    return parts.netloc.lower() == headers.get("host", "").lower()


def is_secure(scope: Scope) -> bool:
    return scope["scheme"] in ("https", "wss")


def secure_address(scope: Scope, settings: Settings) -> str | None:
    """Where the same page is over HTTPS; None where there is nothing to send a request on to.

    A program is not sent on: it would go on sending its key in the open first. Neither is a
    WebSocket, which no browser follows.
    """
    if scope["type"] != "http" or is_for_programs(scope["path"]):
        return None
    if scope["method"] not in ("GET", "HEAD"):
        return None
    base = urlsplit(settings.url or "")
    host = base.netloc if base.scheme == "https" else Headers(scope=scope).get("host", "")
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    return f"https://{host}/{path.decode('latin-1').lstrip('/')}" + (
        f"?{query.decode('latin-1')}" if query else ""
    )
