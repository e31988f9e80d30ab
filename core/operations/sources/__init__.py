"""Operations on the sources: every endpoint that only reads, from the tables beside this module."""

from collections.abc import Iterator
from typing import Any

from core.operations.registry import Operation
from core.operations.sources.exchanges import exchange_operations
from core.operations.sources.providers import PROVIDERS, provider_operations
from core.operations.sources.reading import close_readers


def source_operations() -> Iterator[Operation[Any]]:
    """All of them, source by source."""
    yield from exchange_operations()
    for source in PROVIDERS:
        yield from provider_operations(source)


__all__ = ["close_readers", "source_operations"]
