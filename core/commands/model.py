"""The endpoint of the language model, asked once which models it has."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from core.errors import SettingsError, SourceError
from core.settings import Settings

if TYPE_CHECKING:
    from core.verdicts.model.asking import Endpoint

_SHOWN = 5


def check_model(settings: Settings) -> str:
    """What the endpoint says. Raises `SettingsError` where the model cannot be asked; costs nothing."""
    if settings.model is None:
        return "off: no CRYPTOSATX_MODEL is set"
    from core.verdicts.model import asking  # brings what takes a second to import

    endpoint, began = asking.Endpoint(settings), monotonic()
    try:
        names = asyncio.run(_list_models(endpoint))
    except SourceError as error:
        raise SettingsError(
            f"{error} Check OPENAI_API_KEY and OPENAI_BASE_URL, and this machine's network."
        ) from error
    took = f"{endpoint.address} answered in {1000 * (monotonic() - began):.0f} ms"
    if names is None:
        return (
            f"{took}; it does not list its models, so whether it has {settings.model} is not known"
        )
    if settings.model not in names:
        others = ", ".join(sorted(names)[:_SHOWN]) or "none"
        raise SettingsError(
            f"{endpoint.address} has no model {settings.model}; among those it has: {others}. "
            "Set CRYPTOSATX_MODEL to one of them."
        )
    return f"{took} and has {settings.model}"


async def _list_models(endpoint: Endpoint) -> list[str] | None:
    async with endpoint.opened() as asker:
        return await asker.list_models()
