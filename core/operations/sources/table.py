"""What sources can be asked for, as the tables beside this module say it.

A table names kinds of parameters once and then every endpoint with what it takes; parameter models
and operations are made from that, so there is no function for any single endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from core.accounts import Role
from core.operations.registry import Parameters

FOLDER = Path(__file__).parent / "tables"
_LONGEST_TEXT = 4_000
_IN_PATH = re.compile(r"\{([a-z_]+)\}")


class Kind(BaseModel):
    """A kind of parameter. A flag is sent as it is given, a switch only where it is on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["text", "whole", "number", "choice", "flag", "switch"]
    says: str
    example: str | bool | int | float
    pattern: str | None = None
    least: float | None = None
    most: float | None = None
    of: tuple[str, ...] = ()

    @property
    def annotation(self) -> Any:
        """What a value must be."""
        if self.type == "text":
            return Annotated[str, StringConstraints(pattern=self.pattern, max_length=_LONGEST_TEXT)]
        if self.type == "choice":
            return Literal[self.of]
        if self.type in ("flag", "switch"):
            return bool
        within = Field(ge=self.least, le=self.most)
        return Annotated[int, within] if self.is_whole else Annotated[float, within]

    @property
    def is_whole(self) -> bool:
        return self.type == "whole"

    def write(self, value: Any) -> str | None:
        """The value as an address holds it; None: not at all."""
        if isinstance(value, bool):
            return None if self.type == "switch" and not value else str(value).lower()
        if isinstance(value, float):
            return f"{value:g}" if value < 1e6 else f"{value:.0f}"
        return str(value)


@dataclass(frozen=True)
class Taken:
    """One parameter of an endpoint."""

    name: str
    kind: Kind
    needed: bool


class Endpoint(BaseModel):
    """One thing that a source can be asked for; ``venues`` are the exchanges that have it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    says: str
    seconds: float
    path: str = ""
    takes: str = ""
    role: Role = "trader"
    venues: tuple[str, ...] = ()
    has: str = ""

    @property
    def in_path(self) -> tuple[str, ...]:
        """The parameters that are part of the path."""
        return tuple(_IN_PATH.findall(self.path))


class Table(BaseModel):
    """All endpoints of one source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    kinds: Mapping[str, Kind]
    endpoints: tuple[Endpoint, ...]

    def taken(self, endpoint: Endpoint) -> tuple[Taken, ...]:
        """What an endpoint takes: "symbol=coin limit?" are a coin called symbol, and a limit that
        may be left out."""
        found = []
        for word in endpoint.takes.split():
            name, _, kind = word.removesuffix("?").partition("=")
            found.append(Taken(name, self.kinds[kind or name], not word.endswith("?")))
        return tuple(found)


@cache
def load_table(source: str) -> Table:
    """The table of a source, by its name."""
    text = (FOLDER / f"{source}.yaml").read_text(encoding="utf-8")
    return Table.model_validate(yaml.load(text, Loader=yaml.CSafeLoader))


class SourceParameters(Parameters):
    """What an endpoint takes; it is built when it is first asked for, as most never are."""

    model_config = ConfigDict(defer_build=True)


def parameters_of(name: str, taken: tuple[Taken, ...]) -> type[Parameters]:
    """The model of what an operation of this name takes."""
    fields: dict[str, Any] = {}
    for one in taken:
        told = Field(description=one.kind.says, examples=[one.kind.example])
        if one.needed:
            fields[one.name] = (Annotated[one.kind.annotation, told], ...)
        else:
            fields[one.name] = (Annotated[one.kind.annotation | None, told], None)
    title = "".join(part.capitalize() for part in name.split("_"))
    return create_model(f"{title}Asked", __base__=SourceParameters, **fields)


def example_of(taken: tuple[Taken, ...]) -> dict[str, Any]:
    """What is needed, each with its example."""
    return {one.name: one.kind.example for one in taken if one.needed}
