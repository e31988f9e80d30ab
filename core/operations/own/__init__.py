"""The product's own operations, a module for each subject."""

from core.operations.own import ledger, plans, signals, verdicts
from core.operations.registry import Registry

SUBJECTS = (signals, verdicts, plans, ledger)


def own_operations() -> Registry:
    """A registry of all of them."""
    registry = Registry()
    for subject in SUBJECTS:
        for operation in subject.OPERATIONS:
            registry.add(operation)
    return registry


__all__ = ["own_operations"]
