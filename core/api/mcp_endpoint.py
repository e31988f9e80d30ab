"""MCP over HTTP: the address at which assistants ask for tools.

What speaks the protocol takes a second to import, so it is when the first of them comes.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from core.accounts import keys
from core.accounts.keys import Bearer
from core.api.problems import Refusal, refusal_of, respond
from core.api.serving import LARGEST_BODY, admit, in_thread, mark_used
from core.edges.hosts import is_allowed_host
from core.errors import CryptoSatXError
from core.instance import Instance, instance
from core.operations import Registry
from core.operations.finding import groups_of
from core.settings import Settings

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/api/mcp"
_LOCAL = ("localhost", "127.0.0.1", "::1")


class McpEndpoint:
    """MCP over HTTP (ASGI): a request is answered by itself, with JSON, for the key that it brings.

    ``?groups=signals,plans`` behind the address lists the tools of these groups only.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, rate = Request(scope, receive), dict[str, str]()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(rate)
            await send(message)

        try:
            manager = await in_thread(self._manager, request, rate)
        except (CryptoSatXError, SQLAlchemyError) as error:
            await respond(refusal_of(error))(scope, receive, told)
            return
        async with manager.run():
            await manager.handle_request(scope, receive, told)

    def _manager(self, request: Request, rate: dict[str, str]) -> StreamableHTTPSessionManager:
        """What answers this one request, for whom it is of; `Refusal` where it may not be.

        ``rate`` becomes the headers that tell what is left of the key's rate.
        """
        here, bearer = _enter(request, rate)
        groups = groups_of(self._registry, request.query_params.get("groups", ""))
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from core.api.mcp import Guest, make_server

        # Each request opens and ends a session of its own, which is nothing to tell.
        logging.getLogger(StreamableHTTPSessionManager.__module__).setLevel(logging.WARNING)
        server = make_server(self._registry, lambda: Guest(here, bearer), groups)
        return StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, max_request_body_size=LARGEST_BODY
        )


def _enter(request: Request, rate: dict[str, str]) -> tuple[Instance, Bearer]:
    """Where a request came to, and who sent it."""
    here, now = instance(), datetime.now(UTC)
    _check_address(request, here.settings)
    if request.method != "POST":
        said = "Send messages by POST: no stream and no session is opened or ended here."
        raise Refusal(405, "method-not-allowed", said, headers={"Allow": "POST"})
    bearer, left = admit(here, request.headers.get("authorization"), now)
    rate.update(left)
    if keys.is_used_long_ago(bearer, now):
        mark_used(here, bearer, now)
    return here, bearer


def _check_address(request: Request, settings: Settings) -> None:
    """A browser that was led here by another site, or by a name that is not ours, is refused."""
    own = urlsplit(settings.url or "").hostname
    known = [*_LOCAL, *settings.allowed_hosts, *([own] if own else [])]
    if own and not is_allowed_host(request.headers.get("host", ""), known):
        raise Refusal(421, "other-host", "This server is not the one that the request is for.")
    origin = request.headers.get("origin")
    if origin is None or origin.lower() in settings.cors_origins:
        return
    scheme, _, host = origin.partition("://")
    if scheme not in ("http", "https") or not is_allowed_host(host, known):
        raise Refusal(403, "other-site", "Pages of other sites may not ask here.")
