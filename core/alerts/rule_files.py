"""Alert rules as YAML files: read with faults that name file, line, rule and field; written exactly.

rules:
  - name: Crowded longs
    expression: funding_rate_8h > 0.0005 and long_account_share > 0.6
    for: 2h
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from core.alerts.definition import RuleDefinition, definition_faults, parse_definition, to_body
from core.errors import RuleError

LONGEST_FILE = 1_000_000
_DEEPEST = 20
_TOP = {"rules"}
# What a file leaves out is what a new rule has.
_DEFAULTS = to_body(RuleDefinition(name="-", expression="-"))


@dataclass(frozen=True)
class Fault:
    """Something to put right in a file: ``line`` counts from 1."""

    file: str
    line: int
    where: str
    said: str

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}"
        return f"{place}, {self.where}: {self.said}" if self.where else f"{place}: {self.said}"


class FileRefused(RuleError):
    """A file cannot be taken as it is; ``faults`` are all that was found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, faults)))


@dataclass(frozen=True)
class Document:
    """A parsed file: plain ``body``, and the line on which each part of it stands."""

    file: str
    body: Any
    lines: Mapping[tuple[object, ...], int]

    def fault(self, path: Sequence[object], where: str, said: str) -> Fault:
        """A fault at a part of it, or at the nearest part around it that is there."""
        key = tuple(path)
        while key not in self.lines and key:
            key = key[:-1]
        return Fault(self.file, self.lines.get(key, 1), where, said)


def parse_document(text: str, file: str) -> Document:
    """A YAML file as plain data with its lines. Raises `FileRefused`.

    Anchors are refused, which could make a small file endless, and keys that stand twice, of which
    YAML silently takes the last.
    """
    if len(text) > LONGEST_FILE:
        raise FileRefused([Fault(file, 1, "", "the file is larger than 1 MB")])
    try:
        _refuse_traps(text, file)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        body = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FileRefused([_yaml_fault(error, file)]) from error
    except (ValueError, RecursionError) as error:
        raise FileRefused([Fault(file, 1, "", f"is no YAML that can be read: {error}")]) from error
    lines: dict[tuple[object, ...], int] = {}
    faults: list[Fault] = []
    if node is not None:
        _walk(node, (), lines, faults, file)
    if faults:
        raise FileRefused(faults)
    return Document(file, body, lines)


def _refuse_traps(text: str, file: str) -> None:
    """Raise `FileRefused` at the first reference, or where lists stand in lists without end.

    The parser takes time with the square of the depth, so this stops it there.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            said = "references (*name) are not allowed: write the value out"
            raise FileRefused([Fault(file, line, "", said)])
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            said = f"lists and mappings stand in each other more than {_DEEPEST} deep"
            raise FileRefused([Fault(file, line, "", said)])


def _yaml_fault(error: yaml.YAMLError, file: str) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    return Fault(file, 1 if mark is None else mark.line + 1, "", f"is no YAML: {said}")


def _walk(
    node: yaml.Node,
    path: tuple[object, ...],
    lines: dict[tuple[object, ...], int],
    faults: list[Fault],
    file: str,
) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for number, each in enumerate(node.value):
            _walk(each, (*path, number), lines, faults, file)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, key.value if isinstance(key, yaml.ScalarNode) else "?")
            if inner in lines:
                line = key.start_mark.line + 1
                faults.append(Fault(file, line, "", f"{inner[-1]} stands twice"))
            _walk(value, inner, lines, faults, file)
            lines[inner] = key.start_mark.line + 1


def load_rules(text: str, file: str = "rules.yaml") -> list[RuleDefinition]:
    """The rules of a file, in its order. Raises `FileRefused` with everything that is wrong."""
    document = parse_document(text, file)
    body = document.body
    if not isinstance(body, dict):
        raise FileRefused([document.fault((), "", "must begin with rules:")])
    faults = [
        document.fault((key,), "", f"{key} is not known here; a file has rules:")
        for key in body
        if key not in _TOP
    ]
    if not isinstance(body.get("rules"), list):
        faults.append(document.fault(("rules",), "", "rules must be a list of rules"))
        raise FileRefused(faults)
    definitions, found = rules_of(document, body["rules"], ("rules",))
    if faults or found:
        raise FileRefused([*faults, *found])
    return definitions


def rules_of(
    document: Document, bodies: Sequence[Any], path: tuple[object, ...]
) -> tuple[list[RuleDefinition], list[Fault]]:
    """The rules of a list that stands at ``path``, and what is wrong with them."""
    definitions: list[RuleDefinition] = []
    faults: list[Fault] = []
    seen: set[str] = set()
    for number, body in enumerate(bodies):
        place = (*path, number)
        if not isinstance(body, dict):
            said = "must be a rule with name: and expression:"
            faults.append(document.fault(place, f"rule {number + 1}", said))
            continue
        named = body.get("name")
        rule = f"rule {named!r}" if isinstance(named, str) and named else f"rule {number + 1}"
        wrong = definition_faults({str(key): value for key, value in body.items()})
        for field, said in wrong.items():
            faults.append(document.fault((*place, *field.split(".")), f"{rule}, {field}", said))
        if not wrong:
            definition = parse_definition(body)
            if definition.name in seen:
                faults.append(document.fault((*place, "name"), rule, "this name stands twice"))
            seen.add(definition.name)
            definitions.append(definition)
    return definitions, faults


def dump_rules(definitions: Iterable[RuleDefinition]) -> str:
    """The rules as a file that `load_rules` reads as the same; fields that say nothing are left out.

    >>> print(dump_rules([RuleDefinition(name="Hot", expression="score > 60", for_="90m")]))
    rules:
    - name: Hot
      expression: score > 60
      for: 1h30m
    <BLANKLINE>
    """
    bodies = [
        {key: value for key, value in to_body(each).items() if value != _DEFAULTS[key]}
        for each in definitions
    ]
    return yaml.dump(
        {"rules": bodies}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


class _Dumper(yaml.SafeDumper):
    """Writes every text so that it is read as the same."""


def _written(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Unquoted or in single quotes, these count as line breaks and would be read as spaces.
    style = '"' if any(each in text for each in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _written)
