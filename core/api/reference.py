"""The reference for people: one page without a script, made from the registry."""

from __future__ import annotations

from html import escape
from typing import Any

import orjson

from core.api.describing import parameter_schema
from core.operations import Operation, Registry

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
@media (prefers-color-scheme: dark) { body { background: #111418; color: #e6e6e6; } a { color: #8ab4f8; } }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { overflow-x: auto; padding: 0.6rem; border: 1px solid #8886; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem 0.25rem 0; border-top: 1px solid #8886; }
section { margin-top: 2.5rem; }
h3 { margin-bottom: 0.2rem; }
"""


def draw_reference(registry: Registry, server: str) -> str:
    """The whole page."""
    groups: dict[str, list[Operation[Any]]] = {}
    for operation in registry:
        groups.setdefault(operation.group, []).append(operation)
    contents = "".join(
        f"<li>{escape(group)}: "
        + ", ".join(f'<a href="#{one.name}">{escape(one.title)}</a>' for one in operations)
        + "</li>"
        for group, operations in groups.items()
    )
    body = "".join(
        f"<section><h2>{escape(group)}</h2>{''.join(_operation(one, server) for one in operations)}"
        "</section>"
        for group, operations in groups.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CryptoSatX API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>CryptoSatX API</h1>{_about(server)}"
        f"<ul>{contents}</ul>{body}</body></html>"
    )


def _about(server: str) -> str:
    example = f'curl -H "Authorization: Bearer csx_..." {server}/signals?limit=5'
    return (
        "<p>Every request carries a key, which a person makes on the Account page with the scopes that "
        "it is to have. Answers are JSON; missing is null, times are ISO 8601 in UTC, fractions are "
        "0..1. Lists come in pages: give <code>next_cursor</code> as <code>cursor</code> with the same "
        "parameters. Answers have an <code>ETag</code>; with <code>If-None-Match</code> what has not "
        "changed is 304. <code>RateLimit</code> says what is left, and 429 when to go on. Errors are "
        "<code>application/problem+json</code> (RFC 9457). Any operation can also be asked for by name: "
        "<code>POST /invoke</code> with <code>operation</code> and <code>parameters</code>. "
        f'The same for machines: <a href="{escape(server)}/openapi.json">openapi.json</a>.</p>'
        f"<pre>{escape(example)}</pre>"
    )


def _operation(operation: Operation[Any], server: str) -> str:
    method = "POST" if operation.writes else "GET"
    schema = parameter_schema(operation)
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><th><code>{escape(name)}</code></th><td>{escape(_kind(own))}"
        f"{', required' if name in required else ''}</td><td>{escape(own.get('description', ''))}</td></tr>"
        for name, own in schema.get("properties", {}).items()
    )
    example = orjson.dumps(dict(operation.examples[0])).decode() if operation.examples else ""
    return (
        f'<h3 id="{operation.name}">{escape(operation.title)}</h3>'
        f"<p><code>{method} {escape(server + operation.address)}</code><br>Operation "
        f"<code>{operation.name}</code>, role {operation.role}, scope <code>{operation.scope}</code></p>"
        f"<p>{escape(operation.description)}</p>"
        + (f"<table>{rows}</table>" if rows else "")
        + (f"<p>Example parameters:</p><pre>{escape(example)}</pre>" if rows and example else "")
    )


def _kind(schema: dict[str, Any]) -> str:
    """What a parameter is, in a word or two.

    >>> _kind({"type": "integer", "minimum": 1, "maximum": 9}), _kind({"enum": ["a", "b"]})
    ('integer 1..9', 'a, b')
    """
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    own = options[0] if options else schema
    if "enum" in own:
        return ", ".join(map(str, own["enum"]))
    if own.get("type") == "array":
        return f"several of: {_kind(own.get('items', {}))}"
    ends = [own.get("minimum", own.get("exclusiveMinimum")), own.get("maximum")]
    kind = str(own.get("format", own.get("type", "any")))
    return f"{kind} {ends[0]}..{ends[1]}" if None not in ends else kind
