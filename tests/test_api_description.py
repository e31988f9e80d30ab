"""The description as whoever reads it by machine finds it: everything that it refers to is there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import orjson
import pytest
from pydantic import create_model

from core.api.describing import EXAMPLES, Schema, describe
from core.operations import Operation, Parameters, Registry
from core.operations.every import all_operations
from core.operations.own import own_operations
from core.operations.sources import source_operations
from core.operations.values import Result

REGISTRIES = {"own": own_operations, "all": all_operations}


@cache
def described(which: str) -> Schema:
    return describe(REGISTRIES[which](), version="1.0.0", server="/api/v1")


def references(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        if isinstance(told.get("$ref"), str):
            yield told["$ref"]
        for one in told.values():
            yield from references(one)
    elif isinstance(told, list):
        for one in told:
            yield from references(one)


def dangling(told: Schema) -> set[str]:
    there = {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    return set(references(told)) - there


def checker(told: Schema, schema: Schema) -> jsonschema_rs.Validator:
    """What holds a value against a schema of the description."""
    return jsonschema_rs.validator_for({**schema, "components": told["components"]})


def contents(told: Schema) -> Iterator[tuple[str, Schema]]:
    """What is answered with 200, by the name of the operation: its schema, and an example."""
    for path in told["paths"].values():
        for one in path.values():
            yield one["operationId"], one["responses"]["200"]["content"]["application/json"]


def answers(told: Schema) -> dict[str, Schema]:
    """The schemas of it."""
    return {name: content["schema"] for name, content in contents(told)}


@pytest.mark.parametrize("which", REGISTRIES)
def test_everything_that_the_description_refers_to_is_in_it(which: str) -> None:
    told = described(which)
    assert len(set(references(told))) > 40
    assert dangling(told) == set()


@pytest.mark.parametrize("which", REGISTRIES)
def test_every_answer_has_a_schema_that_refuses_nonsense(which: str) -> None:
    told = described(which)
    found = answers(told)
    assert found.keys() == {one.name for one in REGISTRIES[which]()} | {"invoke", "operations"}
    for name, schema in found.items():
        check = checker(told, schema)
        assert not check.is_valid({"nonsense": True}), name
        assert not check.is_valid(["nonsense"]), name


def test_every_operation_but_those_of_sources_has_an_example_of_its_answer() -> None:
    told = described("all")
    of_sources = {one.name for one in source_operations()}
    shown = {name: content for name, content in contents(told) if "example" in content}
    assert shown.keys() == answers(told).keys() - of_sources
    for name, content in shown.items():
        checker(told, content["schema"]).validate(content["example"])
        whole = "items" not in content["example"] or content["example"]["items"]
        assert whole, f"{name} shows an empty list"


def test_no_example_is_of_an_operation_that_is_none() -> None:
    known = {one.name for one in all_operations()} | {"operations"}
    assert orjson.loads(EXAMPLES.read_bytes()).keys() <= known


@pytest.mark.parametrize("which", REGISTRIES)
def test_no_two_models_of_the_description_share_a_name(which: str) -> None:
    """Pydantic would put their modules into both names, which say nothing to readers."""
    assert [name for name in described(which)["components"]["schemas"] if "__" in name] == []


def test_models_that_share_a_name_are_told_apart_all_the_same() -> None:
    registry = Registry()
    for number, (asked, given) in enumerate((_pair(int), _pair(str)), 1):
        registry.add(
            Operation(
                f"number_{number}", "One", "One.", "some", "trader", "", asked,
                lambda _context, _asked: {}, result=given, examples=({},), writes=True,
            )
        )  # fmt: skip
    told = describe(registry, version="1.0.0", server="/api/v1")
    assert dangling(told) == set()
    schemas = answers(told)
    for name, fits in (("number_1", 1), ("number_2", "a")):
        bodies = told["paths"][f"/some/{name}"]["post"]["requestBody"]["content"]
        for schema in (schemas[name], bodies["application/json"]["schema"]):
            check = checker(told, schema)
            assert [one for one in (1, "a") if check.is_valid({"value": one})] == [fits]


def _pair(kind: type) -> tuple[type[Parameters], type[Result]]:
    module = f"tests.of_{kind.__name__}"
    return (
        create_model("Asked", __base__=Parameters, __module__=module, value=(kind, ...)),
        create_model("Given", __base__=Result, __module__=module, value=(kind, ...)),
    )
