"""MCP over stdio: tools for an assistant on this machine, which starts this process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import anyio
from mcp.server.stdio import stdio_server

from core.accounts import ROLES, Person, keys
from core.accounts.keys import Bearer
from core.api.mcp import Guest, Who, make_server
from core.api.serving import admit, authenticate, mark_used
from core.errors import AccessDenied, AccountError
from core.instance import instance, is_open_question, take_answer
from core.market.probe import ask_exchanges
from core.operations.every import all_operations
from core.operations.finding import groups_of
from core.settings import load_settings

OPERATOR = "local operator"


def serve_stdio(groups: str, role: str | None, scopes: Sequence[str]) -> None:
    """Serve until the other side is done: for the key that is set, else for the local operator.

    Raises `AccessDenied` where neither a key nor the operator's rights are given.
    """
    # Nothing but messages may stand in what the assistant reads.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    settings = load_settings()
    listed = groups_of(all_operations(), groups)
    if settings.api_key is not None:
        who = _with_key(settings.api_key.get_secret_value())
    else:
        who = _operator(role, scopes)
    if is_open_question(settings):
        take_answer(ask_exchanges(settings))
    anyio.run(_serve, who, listed)


async def _serve(who: Who, groups: Collection[str] | None) -> None:
    server = make_server(all_operations(), who, groups)
    async with stdio_server() as (messages, answers):
        await server.run(messages, answers, server.create_initialization_options())


def _with_key(key: str) -> Who:
    """The owner of the key, looked up and counted each time; one that opens nothing is said at once."""

    def who() -> Guest:
        here, now = instance(), datetime.now(UTC)
        bearer, _ = admit(here, f"Bearer {key}", now)
        if keys.is_used_long_ago(bearer, now):
            mark_used(here, bearer, now)
        return Guest(here, bearer)

    authenticate(instance(), f"Bearer {key}", datetime.now(UTC))
    return who


def _operator(role: str | None, scopes: Sequence[str]) -> Who:
    """Whoever may start commands here may read; what they may is said, not assumed."""
    if role is None or not scopes:
        raise AccessDenied(
            "Set CRYPTOSATX_API_KEY to a key, or say what may be read without one: "
            "--role trader --scope signals.read --scope sources.read"
        )
    if role not in ROLES:
        raise AccountError(f"There is no role {role}: there are {', '.join(ROLES)}.")
    known = [one for one in all_operations().scopes if one.endswith(".read")]
    strange = [one for one in scopes if one not in known]
    if strange:
        raise AccountError(
            f"{strange[0]} cannot be given without a key: there are {', '.join(known)}."
        )
    person = Person(None, OPERATOR, "Local operator", role, guest=True)
    return lambda: Guest(instance(), Bearer(0, person, frozenset(scopes), None))
