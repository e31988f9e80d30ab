"""Every request as operators see it: an id, a line in the log, its numbers, its span."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from time import perf_counter
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.edges.address import is_proxied
from core.observing.context import bound, new_id, session_id
from core.observing.instruments import REQUEST_SECONDS, REQUESTS
from core.observing.spans import is_tracing, parent_in, span

_logger = logging.getLogger(__name__)
HEADER = "X-Request-ID"
_METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
_AN_ID = re.compile(r"[\w.-]{8,64}")
# What is asked for so often, or for so little, that a line for each would hide the others.
_QUIET = ("files", "/health", "/health/live", "/health/ready", "/metrics", "/session/marks")


class Requests:
    """Middleware behind the one that finds out who asks; ``pages`` are the addresses of pages, and
    ``cookie`` holds the token of a session.

    A named proxy may give a request its id and the trace that it is part of, and so decide whether it is
    recorded; what anybody else says of theirs is not taken over.
    """

    def __init__(self, app: ASGIApp, pages: Collection[str] = (), cookie: str = "") -> None:
        self.app = app
        self._token = re.compile(rf"(?:^|;\s*){re.escape(cookie)}=([\w-]+)") if cookie else None
        self._pages = frozenset(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        request = _id_of(scope)
        with bound(request=request, session=self._session(scope)):
            if scope["type"] == "websocket":
                await self.app(scope, receive, send)
            elif not is_tracing():
                await self._watch(scope, receive, send, request, None)
            else:
                name = f"{scope['method']} {self._route(scope)}"
                parent = parent_in(Headers(scope=scope)) if is_proxied(scope) else None
                with span(name, parent=parent, request=request) as current:
                    await self._watch(scope, receive, send, request, current)

    async def _watch(
        self, scope: Scope, receive: Receive, send: Send, request: str, current: Any
    ) -> None:
        began, status = perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request
            await send(message)

        try:
            await self.app(scope, receive, told)
        finally:
            seconds, route = perf_counter() - began, self._route(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            REQUESTS.labels(route, method, str(status)).inc()
            REQUEST_SECONDS.labels(route).observe(seconds)
            if current is not None:
                current.set_attributes({"http.route": route, "http.response.status_code": status})
                current.update_name(f"{method} {route}")
            self._log(scope, method, route, status, seconds)

    def _log(self, scope: Scope, method: str, route: str, status: int, seconds: float) -> None:
        level = logging.DEBUG if route in _QUIET and status < 500 else logging.INFO
        if _logger.isEnabledFor(level):
            told = {"route": route, "status": status, "ms": round(seconds * 1000, 1)}
            told |= {"method": method, "address": scope["client"][0] if scope["client"] else None}
            _logger.log(level, "%s %s %d", method, scope["path"], status, extra=told)

    def _session(self, scope: Scope) -> str | None:
        told = Headers(scope=scope).get("cookie") if self._token else None
        found = self._token.search(told) if told and self._token else None
        return session_id(found[1]) if found else None

    def _route(self, scope: Scope) -> str:
        """The address in one of few forms: what a program was routed to, a page, or a kind."""
        path, found = scope["path"], scope.get("route")
        template = getattr(found, "path", None)
        if isinstance(template, str) and template and "{" not in path:
            # Of a mount the route within it counts, which does not say where that is.
            root = scope.get("root_path", "")
            whole = template if not root or template.startswith(root) else f"{root}{template}"
            return whole[:128]
        if path.rstrip("/") in self._pages or path == "/":
            return path.rstrip("/") or "/"
        first = path.split("/", 2)[1] if path.count("/") > 1 else path
        if first in ("static", "media", "component", "app"):
            return "files"
        return "streamlit" if first == "_stcore" else "other"


def _id_of(scope: Scope) -> str:
    if is_proxied(scope):
        told = Headers(scope=scope).get(HEADER, "")
        if _AN_ID.fullmatch(told):
            return told
    return new_id()
