"""`python -m core mcp`: the operations as tools of an assistant on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    groups: Annotated[
        str, typer.Option(help="List the tools of these groups only, by commas.")
    ] = "",
    role: Annotated[
        str | None, typer.Option(help="Without a key: read with this role, such as trader.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Without a key: what may be read, such as signals.read; several times."),
    ] = None,
) -> None:
    """Serve the operations as tools over stdio, to an assistant that starts this command.

    With CRYPTOSATX_API_KEY for that key's owner, looked up at each call; without it for the local
    operator, who reads what is spelled out.
    """
    # Loaded only now: what speaks the protocol takes a second.
    from core.api.stdio import serve_stdio

    serve_stdio(groups, role, scope or [])
