"""Jinja's sandbox, with little in it.

A template can read the variables, choose (`if`), go through lists (`for`) and use the filters below. It
cannot call anything, set anything, or build a text out of itself: whatever it says, it ends within
`LONGEST_SECONDS` and with not much more than `MOST_PART` letters.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, wraps
from time import monotonic
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.visitor import NodeTransformer
from typing_extensions import override

from core.errors import DeliveryError

LONGEST_SECONDS, MOST_TURNS, MOST_PART = 0.25, 20_000, 10_000
DEEPEST_LOOP = 2
# To compile a template takes as long as it has nodes, times how deep they are nested; these together
# have every one compiled within `LONGEST_SECONDS`.
MOST_NODES, DEEPEST = 500, 16


def number(value: object, digits: int = 6) -> str:
    """A number with so many significant digits; a dash where it is not known.

    >>> number(0.00042), number(36.2), number(1234567.0), number(None)
    ('0.00042', '36.2', '1,234,567', '-')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    if value != value:
        return "-"
    digits = _whole(digits, 1, 15)
    if 1e-6 <= abs(value) < 1e15 or value == 0:
        return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return f"{value:.{digits}g}"


def percent(value: object, digits: int = 2) -> str:
    """A fraction in percent.

    >>> percent(0.0123), percent(None)
    ('1.23 %', '-')
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return "-"
    return f"{value * 100:,.{_whole(digits, 0, 12)}f} %"


def short(value: object, letters: int = 100) -> str:
    """A text cut to so many letters.

    >>> short("BTCUSDT, ETHUSDT", 10)
    'BTCUSDT...'
    """
    text, most = str(value), _whole(letters, 4, MOST_PART)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _whole(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SecurityError("a filter wants a whole number here")
    return min(max(value, low), high)


_OWN: Mapping[str, Callable[..., Any]] = {"number": number, "percent": percent, "short": short}
# Filters of Jinja whose result is not longer than what goes in, or is bounded below.
_HUGE = 1e18
_JINJAS = (
    *("upper", "lower", "title", "capitalize", "trim", "abs", "round", "int", "float", "string"),
    *("default", "d", "length", "count", "first", "last", "min", "max", "join", "items", "list"),
    *("selectattr", "rejectattr", "map", "sort", "reverse", "unique"),
)
_TESTS = (
    *("defined", "undefined", "none", "number", "string", "boolean", "even", "odd", "in"),
    *("eq", "equalto", "==", "ne", "!=", "gt", "greaterthan", ">", "ge", ">=", "lt", "lessthan"),
    *("<", "le", "<="),
)
FILTER_NAMES = tuple(sorted((*_OWN, *_JINJAS)))
_REFUSED: Mapping[type[nodes.Node], str] = {
    nodes.Call: "calls are not possible; use a filter, such as {{ value | number(2) }}",
    nodes.CallBlock: "calls are not possible",
    nodes.Macro: "macros are not possible",
    nodes.Assign: "nothing can be set",
    nodes.AssignBlock: "nothing can be set",
    nodes.With: "nothing can be set",
    nodes.Block: "blocks are not possible",
    nodes.Extends: "no other template can be used",
    nodes.Include: "no other template can be used",
    nodes.Import: "no other template can be used",
    nodes.FromImport: "no other template can be used",
    nodes.FilterBlock: "filters work on values only, such as {{ rule | upper }}",
    nodes.Pow: "powers are not possible",
}
_OF_LOOPS = ("index", "index0", "first", "last", "length")
# Names that Jinja gives a meaning of its own.
_ITS_OWN = ("self", "caller", "varargs", "kwargs")


@dataclass
class _Allowance:
    """What a template may still use up."""

    until: float
    turns: int = MOST_TURNS

    def take(self, turns: int = 1) -> None:
        self.turns -= turns
        if self.turns < 0 or monotonic() > self.until:
            raise SecurityError("it takes too long: go through fewer things")


_allowance: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


def _counted(values: Any) -> Iterator[Any]:
    """A list that is gone through, an item at a time out of the allowance."""
    if isinstance(values, str | Mapping):
        raise SecurityError("only lists can be gone through; for the values write values | items")
    allowance = _allowance.get()
    for value in values:
        if allowance is not None:
            allowance.take()
        yield value


def _take(turns: int = 1) -> None:
    allowance = _allowance.get()
    if allowance is not None:
        allowance.take(turns)


def _bounded(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose arguments and result are of bearable length."""

    @wraps(filter_)
    def apply(*args: Any, **kwargs: Any) -> Any:
        _take()
        result = filter_(*args, **kwargs)
        if isinstance(result, str):
            return _check_length(result)
        if isinstance(result, Iterator | Iterable) and not isinstance(result, Mapping):
            return list(_counted(result))
        return result

    return apply


def _check_length(text: str) -> str:
    if len(text) > MOST_PART:
        raise SecurityError(f"a part of it is longer than {MOST_PART:,} letters")
    return text


def _round(value: Any, precision: int = 0, method: str = "common") -> float:
    """Jinja's round with digits that a number can have."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _HUGE:
        raise SecurityError("round works on numbers only")
    if method not in ("common", "ceil", "floor"):
        raise SecurityError("round knows common, ceil and floor")
    digits = _whole(precision, -15, 15)
    if method == "common":
        return round(float(value), digits)
    way = math.ceil if method == "ceil" else math.floor
    return float(way(float(value) * 10.0**digits) / 10.0**digits)


def _join(values: Any, between: str = "", attribute: str | None = None) -> str:
    """Texts of a list in one; given up before it is long."""
    parts, length = [], 0
    for value in _counted(values):
        part = str(value[attribute] if attribute is not None else value)
        length += len(part) + len(str(between))
        if length > MOST_PART:
            raise SecurityError(f"a part of it is longer than {MOST_PART:,} letters")
        parts.append(part)
    return str(between).join(parts)


class _Environment(ImmutableSandboxedEnvironment):
    """No globals, few filters, and of a value only its items."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, trim_blocks=False)
        self.globals = {}
        jinjas = {name: FILTERS[name] for name in _JINJAS} | {"join": _join, "round": _round}
        self.filters = {name: _bounded(one) for name, one in (jinjas | dict(_OWN)).items()}
        self.filters["counted"] = _counted
        self.tests = {name: TESTS[name] for name in _TESTS}

    @override
    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _OF_LOOPS:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    @override
    def getitem(self, obj: Any, argument: Any) -> Any:
        # Nearly all are dicts, and to ask what else is a mapping takes longer than the rest.
        is_mapping = type(obj) is dict or isinstance(obj, Mapping)
        if is_mapping and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list | tuple | str) and isinstance(argument, int | slice):
            try:
                return obj[argument]
            except (IndexError, ValueError):
                return self.undefined(obj=obj, name=str(argument))
        return self.undefined(obj=obj, name=str(argument))

    @override
    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for side in (left, right):
            if isinstance(side, bool) or not isinstance(side, int | float) or abs(side) > _HUGE:
                raise SecurityError(
                    f"{operator} works on numbers only; to put texts together use ~"
                )
        return super().call_binop(context, operator, left, right)


class _Counting(NodeTransformer):
    """Whatever is gone through is counted."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "counted", [], [], None, None, lineno=node.lineno)
        return node


_environment = _Environment()


def render(template: str, values: Mapping[str, Any], known: Collection[str]) -> str:
    """What a template makes of values; `DeliveryError` with line and reason where it cannot be used.

    It can name what is ``known`` and nothing else, also where it is not reached.
    """
    return _rendered(_made(template, tuple(known)), values)


@lru_cache(maxsize=2_000)
def _made(template: str, known: tuple[str, ...]) -> Template:
    """A checked template; a rule's is asked for at every message."""
    try:
        tree = _environment.parse(template)
        _check_tree(tree, known)
        return _environment.from_string(_Counting().visit(tree))
    except TemplateSyntaxError as error:
        _refuse(error.lineno, error.message or "it cannot be read")
    except RecursionError:
        raise DeliveryError("The template is nested too deeply.") from None
    except DeliveryError:
        raise
    except Exception as error:  # noqa: BLE001 - Python compiles it in the end, and has limits of its own
        _refuse(_line_in(error), f"it cannot be used: {_reason(error)}")


def _check_size(tree: nodes.Template) -> None:
    """Before anything else looks into it."""
    level: list[nodes.Node] = [tree]
    count = depth = 0
    while level:
        count, depth = count + len(level), depth + 1
        if depth > DEEPEST:
            _refuse(level[0].lineno, f"it is nested deeper than {DEEPEST} levels")
        if count > MOST_NODES:
            _refuse(level[0].lineno, f"it has more than {MOST_NODES:,} parts")
        level = [child for node in level for child in node.iter_child_nodes()]


def _check_tree(tree: nodes.Template, known: Collection[str]) -> None:
    _check_size(tree)
    for node in tree.find_all(tuple(_REFUSED)):
        _refuse(node.lineno, _REFUSED[type(node)])
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            _refuse(loop.lineno, "loops cannot call themselves")
    _check_depth(tree, 0)
    used = {one.name for one in tree.find_all(nodes.Name)}
    for name in sorted(find_undeclared_variables(tree) | used.intersection(_ITS_OWN)):
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            _refuse(_line_of(tree, name), f"there is no {name}; {hint}")
    for filter_ in tree.find_all(nodes.Filter):
        if filter_.name not in FILTER_NAMES:
            _refuse(
                filter_.lineno,
                f"there is no filter {filter_.name}; there are {', '.join(FILTER_NAMES)}",
            )
        if filter_.name == "map" and (
            filter_.args or [one.key for one in filter_.kwargs] != ["attribute"]
        ):
            _refuse(filter_.lineno, "write map(attribute='symbol')")


def _check_depth(node: nodes.Node, depth: int) -> None:
    for child in node.iter_child_nodes():
        inner = depth + isinstance(child, nodes.For)
        if inner > DEEPEST_LOOP:
            _refuse(child.lineno, f"loops go no deeper than {DEEPEST_LOOP}")
        _check_depth(child, inner)


def _line_of(tree: nodes.Template, name: str) -> int:
    return min((one.lineno for one in tree.find_all(nodes.Name) if one.name == name), default=1)


def _rendered(made: Any, values: Mapping[str, Any]) -> str:
    token = _allowance.set(_Allowance(monotonic() + LONGEST_SECONDS))
    parts: list[str] = []
    length = 0
    try:
        for part in made.generate(values):
            parts.append(part)
            length += len(part)
            if length > MOST_PART:
                break
    except Exception as error:  # noqa: BLE001 - whatever a template runs into is its own fault
        _refuse(_line_in(error), _reason(error))
    finally:
        _allowance.reset(token)
    return "".join(parts).strip()


def _line_in(error: BaseException) -> int | None:
    """Where in the template it was: Jinja puts its lines into the traceback."""
    frames = [
        one for one in traceback.extract_tb(error.__traceback__) if one.filename == "<template>"
    ]
    return frames[-1].lineno if frames else None


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _refuse(line: int | None, reason: str) -> NoReturn:
    where = "The template fails" if line is None else f"Line {line}"
    end = "" if reason.endswith("?") else "."
    raise DeliveryError(f"{where}: {reason}{end}") from None
