"""The OpenAPI description: one flat operation for each of the registry, made from what it says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from core.api.problems import MEDIA_TYPE, Problem
from core.operations import Operation, Registry

_REFS = "#/components/schemas/{model}"
Schema = dict[str, Any]
# Pydantic names a model by more than its name where two have the same.
References = Mapping[tuple[Any, Any], Schema]
# What operations have answered over a simulated market, in short, by their names.
EXAMPLES = Path(__file__).with_name("examples.json")
_HEADERS: Schema = {
    "RateLimit": {
        "description": "What is left of the key's rate, and seconds until it is renewed."
    },
    "RateLimit-Policy": {"description": "Requests that the key may make, and in how many seconds."},
}
_PROBLEMS: Mapping[str, str] = {
    "400": "The address, a header or the body is not well formed.",
    "401": "No key, or one that opens nothing.",
    "403": "The key's scopes, or its owner's role, do not allow it.",
    "404": "There is nothing of that.",
    "406": "The reader takes no JSON.",
    "413": "The body is too large, also where none is needed.",
    "415": "The body is not said to be JSON.",
    "422": "Parameters that it does not take; errors names each.",
    "424": "A source does not answer this: it needs a key that is not set, or does not know it.",
    "429": "The key, or this server at a source, has asked too often: wait as Retry-After says.",
    "500": "It failed here.",
    "503": "The database or a source is away, or it took too long: try again.",
}
_OF_BODIES = ("415",)


class _Described(GenerateJsonSchema):
    """Titles repeat names; without them a description is half as long."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def describe(registry: Registry, *, version: str, server: str) -> Schema:
    """The whole description; ``server`` is the address of the API with its version."""
    paths: Schema = {}
    references, components = _components(registry)
    for operation in registry:
        method = "post" if operation.writes else "get"
        paths.setdefault(operation.address, {})[method] = _operation(operation, references)
    paths["/invoke"] = {"post": _invoke(registry)}
    paths["/operations"] = {"get": _listing()}
    groups = dict.fromkeys(operation.group for operation in registry)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CryptoSatX",
            "version": version,
            "description": "Signals for crypto perpetual futures, how good they were, and what they rest "
            "on; the same figures as on the pages. Missing is null, times are ISO 8601 in UTC, fractions "
            "are 0..1. Lists come in pages: give next_cursor as cursor, with the same parameters. Examples "
            "of answers are of a made-up market, and their lists are cut short.",
        },
        "servers": [{"url": server}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in (*groups, "operations")],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key that a person made on the Account page: csx_...",
                }
            },
        },
    }


def parameter_schema(operation: Operation[Any]) -> Schema:
    """The parameters of one operation by themselves, as tools take them."""
    found: Schema = operation.parameters.model_json_schema(schema_generator=_Described)
    return found


def _components(registry: Registry) -> tuple[References, Schema]:
    """The reference to each model, by what it is used for, and what the references lead to."""
    models: list[tuple[type[BaseModel], Any]] = [(Problem, "serialization")]
    for operation in registry:
        models.append((operation.parameters, "validation"))
        if operation.result is not None:
            models.append((operation.result, "serialization"))
    # Each once, or the schema names the same one twice.
    references, found = models_json_schema(
        list(dict.fromkeys(models)), ref_template=_REFS, schema_generator=_Described
    )
    return references, found.get("$defs", {})


def _operation(operation: Operation[Any], references: References) -> Schema:
    schema = operation.parameters.model_json_schema(ref_template=_REFS, schema_generator=_Described)
    told: Schema = {
        "operationId": operation.name,
        "summary": operation.title,
        "description": f"{operation.description} {_needs(operation)}",
        "tags": [operation.group],
        "x-role": operation.role,
        "x-scope": operation.scope,
        "responses": _responses(operation, references),
    }
    if operation.writes:
        told["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": references[operation.parameters, "validation"],
                    "examples": {
                        str(number): {"value": example}
                        for number, example in enumerate(operation.examples, 1)
                    },
                }
            },
        }
    else:
        told["parameters"] = _parameters(operation, schema)
    return told


def _needs(operation: Operation[Any]) -> str:
    scope = f"the scope {operation.scope}" if operation.scope else "a key of any scope"
    return f"Needs the role {operation.role} and {scope}."


def _parameters(operation: Operation[Any], schema: Schema) -> list[Schema]:
    example = operation.examples[0] if operation.examples else {}
    found = []
    for name, own in schema.get("properties", {}).items():
        in_path = f"{{{name}}}" in operation.address
        parameter: Schema = {
            "name": name,
            "in": "path" if in_path else "query",
            "required": in_path or name in schema.get("required", ()),
            "description": own.get("description", ""),
            "schema": in_address(
                {key: value for key, value in own.items() if key != "description"}
            ),
        }
        shown = example.get(name, _example(name, parameter["schema"]))
        if shown is not None:
            parameter["example"] = shown
        found.append(parameter)
    return found


# Of what neither an operation nor its schema gives an example.
_EXAMPLES: Mapping[str, Any] = {
    "symbol": "BTCUSDT",
    "venue": ["binance"],
    "search": "BTC",
    "rule_id": 1,
    "kind": ["fired"],
    "version": "4bb8f98a44d90bfe",
    "for": "2h",
    "cooldown": "4h",
}
_OF_FORMATS: Mapping[str, str] = {"date-time": "2026-01-01T12:00:00Z", "date": "2026-01-01"}


def _example(name: str, schema: Schema) -> Any:
    """A value that a parameter can have; None for a cursor, which only a page gives."""
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("default") not in (None, "", []):
        return schema["default"]
    if schema.get("type") == "array":
        items = schema.get("items", {})
        known = _EXAMPLES.get(name, _example(name, items))
        return known if isinstance(known, list) or known is None else [known]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "boolean":
        return True
    if schema.get("type") == "number":
        return schema.get("minimum")
    return _OF_FORMATS.get(schema.get("format", ""), _EXAMPLES.get(name))


def in_address(schema: Schema) -> Schema:
    """A schema without null, which an address cannot say: what is not known is left out there."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(options) == 1:
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        schema = {**options[0], **rest}
    if schema.get("default", ...) is None:
        schema = {key: value for key, value in schema.items() if key != "default"}
    return schema


def _responses(operation: Operation[Any], references: References) -> Schema:
    content: Schema = {}
    if operation.result is not None:
        content = references[operation.result, "serialization"]
    headers = dict(_HEADERS)
    told: Schema = {}
    if not operation.writes:
        headers["ETag"] = {"description": "The same for as long as the answer is."}
        told["304"] = {"description": "Nothing has changed since the ETag of If-None-Match."}
    ok = {"description": operation.title, "headers": _described(headers)}
    return {
        "200": {**ok, "content": {"application/json": _shown(operation.name, content)}},
        **told,
        **_problems(body=operation.writes),
    }


def _shown(name: str, schema: Schema) -> Schema:
    """The schema of an answer with an example, where there is one: what a source says is its own."""
    known = _answers()
    return {"schema": schema, **({"example": known[name]} if name in known else {})}


@cache
def _answers() -> Schema:
    found: Schema = orjson.loads(EXAMPLES.read_bytes())
    return found


def _described(headers: Schema) -> Schema:
    return {name: {**told, "schema": {"type": "string"}} for name, told in headers.items()}


def _problems(*, body: bool) -> Schema:
    content = {MEDIA_TYPE: {"schema": {"$ref": _REFS.format(model="Problem")}}}
    found: Schema = {}
    for status, said in _PROBLEMS.items():
        if status in _OF_BODIES and not body:
            continue
        found[status] = {"description": said, "content": content}
    return found


def _invoke(registry: Registry) -> Schema:
    names = [operation.name for operation in registry]
    body = {
        "type": "object",
        "additionalProperties": False,
        "required": ["operation"],
        "properties": {
            "operation": {"type": "string", "enum": names, "description": "Name of the operation."},
            "parameters": {"type": "object", "description": "What it takes."},
        },
    }
    result = {
        "type": "object",
        "additionalProperties": False,
        "required": ["operation", "result"],
        "properties": {
            "operation": {"type": "string", "description": "Name of the operation."},
            "result": {"description": "What it gave, as its own path gives it."},
        },
    }
    first = next(iter(registry))
    known = _answers().get(first.name)
    shown = {} if known is None else {"example": {"operation": first.name, "result": known}}
    return {
        "operationId": "invoke",
        "summary": "Invoke an operation by its name",
        "description": "Any operation with its parameters as JSON; needs its role and its scope.",
        "tags": ["operations"],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": body,
                    "example": {"operation": first.name, "parameters": first.examples[0]},
                }
            },
        },
        "responses": {
            "200": {
                "description": "What it gave.",
                "headers": _described(_HEADERS),
                "content": {"application/json": {"schema": result, **shown}},
            },
            **_problems(body=True),
        },
    }


def _listing() -> Schema:
    row = {
        "type": "object",
        "required": [
            "name",
            "title",
            "description",
            "group",
            "role",
            "scope",
            "parameters",
            "allowed",
        ],
        "properties": {
            "name": {"type": "string", "description": "Its name."},
            "title": {"type": "string", "description": "The same for people."},
            "description": {"type": "string", "description": "What it does."},
            "group": {"type": "string", "description": "What it is about."},
            "role": {"type": "string", "description": "The role that it needs."},
            "scope": {"type": "string", "description": "The scope that it needs."},
            "method": {"type": "string", "description": "GET, or POST where it changes something."},
            "path": {"type": "string", "description": "Its own path, below this API's address."},
            "parameters": {"type": "object", "description": "JSON Schema of what it takes."},
            "examples": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Parameters.",
            },
            "allowed": {"type": "boolean", "description": "Whether this key may ask for it."},
        },
    }
    items = {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": row, "description": "All of them."}},
    }
    return {
        "operationId": "operations",
        "summary": "All operations",
        "description": "Every operation with the schema of its parameters. Needs a key of any scope.",
        "tags": ["operations"],
        "responses": {
            "200": {
                "description": "All operations.",
                "headers": _described(_HEADERS),
                "content": {"application/json": _shown("operations", items)},
            },
            "304": {"description": "Nothing has changed since the ETag of If-None-Match."},
            **_problems(body=False),
        },
    }
