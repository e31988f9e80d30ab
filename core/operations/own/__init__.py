"""The product's own operations, a module for each subject."""

from core.operations.own import (
    accuracy,
    alerts,
    backtests,
    followed,
    knowledge,
    ledger,
    liquidations,
    market,
    plans,
    rule_trials,
    rule_writing,
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
    knowledge,
    followed,
    ledger,
    alerts,
    rules,
    rule_writing,
    rule_trials,
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
