"""Whose request it is: the peer of the connection, or whom a named proxy says that it asks for.

X-Forwarded-For and X-Forwarded-Proto are believed where the peer is one of CRYPTOSATX_TRUSTED_PROXIES.
Of the addresses listed there the right-most one counts that is no such proxy: what is further left
was written by whoever asked. From anybody else these headers are taken away, so that nothing behind
can believe them.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import config as uvicorn_config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from core.settings import load_settings

UNKNOWN = "unknown"
_SAID_BY_PROXIES = frozenset(
    (
        *(b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port"),
        *(b"x-forwarded-proto", b"x-forwarded-server", b"x-real-ip"),
    )
)
_BELIEVED = "cryptosatx.proxied"


def keep_peer_address() -> None:
    """Have uvicorn hand on the peer itself; by default it believes any process of this machine.

    To be called before the server has loaded the application, as importing `app` is.
    """
    vars(uvicorn_config)["ProxyHeadersMiddleware"] = lambda app, trusted_hosts: app  # noqa: ARG005


class RealAddress:
    """Middleware: ``scope["client"]`` and ``scope["scheme"]`` are those of whoever asks."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._believing: ProxyHeadersMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if self._believing is None:
            # Only now: where settings are wrong, the start of the server says so.
            proxies = list(load_settings().trusted_proxies)
            self._believing = ProxyHeadersMiddleware(self._checked, proxies)  # type: ignore[arg-type]
        peer = plain_address(scope)
        scope["client"] = (peer, scope["client"][1] if scope.get("client") else 0)
        scope["cryptosatx.peer"] = peer
        if peer not in self._believing.trusted_hosts:
            scope["headers"] = [one for one in scope["headers"] if one[0] not in _SAID_BY_PROXIES]
            await self.app(scope, receive, send)
            return
        scope[_BELIEVED] = True
        await self._believing(scope, receive, send)  # type: ignore[arg-type]

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A proxy that names no address has said nothing."""
        if plain_address(scope) == UNKNOWN:
            scope["client"] = (scope["cryptosatx.peer"], 0)
        else:
            scope["client"] = (plain_address(scope), scope["client"][1])
        await self.app(scope, receive, send)


def plain_address(scope: Scope) -> str:
    """The address of a request; one of version 4 in its own form, also on a socket of version 6.

    >>> plain_address({"client": ("::ffff:10.1.0.5", 80)}), plain_address({"client": ("x", 1)})
    ('10.1.0.5', 'unknown')
    """
    client = scope.get("client")
    try:
        found = ip_address(client[0]) if client else None
    except ValueError:
        return UNKNOWN
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return UNKNOWN if found is None else str(found)


def neighbourhood(address: str) -> str:
    """What is counted as one visitor: an address of version 4, or the network that one person has
    of version 6.

    >>> neighbourhood("10.1.0.5"), neighbourhood("2001:db8:1:2:3:4:5:6")
    ('10.1.0.5', '2001:db8:1:2::/64')
    """
    if ":" not in address:
        return address
    return str(ip_network((address.partition("%")[0], 64), strict=False))


def is_proxied(scope: Scope) -> bool:
    """Whether a named proxy has passed the request on."""
    return cast(bool, scope.get(_BELIEVED, False))
