"""What programs and assistants may ask for: one registry, for the API and for tools alike."""

from core.operations.registry import (
    Context,
    NotThere,
    Operation,
    Parameters,
    Registry,
    UnknownOperation,
    WrongParameters,
)

__all__ = [
    "Context",
    "NotThere",
    "Operation",
    "Parameters",
    "Registry",
    "UnknownOperation",
    "WrongParameters",
]
