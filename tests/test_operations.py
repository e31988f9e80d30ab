"""The registry: what each operation says of itself, and what any list has to keep to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as any_
from pydantic import BaseModel

from core.accounts import ROLES
from core.operations import Context, Operation, Parameters, Registry, WrongParameters
from core.operations.cursors import read_cursor, write_cursor
from core.operations.own import own_operations
from core.operations.own.market import SymbolsAsked
from core.operations.own.signals import SHOWN, SORTED
from core.operations.values import Mode
from core.overview import ORDERS
from core.overview import SHOWN as ON_THE_PAGE
from core.signals import PROFILE_NAMES

OWN = list(own_operations())


def schemas(model: type[BaseModel], mode: Any) -> list[tuple[str, dict[str, Any]]]:
    """Every field of a model and of those inside it, under its name."""
    whole = model.model_json_schema(mode=mode)
    found = []
    for name, part in {model.__name__: whole, **whole.get("$defs", {})}.items():
        found += [(f"{name}.{field}", own) for field, own in part.get("properties", {}).items()]
    return found


# Those of the profile are described where it is defined, in the docs of its fields' units.
KNOWN_ELSEWHERE = ("Profile.", "Weights.", "Windows.", "Rules.")


@pytest.mark.parametrize("operation", OWN, ids=lambda one: one.name)
def test_an_operation_says_what_it_takes_and_gives(operation: Operation[Any]) -> None:
    assert operation.title
    assert operation.description.endswith(".")
    assert operation.role in ROLES
    assert operation.scope.endswith(".write") == operation.writes
    assert operation.examples, "an example shows how to ask"
    for example in operation.examples:
        operation.check(example, strict=True)
    assert operation.result is not None
    fields = [
        *schemas(operation.parameters, "validation"),
        *schemas(operation.result, "serialization"),
    ]
    silent = [
        name
        for name, schema in fields
        if not schema.get("description") and not name.startswith(KNOWN_ELSEWHERE)
    ]
    assert not silent


@pytest.mark.parametrize("operation", OWN, ids=lambda one: one.name)
def test_every_text_and_list_that_is_taken_has_an_end(operation: Operation[Any]) -> None:
    for name, schema in schemas(operation.parameters, "validation"):
        if name.startswith(KNOWN_ELSEWHERE):
            continue
        for kind in (schema, *schema.get("anyOf", ())):
            if kind.get("type") == "string" and not {"enum", "const", "format"} & set(kind):
                assert "maxLength" in kind or "pattern" in kind, name
            if kind.get("type") == "array":
                assert "maxItems" in kind, name
            if kind.get("type") in ("integer", "number"):
                assert {"maximum", "exclusiveMaximum"} & set(kind), name


def test_words_of_the_page_and_of_the_api_are_the_same_choices() -> None:
    assert set(SHOWN.values()) == set(ON_THE_PAGE)
    assert set(SORTED.values()) == set(ORDERS)
    assert get_args(Mode) == PROFILE_NAMES


class Asked(Parameters):
    number: int = 1
    limit: int = 10
    cursor: str | None = None


def operation(**changes: Any) -> Operation[Asked]:
    told: dict[str, Any] = {
        "name": "some_thing",
        "title": "Some thing",
        "description": "It does some thing.",
        "group": "things",
        "role": "trader",
        "scope": "things.read",
        "parameters": Asked,
        "run": lambda context, asked: asked.number,
    }
    return Operation(**told | changes)


@pytest.mark.parametrize(
    "changes",
    [{"name": "Some thing"}, {"scope": "things"}, {"path": "/things?"}, {}, {"name": "other"}],
)
def test_what_is_not_right_or_there_already_is_not_taken_in(changes: dict[str, str]) -> None:
    registry = Registry()
    registry.add(operation(path="/things"))
    with pytest.raises(ValueError, match=r"no name|no scope|no path|two operations"):
        registry.add(operation(**{"path": "/things"} | changes))


def test_strict_parameters_are_what_json_says_and_others_are_read_from_text() -> None:
    assert operation().check({"number": "7"}).number == 7
    with pytest.raises(WrongParameters, match="number: Input should be a valid integer"):
        operation().check({"number": "7"}, strict=True)
    with pytest.raises(WrongParameters, match="colour: Extra inputs"):
        operation().check({"colour": "red"})


def test_a_role_that_is_too_low_is_refused_by_the_operation_itself(sqlite_engine: Any) -> None:
    from core.errors import AccessDenied
    from core.market.choice import live_market
    from core.settings import load_settings

    context = Context(
        sqlite_engine, sqlite_engine, live_market(), load_settings({}), "tom", "trader",
        datetime(2025, 10, 1, tzinfo=UTC), until=0,
    )  # fmt: skip
    assert operation().answer(context, Asked(number=3)) == 3
    with pytest.raises(AccessDenied, match="needs the role admin"):
        operation(role="admin").answer(context, Asked())


@given(
    any_.tuples(any_.text(max_size=20), any_.integers(0, 2**53), any_.none() | any_.floats(0, 1)),
    any_.integers(1, 100),
)
def test_a_cursor_gives_back_its_keys_whatever_the_limit_of_the_page(
    keys: tuple[str, int, float | None], limit: int
) -> None:
    text = write_cursor("some_thing", Asked(limit=5), keys)
    found = read_cursor(
        "some_thing", Asked(limit=limit, cursor=text), text, tuple[str, int, float | None]
    )
    assert found == keys


@given(any_.integers(0, 200), any_.sampled_from("Aa0_-="))
def test_a_cursor_that_was_changed_is_refused(at: int, letter: str) -> None:
    text = write_cursor("some_thing", Asked(), ("BTCUSDT", 7))
    at %= len(text)
    changed = text[:at] + letter + text[at + 1 :]
    # The last letter holds bits that mean nothing.
    if changed.rstrip("=") == text or at == len(text) - 1:
        return
    with pytest.raises(WrongParameters, match="cursor"):
        read_cursor("some_thing", Asked(), changed, tuple[str, int])


@pytest.mark.parametrize(
    ("name", "asked"), [("other", Asked()), ("some_thing", Asked(number=2)), ("some_thing", SymbolsAsked())]
)  # fmt: skip
def test_a_cursor_of_another_question_is_refused(name: str, asked: Parameters) -> None:
    text = write_cursor("some_thing", Asked(), ("BTCUSDT", 7))
    with pytest.raises(WrongParameters, match="leave it out to begin again"):
        read_cursor(name, asked, text, tuple[str, int])
