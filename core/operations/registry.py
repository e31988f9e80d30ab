"""The one registry of operations: what a program or an assistant may ask for, and who.

An operation is a function with a name, a description, a role and described parameters. The API, its
description and the tools of assistants are made from the registry; none of them knows an operation by
itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, Engine

from core.accounts import Person, Role, may
from core.errors import AccessDenied, CryptoSatXError
from core.market.choice import Market
from core.settings import Settings
from core.store.bounded import bounded

_NAME = re.compile(r"[a-z][a-z0-9_]{2,63}")
_SCOPE = re.compile(r"[a-z][a-z_]*\.(read|write)")
_PATH = re.compile(r"(/([a-z0-9_]+|\{[a-z_]+\}))+")


class Parameters(BaseModel):
    """What an operation takes: fields with descriptions and limits; anything else is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


P = TypeVar("P", bound=Parameters)


class UnknownOperation(CryptoSatXError):
    """There is no operation of that name."""


class NotThere(CryptoSatXError):
    """The parameters are right, but there is nothing of what they name."""


class WrongParameters(CryptoSatXError):
    """Parameters that an operation does not take; ``faults`` are by field."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        said = "; ".join(f"{field}: {text}" if field else text for field, text in faults.items())
        super().__init__(f"The parameters are not right. {said.rstrip('.')}.")
        self.faults = dict(faults)


@dataclass(frozen=True)
class Context:
    """Where an operation runs, for whom, and at what time. Databases are the server's own.

    ``until`` is when to give up, by `time.monotonic`.
    """

    engine: Engine
    accounts: Engine
    market: Market
    settings: Settings
    caller: str
    role: Role
    now: datetime
    until: float

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection to the market's database that gives up in time (`TookTooLong`)."""
        return bounded(self.engine, self.until)


@dataclass(frozen=True)
class Operation(Generic[P]):
    """``run`` gets the context and parameters that were checked, and gives what JSON can hold.

    ``scope`` is what a key must be allowed: the word before the dot says what it is about, as in
    signals.read; "" is what every key may. ``group`` is for people who look for one. ``path`` is the address of the API below
    its version, with parameters in braces; "" is /group/name. What ``writes`` is asked for by POST,
    everything else by GET. Where ``state`` is given, the answer to the same parameters stays the same
    for as long as what it gives.
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
    path: str = ""
    writes: bool = False
    state: Callable[[Context], str] | None = None

    @property
    def address(self) -> str:
        """The path below the version of the API."""
        return self.path or f"/{self.group}/{self.name}"

    def check(self, given: Mapping[str, Any], *, strict: bool = False) -> P:
        """Parameters as the operation takes them; `WrongParameters` names every fault.

        Texts are read as numbers and the like, as an address has them; with ``strict`` only what
        JSON says is one.
        """
        try:
            if strict:
                return self.parameters.model_validate_json(orjson.dumps(dict(given)), strict=True)
            return self.parameters.model_validate(dict(given))
        except ValidationError as error:
            raise WrongParameters(_faults(error)) from error
        except (orjson.JSONEncodeError, UnicodeEncodeError) as error:
            raise WrongParameters({"": "they hold what is no JSON"}) from error

    def is_open_to(self, scopes: Collection[str]) -> bool:
        """Whether a key of these scopes may ask for it."""
        return not self.scope or self.scope in scopes

    def admits(self, person: Person) -> bool:
        """Whether the person's role allows it."""
        return may(person, self.role, write=self.writes)

    def answer(self, context: Context, parameters: P) -> Any:
        """What it gives, in its result's form where it has one. Refuses a role that may not."""
        if not self.admits(Person(None, context.caller, context.caller, context.role)):
            raise AccessDenied(f"{self.title} needs the role {self.role}.")
        found = self.run(context, parameters)
        if self.result is None or isinstance(found, self.result):
            return found
        return self.result.model_validate(found)


def _faults(error: ValidationError) -> dict[str, str]:
    found: dict[str, str] = {}
    for fault in error.errors():
        said = str(fault["msg"]).removeprefix("Value error, ")
        found.setdefault(".".join(map(str, fault["loc"])), said)
    return found


@dataclass
class Registry:
    """Operations by name, in the order in which they were added."""

    _known: dict[str, Operation[Any]] = field(default_factory=dict)

    def add(self, operation: Operation[Any]) -> None:
        """Take an operation in; `ValueError` says what is not as it must be."""
        if not _NAME.fullmatch(operation.name):
            raise ValueError(f"{operation.name} is no name: use a to z, digits and _.")
        if operation.name in self._known:
            raise ValueError(f"There are two operations {operation.name}.")
        if operation.scope and not _SCOPE.fullmatch(operation.scope):
            raise ValueError(f"{operation.scope} is no scope: write word.read or word.write.")
        if not _PATH.fullmatch(operation.address):
            raise ValueError(f"{operation.address} is no path.")
        taken = {(one.address, one.writes) for one in self}
        if (operation.address, operation.writes) in taken:
            raise ValueError(f"There are two operations at {operation.address}.")
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

    @property
    def scopes(self) -> tuple[str, ...]:
        """Every scope that an operation asks for, sorted."""
        return tuple(sorted({one.scope for one in self if one.scope}))
