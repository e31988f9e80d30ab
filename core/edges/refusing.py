"""What is answered in place of what was asked for: a problem to programs, a sentence to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.observing.instruments import REFUSED

# What an error that is told anew keeps of how it was told first.
_STAYS = ("access-control-", "allow", "connection", "retry-after", "ratelimit", "vary", "www-auth")
_SENTENCES = {
    400: "The address or the headers of the request are not well formed.",
    404: "There is nothing at this address.",
    405: "This address takes another method.",
}


@dataclass(frozen=True)
class Refused:
    """``kind`` names the reason in logs, metrics and problems; ``sentence`` says what to do."""

    status: int
    kind: str
    sentence: str
    headers: Mapping[str, str] = field(default_factory=dict)


def is_for_programs(path: str) -> bool:
    """Whether an address is the API's.

    >>> is_for_programs("/api/v1/signals"), is_for_programs("/apiary")
    (True, False)
    """
    return path == "/api" or path.startswith("/api/")


def response_of(refused: Refused, path: str) -> Response:
    """The response to whoever asked for ``path``."""
    headers = {"Cache-Control": "no-store", **refused.headers}
    if not is_for_programs(path):
        return PlainTextResponse(refused.sentence, refused.status, headers)
    problem = {
        "type": f"urn:cryptosatx:problem:{refused.kind}",
        "title": refused.kind.replace("-", " ").capitalize(),
        "status": refused.status,
        "detail": refused.sentence,
        "errors": [],
    }
    return Response(orjson.dumps(problem), refused.status, headers, "application/problem+json")


async def refuse(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or turn a WebSocket away before it is open."""
    REFUSED.labels(refused.kind).inc()
    if scope["type"] == "websocket":
        # The first message says that one is wanted; a denial comes after it.
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": refused.kind})
            return
    await response_of(refused, scope["path"])(scope, receive, send)


class Problems:
    """Tells every error at the API's addresses as a problem, whichever library refused the request.

    What is JSON already stays: ours are problems, and MCP tells some in a form of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        replaced = False

        async def told(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_told_otherwise(message):
                replaced = True
                response = response_of(_as_refused(message), scope["path"])
                await response(scope, receive, send)
            elif not replaced:
                await send(message)

        await self.app(scope, receive, told)


def _is_told_otherwise(start: Message) -> bool:
    kind = Headers(raw=list(start.get("headers", ()))).get("content-type", "")
    return start["status"] >= 400 and kind.partition(";")[0].strip() not in (
        "application/json",
        "application/problem+json",
    )


def _as_refused(start: Message) -> Refused:
    status = start["status"]
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Refused"
    headers = Headers(raw=list(start.get("headers", ())))
    kept = {name: value for name, value in headers.items() if name.startswith(_STAYS)}
    kind = phrase.lower().replace(" ", "-")
    return Refused(status, kind, _SENTENCES.get(status, f"{phrase}."), kept)
