"""Every operation there is: the product's own, those on the sources, and the search for one."""

from __future__ import annotations

from functools import cache

from core.operations.finding import finding
from core.operations.own import own_operations
from core.operations.registry import Registry
from core.operations.sources import source_operations


@cache
def all_operations() -> Registry:
    """The registry of all of them, made once: nothing is to be added."""
    registry = own_operations()
    for operation in source_operations():
        registry.add(operation)
    registry.add(finding(registry))
    return registry
