"""What an operation gives, as an answer to a request: its JSON, and the tag that tells it apart."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from core.api.describing import parameter_schema
from core.api.problems import Refusal
from core.api.serving import JSON, Answer, Visit, allow
from core.operations import Operation, Registry, WrongParameters
from core.version import product_version

_KEPT = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}


def answer_of(operation: Operation[Any]) -> Answer:
    """The answer of an operation's own path."""
    return lambda visit: _write(operation, visit) if operation.writes else _read(operation, visit)


def invocation(registry: Registry) -> Answer:
    """The answer to an operation that is named in the body."""

    def answer(visit: Visit) -> Response:
        told = _json_object(visit.body)
        name, given = told.get("operation"), told.get("parameters", {})
        strange = set(told) - {"operation", "parameters"}
        if strange or not isinstance(name, str) or not isinstance(given, dict):
            raise Refusal(
                422, "wrong-parameters",
                'Send {"operation": "its name", "parameters": {...}} and nothing else.',
            )  # fmt: skip
        operation = registry[name]
        allow(operation, visit.bearer)
        found = operation.answer(visit.context, operation.check(given, strict=True))
        head = b'{"operation":' + orjson.dumps(operation.name)
        return _plain(head + b',"result":' + dump(found) + b"}")

    return answer


def listing(registry: Registry) -> Answer:
    """All operations, and which of them the key may ask for."""

    def answer(visit: Visit) -> Response:
        items = [
            {
                **_told(operation),
                "allowed": operation.is_open_to(visit.bearer.scopes)
                and operation.admits(visit.bearer.person),
            }
            for operation in registry
        ]
        return _tagged(visit.request, orjson.dumps({"items": items}))

    return answer


def dump(found: Any) -> bytes:
    """What an operation gave as JSON; what is not known is null."""
    if isinstance(found, BaseModel):
        return found.model_dump_json().encode()
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)


def _read(operation: Operation[Any], visit: Visit) -> Response:
    allow(operation, visit.bearer)
    parameters = operation.check(_given(visit.request, operation))
    context, tag = visit.context, None
    if operation.state is not None:
        form = _form_of(operation.result)
        about = (operation.name, parameters.model_dump_json(), context.market.key, form)
        tag = f'W/"{_digest(" ".join((*about, operation.state(context))).encode())}"'
        if _is_known(visit.request, tag):
            return _unchanged(tag)
    return _tagged(visit.request, dump(operation.answer(context, parameters)), tag)


def _write(operation: Operation[Any], visit: Visit) -> Response:
    given = _json_object(visit.body)
    allow(operation, visit.bearer)
    return _plain(dump(operation.answer(visit.context, operation.check(given, strict=True))))


def _given(request: Request, operation: Operation[Any]) -> dict[str, Any]:
    """Parameters of an address: from its path and behind the question mark."""
    given: dict[str, Any] = dict(request.path_params)
    lists, twice = _lists_of(operation), []
    for name in request.query_params:
        values = request.query_params.getlist(name)
        if name in request.path_params or (len(values) > 1 and name not in lists):
            twice.append(name)
        given[name] = tuple(values) if name in lists else values[0]
    if twice:
        raise WrongParameters(dict.fromkeys(twice, "is given more than once"))
    return given


def _lists_of(operation: Operation[Any]) -> frozenset[str]:
    """The parameters that can be given several times."""
    properties = operation.parameters.model_json_schema().get("properties", {})
    return frozenset(name for name, schema in properties.items() if schema.get("type") == "array")


def _told(operation: Operation[Any]) -> dict[str, Any]:
    return {
        "name": operation.name,
        "title": operation.title,
        "description": operation.description,
        "group": operation.group,
        "role": operation.role,
        "scope": operation.scope,
        "method": "POST" if operation.writes else "GET",
        "path": operation.address,
        "parameters": parameter_schema(operation),
        "examples": [dict(example) for example in operation.examples],
    }


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "no-json", f"The body is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Refusal(422, "wrong-parameters", "The body must be a JSON object.")
    return found


def _plain(content: bytes) -> Response:
    return Response(content, headers={"Cache-Control": "no-store"}, media_type=JSON)


def _tagged(request: Request, content: bytes, tag: str | None = None) -> Response:
    tag = tag or f'"{_digest(content)}"'
    # "*" is met by whatever there is, which is known only now: an error is none.
    if _is_known(request, tag) or request.headers.get("if-none-match", "").strip() == "*":
        return _unchanged(tag)
    return Response(content, headers={"ETag": tag, **_KEPT}, media_type=JSON)


def _unchanged(tag: str) -> Response:
    return Response(status_code=304, headers={"ETag": tag, **_KEPT})


def _is_known(request: Request, tag: str) -> bool:
    """Whether the reader has this already; weak comparison, as RFC 9110 asks for."""
    told = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    bare = tag.removeprefix("W/")
    return any(one.removeprefix("W/") == bare for one in told if one)


@cache
def _form_of(result: type[BaseModel] | None) -> str:
    """What the form of an answer depends on beside the data: the version, and its fields."""
    schema = {} if result is None else result.model_json_schema(mode="serialization")
    return _digest(orjson.dumps([product_version(), schema]))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
