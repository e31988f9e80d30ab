"""The application of the API, which `app.py` mounts under /api."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from core.api.answering import answer_of, invocation, listing
from core.api.describing import describe
from core.api.mcp_endpoint import PATH, McpEndpoint
from core.api.problems import Refusal, refusal_of_http, respond
from core.api.reference import draw_reference
from core.api.serving import Answer, serve
from core.instance import instance
from core.operations import Registry
from core.operations.own import own_operations

VERSION, PREFIX = "1.0.0", "/api/v1"


def make_api(registry: Registry) -> FastAPI:
    """The API over a registry: a path for each operation, all of them by name, and what they are."""
    api = FastAPI(
        title="CryptoSatX",
        version=VERSION,
        docs_url=None,  # Its page loads scripts of another site, which our policy forbids.
        redoc_url=None,
        redirect_slashes=False,
        root_path_in_servers=False,
        exception_handlers={HTTPException: _as_problem},
    )
    answers: dict[str, dict[str, Answer]] = {
        "/operations": {"GET": listing(registry)},
        "/invoke": {"POST": invocation(registry)},
    }
    for operation in registry:
        method = "POST" if operation.writes else "GET"
        answers.setdefault(operation.address, {})[method] = answer_of(operation)
    # A path with a name in it comes before one with a parameter there.
    for path in sorted(
        answers, key=lambda path: [part.startswith("{") for part in path.split("/")]
    ):
        api.add_api_route(
            path, _endpoint(answers[path]), methods=_methods(answers[path]), response_model=None
        )

    # Strangers may ask for both, and hundreds of operations take half a second to describe.
    @lru_cache(maxsize=2)
    def described(server: str) -> dict[str, Any]:
        return describe(registry, version=VERSION, server=server)

    @lru_cache(maxsize=2)
    def drawn(server: str) -> str:
        return draw_reference(registry, server)

    api.add_api_route(
        "/docs",
        lambda: HTMLResponse(drawn(_server())),
        methods=["GET", "HEAD"],
        response_model=None,
    )
    api.openapi = lambda: described(_server())  # type: ignore[method-assign]
    return api


def api_routes(registry: Registry | None = None) -> list[BaseRoute]:
    """What `app.py` mounts; addresses under /api that are none are told as a problem too."""
    known = own_operations() if registry is None else registry
    routes: list[Mount | Route] = [
        Mount(PREFIX, make_api(known)),
        Route(PATH, McpEndpoint(known)),
        Route("/api", _NothingHere()),
        Route("/api/{rest:path}", _NothingHere()),
    ]
    for route in routes:
        # A line break in an address would keep it from being one of ours.
        route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)
    return [*routes]


def _endpoint(answers: Mapping[str, Answer]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        # The server leaves the body of an answer to HEAD away.
        method = "GET" if request.method == "HEAD" else request.method
        return await serve(request, answers[method])

    return endpoint


def _methods(answers: Mapping[str, Answer]) -> list[str]:
    return [*answers, "HEAD"] if "GET" in answers else [*answers]


def _server() -> str:
    base = (instance().settings.url or "").rstrip("/")
    return f"{base}{PREFIX}"


async def _as_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return respond(refusal_of_http(error))


class _NothingHere:
    """What is at no address, whatever the method (a function would be asked by GET only)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = (
            f"There is nothing at this address: the API is at {PREFIX}, described in {PREFIX}/docs."
        )
        await respond(Refusal(404, "not-found", said))(scope, receive, send)
