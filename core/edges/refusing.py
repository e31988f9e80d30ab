"""What is answered in place of what was asked for: a problem to programs, a sentence to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from core.observing.instruments import REFUSED


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
