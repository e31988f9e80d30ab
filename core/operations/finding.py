"""The search for an operation: there are more of them than anybody reads through."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from core.accounts import Person
from core.operations.registry import (
    Context,
    Operation,
    Parameters,
    Registry,
    WrongParameters,
)
from core.operations.values import Line, Result

NAME, GROUP = "find_operations", "operations"
_WORD = re.compile(r"[a-z0-9]+")
# What a word counts where it stands: in the name, the title, the description.
_COUNTS = (4, 2, 1)
Group = Annotated[
    str | None,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        description="Only of this group, such as signals, coinglass or ccxt; of all where left out.",
        examples=["coinglass"],
    ),
]


class Looked(Parameters):
    words: Line = Field(
        "",
        max_length=200,
        description="What it is about, in a few words; all operations where left out.",
        examples=["funding rate history"],
    )
    group: Group = None
    limit: int = Field(10, ge=1, le=50, description="How many at most.", examples=[10])


class Operating(Result):
    """An operation, with what is needed to ask for it."""

    name: str = Field(description="Its name.")
    title: str = Field(description="What it gives, in some words.")
    description: str = Field(description="What it gives, with units.")
    group: str = Field(description="What it belongs to.")
    scope: str = Field(description='What a key must be allowed; "": nothing.')
    writes: bool = Field(description="Whether it changes something.")
    parameters: dict[str, Any] = Field(description="JSON Schema of what it takes.")


class Results(Result):
    """Operations that fit, the best first."""

    items: list[Operating] = Field(description="The first of them.")
    found: int = Field(description="How many fit.")
    groups: dict[str, int] = Field(description="How many fit of each group.")


def finding(registry: Registry) -> Operation[Looked]:
    """The operation that looks for others of the registry."""

    def run(context: Context, asked: Looked) -> Results:
        person = Person(None, context.caller, context.caller, context.role)
        fitting = [
            one
            for one in search(registry, asked.words)
            if one.admits(person) and asked.group in (None, one.group)
        ]
        groups: dict[str, int] = {}
        for one in fitting:
            groups[one.group] = groups.get(one.group, 0) + 1
        return Results(
            items=[_told(one) for one in fitting[: asked.limit]], found=len(fitting), groups=groups
        )

    return Operation(
        NAME,
        "Find an operation",
        "Looks for operations by words in their names, titles and descriptions, for whoever does not "
        "want to read through all of them; what the caller's role does not allow is left out.",
        GROUP,
        "trader",
        "",
        Looked,
        run,
        result=Results,
        examples=({"words": "funding rate history", "limit": 5},),
        path="/operations/find",
    )


def groups_of(registry: Registry, named: str) -> frozenset[str] | None:
    """The groups that are named by commas, None for no name; `WrongParameters` where one is none."""
    asked = [one.strip() for one in named.split(",") if one.strip()]
    known = {one.group for one in registry}
    for group in asked:
        if group not in known:
            names = ", ".join(sorted(known))
            raise WrongParameters({"groups": f"there is no group {group[:32]}; there are {names}"})
    return frozenset(asked) or None


def search(registry: Registry, words: str) -> list[Operation[Any]]:
    """Operations in which every word stands, those first where it counts most; all for no word.

    A word stands wherever another begins with it.
    """
    wanted = _WORD.findall(words.lower())
    counted = [(_count(one, wanted), one) for one in registry]
    fitting = [(count, one) for count, one in counted if count is not None]
    return [one for _, one in sorted(fitting, key=lambda pair: -pair[0])]


def _count(operation: Operation[Any], wanted: list[str]) -> int | None:
    places = [
        _WORD.findall(text.lower())
        for text in (operation.name.replace("_", " "), operation.title, operation.description)
    ]
    total = 0
    for word in wanted:
        best = max(
            (
                worth * 2 if word in place else worth
                for worth, place in zip(_COUNTS, places, strict=True)
                if any(one.startswith(word) for one in place)
            ),
            default=None,
        )
        if best is None:
            return None
        total += best
    return total


def _told(operation: Operation[Any]) -> Operating:
    return Operating(
        name=operation.name,
        title=operation.title,
        description=operation.description,
        group=operation.group,
        scope=operation.scope,
        writes=operation.writes,
        parameters=operation.parameters.model_json_schema(),
    )
