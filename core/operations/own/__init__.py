"""The product's own operations, a module for each subject."""

from core.operations.own import (
    accuracy,
    alerts,
    backtests,
    ledger,
    liquidations,
    market,
    plans,
    rules,
    signals,
    sources,
    verdicts,
)
from core.operations.registry import Registry

SUBJECTS = (
    signals,
    verdicts,
    plans,
    market,
    liquidations,
    accuracy,
    ledger,
    alerts,
    rules,
    backtests,
    sources,
)


def own_operations() -> Registry:
    """A registry of all of them."""
    registry = Registry()
    for subject in SUBJECTS:
        for operation in subject.OPERATIONS:
            registry.add(operation)
    return registry


__all__ = ["own_operations"]
