"""The one registry of operations: what a program or an assistant may ask for, and who.

An operation is a function with a name, a description, a role and described parameters. The API, its
description and the tools of assistants are made from the registry; none of them knows an operation by
itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Engine

from core.accounts import Role
from core.errors import CryptoSatXError
from core.market.choice import Market
from core.settings import Settings

_NAME = re.compile(r"[a-z][a-z0-9_]{2,63}")


class Parameters(BaseModel):
    """What an operation takes: fields with descriptions and limits; anything else is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


P = TypeVar("P", bound=Parameters)


class UnknownOperation(CryptoSatXError):
    """There is no operation of that name."""


class WrongParameters(CryptoSatXError):
    """Parameters that an operation does not take; ``faults`` are by field."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        said = "; ".join(f"{field}: {text}" if field else text for field, text in faults.items())
        super().__init__(f"The parameters are not right. {said}.")
        self.faults = dict(faults)


@dataclass(frozen=True)
class Context:
    """Where an operation runs, for whom, and at what time. Databases are the server's own."""

    engine: Engine
    accounts: Engine
    market: Market
    settings: Settings
    caller: str
    role: Role
    now: datetime


@dataclass(frozen=True)
class Operation(Generic[P]):
    """``run`` gets the context and parameters that were checked, and gives what JSON can hold.

    ``scope`` is what a key must be allowed: the word before the dot says what it is about, as in
    signals.read. ``group`` is for people who look for one.
    """

    name: str
    title: str
    description: str
    group: str
    role: Role
    scope: str
    parameters: type[P]
    run: Callable[[Context, P], Any]
    # None: whatever JSON can hold.
    result: type[BaseModel] | None = None
    examples: tuple[Mapping[str, Any], ...] = ()

    def check(self, given: Mapping[str, Any]) -> P:
        """Parameters as the operation takes them; `WrongParameters` names every fault."""
        try:
            return self.parameters.model_validate(dict(given))
        except ValidationError as error:
            raise WrongParameters(
                {".".join(map(str, each["loc"])): str(each["msg"]) for each in error.errors()}
            ) from error


@dataclass
class Registry:
    """Operations by name, in the order in which they were added."""

    _known: dict[str, Operation[Any]] = field(default_factory=dict)

    def add(self, operation: Operation[Any]) -> None:
        if not _NAME.fullmatch(operation.name):
            raise ValueError(f"{operation.name} is no name: use a to z, digits and _.")
        if operation.name in self._known:
            raise ValueError(f"There are two operations {operation.name}.")
        self._known[operation.name] = operation

    def __getitem__(self, name: str) -> Operation[Any]:
        try:
            return self._known[name]
        except KeyError:
            raise UnknownOperation(f"There is no operation {name[:64]!r}.") from None

    def __iter__(self) -> Iterator[Operation[Any]]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)
