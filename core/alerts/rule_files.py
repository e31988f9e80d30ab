"""Alert rules as YAML files: read with faults that name file, line, rule and field; written exactly.

rules:
  - name: Crowded longs
    expression: funding_rate_8h > 0.0005 and long_account_share > 0.6
    for: 2h
    channels: [desk]

Channels are written by their names, because their ids are others on every installation; files with
ids are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml

from core.alerts.definition import (
    RuleDefinition,
    definition_faults,
    parse_definition,
    taken_name,
    to_body,
)
from core.alerts.expression import compile_rule
from core.alerts.markets import doubt_market, doubt_markets
from core.errors import RuleError

# What 500 rules with every text as long as it may be, or with 500 markets each, are as a file.
MOST_MEGABYTES = 10
_MOST_VALUES = 300_000
MOST_RULES = 1_000
_DEEPEST = 20
# Numbers in base 60, as 22:00 is one, take time with the square of their length, and keys beyond 61 bits
# can be chosen so that all of them fall into one place of a table.
_LONG_NUMBER = re.compile(
    r"[-+]?(?:[0-9_]{20,}|0x[0-9a-fA-F_]{17,}|0b[01_]{63,}|(?=.{20})[0-9_.\s]*:[0-9_.:\s]*)",
    re.DOTALL,
)
# The parser in C reads a file in a tenth of the time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOP = {"rules"}
# What a file leaves out is what a new rule has.
_DEFAULTS = RuleDefinition(name="-", expression="-").body_without("name", "expression")


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
    """A file cannot be taken as it is; ``faults`` are all that was found, ``warnings`` what is odd."""

    def __init__(self, faults: Sequence[Fault], warnings: Sequence[Fault] = ()) -> None:
        self.faults, self.warnings = tuple(faults), tuple(warnings)
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
    if len(text) > MOST_MEGABYTES * 1_000_000:
        raise FileRefused([Fault(file, 1, "", f"the file is larger than {MOST_MEGABYTES} MB")])
    try:
        _refuse_traps(text, file)
        loader = _Loader(text)
        node = loader.get_single_node()
        body = None if node is None else loader.construct_document(node)
    except FileRefused:
        raise
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

    The parser takes time with the square of the depth, and a while for very many values, so this stops
    it there.
    """
    depth = values = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            said = "references (*name) are not allowed: write the value out"
            raise FileRefused([Fault(file, line, "", said)])
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            said = f"lists and mappings stand in each other more than {_DEEPEST} deep"
            raise FileRefused([Fault(file, line, "", said)])
        if isinstance(event, yaml.ScalarEvent) and _LONG_NUMBER.fullmatch(event.value.strip()):
            raise FileRefused([Fault(file, line, "", "this number is too long")])
        values += isinstance(event, yaml.NodeEvent)
        if values > _MOST_VALUES:
            said = f"there are more than {_MOST_VALUES:,} values up to here: divide the file"
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


Further = Callable[[Mapping[str, Any]], Mapping[str, str]]


@dataclass(frozen=True)
class Here:
    """What rules of a file are held against beside their definition.

    ``channels`` are the names of the shared channels by id; None where nobody could look, and then what
    a channel that has only a name is left out. ``further`` are faults of a rule by field. ``names``
    are those of the rules that are here, ``markets`` the symbols that are known; none where nobody
    could look.
    """

    channels: Mapping[int, str] | None = None
    further: Further = lambda _: {}
    names: Collection[str] = ()
    markets: Collection[str] = ()


@dataclass
class RuleFile:
    """The rules of a file in its order, what is wrong with it, and what is odd and forbids nothing.

    ``asks_for_channels``: whether a rule names any.
    """

    rules: list[RuleDefinition] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    asks_for_channels: bool = False


_NOBODY_ASKED = Here()


def load_rules(text: str, file: str = "rules.yaml") -> list[RuleDefinition]:
    """The rules of a file, without channels that have only a name. Raises `FileRefused` with everything that is wrong."""
    return read_rules(text, file).rules


def read_rules(text: str, file: str = "rules.yaml", here: Here = _NOBODY_ASKED) -> RuleFile:
    """A file of rules. Raises `FileRefused` with everything that is wrong."""
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
    if len(body["rules"]) > MOST_RULES:
        said = f"a file has {MOST_RULES:,} rules at most; here are {len(body['rules']):,}"
        raise FileRefused([*faults, document.fault(("rules",), "", said)])
    found = rules_of(document, body["rules"], ("rules",), here)
    if faults or found.faults:
        raise FileRefused([*faults, *found.faults], found.warnings)
    return found


def rules_of(
    document: Document,
    bodies: Sequence[Any],
    path: tuple[object, ...],
    here: Here = _NOBODY_ASKED,
) -> RuleFile:
    """The rules of a list that stands at ``path``, and what is wrong with them."""
    found = RuleFile()
    seen: set[str] = set()
    for number, body in enumerate(bodies):
        place = (*path, number)
        if not isinstance(body, dict):
            said = "must be a rule with name: and expression:"
            found.faults.append(document.fault(place, f"rule {number + 1}", said))
            continue
        named = body.get("name")
        rule = f"rule {named!r}" if isinstance(named, str) and named else f"rule {number + 1}"
        wrong, read = _rule_faults(body, here)
        found.asks_for_channels |= bool(body.get("channels"))
        for key, said in wrong.items():
            where = f"{rule}, {key.split('.')[0] if key.startswith('channels') else key}"
            found.faults.append(document.fault((*place, *_path(key)), where, said))
        for key, said in _doubts(read, here.markets):
            field = key.partition(".")[0]
            found.warnings.append(
                document.fault((*place, *_path(key)), f"{rule}, {field}", f"warning: {said}")
            )
        if not wrong:
            definition = parse_definition(read)
            if said := _name_fault(definition.name, seen, here.names):
                found.faults.append(document.fault((*place, "name"), rule, said))
            seen.add(definition.name)
            found.rules.append(definition)
    return found


def _name_fault(name: str, seen: Collection[str], here: Collection[str]) -> str:
    """What is wrong with the name of a rule after those ``seen`` in the file; it may stand for one here."""
    if name in seen:
        return "this name stands twice"
    return "" if name in here else taken_name(name, [*here, *seen])


def _rule_faults(body: Mapping[Any, Any], here: Here) -> tuple[dict[str, str], dict[str, Any]]:
    """What is wrong with a rule by field, and the rule with the ids of its channels."""
    read = {str(key): value for key, value in body.items()}
    wrong: dict[str, str] = {}
    if isinstance(read.get("channels"), list):
        read["channels"], wrong = _channel_ids(read["channels"], here.channels)
    wrong |= definition_faults(read)
    for key, said in here.further(read).items():
        wrong.setdefault(key, said)
    return wrong, read


def _channel_ids(
    asked: Sequence[Any], channels: Mapping[int, str] | None
) -> tuple[list[Any], dict[str, str]]:
    """The ids of channels that are asked for by name or by id, and what is wrong by place."""
    if channels is None:
        return [one for one in asked if not isinstance(one, str)], {}
    ids: list[Any] = []
    wrong: dict[str, str] = {}
    for number, one in enumerate(asked):
        if not isinstance(one, int | str) or isinstance(one, bool):
            wrong[f"channels.{number}"] = "a channel is written by its name"
            continue
        meant = [
            id
            for id, name in channels.items()
            if (id == one if isinstance(one, int) else name.casefold() == one.casefold())
        ]
        ids += meant[:1]
        if len(meant) != 1:
            said = _two_channels(one, len(meant)) if meant else _no_channel(one, channels)
            wrong[f"channels.{number}"] = said
    return ids, wrong


def _no_channel(asked: str | int, channels: Mapping[int, str]) -> str:
    """
    >>> _no_channel("dsk", {3: "desk", 5: "ops"})
    "there is no shared channel 'dsk' here; did you mean 'desk'? There are 'desk', 'ops'"
    >>> _no_channel(7, {})
    'there is no shared channel 7 here; make it on the Alerts page, or leave it out'
    """
    said = f"there is no shared channel {asked!r} here; "
    known = ", ".join(repr(name) for name in channels.values())
    near = get_close_matches(str(asked), channels.values(), n=1) if isinstance(asked, str) else []
    if near:
        return f"{said}did you mean {near[0]!r}? There are {known}"
    there = f"there are {known}: write one of these, " if known else ""
    return f"{said}{there}make it on the Alerts page, or leave it out"


def _two_channels(asked: str | int, number: int) -> str:
    return f"{number} shared channels are called {asked!r}; rename one of them on the Alerts page"


def _path(key: str) -> Iterator[object]:
    """The way to a field in the file; places of a list are numbers."""
    return (int(part) if part.isdecimal() else part for part in key.split("."))


def _doubts(body: Mapping[str, Any], markets: Collection[str]) -> Iterator[tuple[str, str]]:
    """What is odd about a rule, by field, as far as it can be read."""
    text = body.get("expression")
    if isinstance(text, str):
        try:
            odd = compile_rule(text.strip()).doubts + doubt_markets(text.strip(), markets)
        except RuleError:
            odd = ()
        yield from (("expression", str(doubt)) for doubt in odd)
    symbols = body.get("symbols")
    for number, symbol in enumerate(symbols if isinstance(symbols, list) else []):
        if said := doubt_market(str(symbol).strip().upper(), markets):
            yield f"symbols.{number}", said


def dump_rules(
    definitions: Iterable[RuleDefinition], channels: Mapping[int, str] | None = None
) -> str:
    """The rules as a file that is read as the same; fields that say nothing are left out.

    With ``channels``, the names of the shared ones by id, rules name them, so that the file can be read
    where they have other ids. One that is gone has no name: it is left out, and a remark says so.

    >>> hot = RuleDefinition(name="Hot", expression="score > 60", for_="90m", channels=[3, 4])
    >>> print(dump_rules([hot], {3: "desk"}))
    # Hot: channel 4 is gone and left out.
    rules:
    - name: Hot
      expression: score > 60
      for: 1h30m
      channels:
      - desk
    <BLANKLINE>
    """
    bodies, remarks = [], []
    for each in definitions:
        body = to_body(each)
        if channels is not None:
            gone = [one for one in body["channels"] if one not in channels]
            remarks += [f"# {each.name}: channel {one} is gone and left out.\n" for one in gone]
            body["channels"] = [channels[one] for one in body["channels"] if one in channels]
        bodies.append({key: value for key, value in body.items() if value != _DEFAULTS.get(key)})
    return "".join(remarks) + yaml.dump(
        {"rules": bodies}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


class _Dumper(yaml.SafeDumper):
    """Writes every text so that it is read as the same."""


def _written(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Unquoted or in single quotes, these count as line breaks and would be read as spaces.
    style = '"' if any(each in text for each in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _written)
