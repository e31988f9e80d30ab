"""From a parsed rule to the tree that is evaluated: every node known, typed and of its unit.

The tree that comes out holds only names, numbers, + - * /, minus, and, or, not, comparisons of
numbers, if-else and calls of the registry: texts have become numbers, windows hours.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, NoReturn

from core.alerts import functions, names
from core.alerts.doubts import (
    Doubt,
    Side,
    doubt_comparison,
    doubt_conflict,
    doubt_name,
    doubt_rule,
)
from core.alerts.functions import Function
from core.alerts.names import Name
from core.alerts.ranges import ANYTHING, Bound, Range, bound_of, conflict, settled
from core.alerts.reading import Reader, cut, is_quoted
from core.alerts.scanning import did_you_mean, scan
from core.alerts.tree import (
    KINDS,
    Kind,
    Piece,
    called,
    column,
    compared,
    joined,
    keyed,
    negated,
    number,
    one_of,
    unit_of,
)
from core.errors import RuleError

MOST_NODES = 200
MOST_DEPTH = 20
LARGEST_NUMBER = 1e15


@dataclass(frozen=True)
class Part:
    """A piece of a rule that has a value worth showing: where it stands, what it is, its unit."""

    start: int
    end: int
    kind: Kind
    unit: str
    title: str
    texts: Mapping[float, str]
    node: ast.expr = field(compare=False, repr=False)


@dataclass(frozen=True)
class Checked:
    """A rule that is allowed. ``holds`` is True where it is seen to be true whenever it is known,
    False where it is seen never to be; ``doubts`` say why, and what else is odd."""

    root: ast.expr
    key: str
    names: tuple[str, ...]
    functions: tuple[str, ...]
    columns: tuple[str, ...]
    parts: tuple[Part, ...]
    holds: bool | None
    doubts: tuple[Doubt, ...]


def check(text: str) -> Checked:
    """The tree of a rule's text. Raises `RuleError` with the place and a hint."""
    return _Checker(scan(text)).checked()


def doubts_before(text: str) -> tuple[Doubt, ...]:
    """What is odd about a rule up to where it is refused.

    >>> [doubt.start for doubt in doubts_before("coverage > 60 and scor > 60")]
    [0]
    """
    try:
        checker = _Checker(scan(text))
    except RuleError:
        return ()
    try:
        return checker.checked().doubts
    except RuleError:
        return checker.doubts


class _Checker:
    def __init__(self, text: str) -> None:
        self._reader = Reader(text)
        self._names: dict[str, None] = {}
        self._functions: dict[str, None] = {}
        self._columns: dict[str, None] = {}
        self._parts: list[Part] = []
        self._doubts: dict[tuple[int, int], Doubt] = {}

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        return tuple(sorted(self._doubts.values(), key=lambda doubt: (doubt.start, -doubt.end)))

    def checked(self) -> Checked:
        tree = self._reader.parse()
        self._measure(tree)
        piece = self._check(tree)
        if piece.kind != "truth":
            self._refuse(
                f"A rule is a condition, and this is {KINDS[piece.kind]}.",
                tree,
                "Compare it with something: score > 60.",
            )
        if piece.holds is not None and not self._doubts:
            self._doubt(doubt_rule(piece.holds, self._reader.span(tree)))
        return Checked(
            piece.node,
            piece.node.key,
            tuple(self._names),
            tuple(self._functions),
            tuple(self._columns),
            tuple(sorted(self._parts, key=lambda part: (part.start, -part.end))),
            piece.holds,
            self.doubts,
        )

    def _measure(self, tree: ast.expr) -> None:
        """Refuse too many nodes and too much depth, without recursion."""
        level: list[ast.AST] = [tree]
        nodes, depth = 0, 0
        while level:
            depth += 1
            nodes += len(level)
            if depth > MOST_DEPTH:
                self._refuse(
                    f"The rule is nested more than {MOST_DEPTH} deep.",
                    level[0],
                    "Long sums count too: use avg, max or count, or make two rules of it.",
                )
            if nodes > MOST_NODES:
                self._refuse(
                    f"The rule has more than {MOST_NODES} parts.",
                    level[0],
                    "Make two rules of it.",
                )
            level = [
                child
                for node in level
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.expr | ast.keyword | ast.comprehension)
            ]

    # Nodes.

    def _check(self, node: ast.expr) -> Piece:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._name(node)
            case ast.UnaryOp():
                return self._unary(node)
            case ast.BinOp():
                return self._binary(node)
            case ast.BoolOp():
                return self._junction(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.IfExp():
                return self._choice(node)
            case ast.Call():
                return self._call(node)
            case ast.Tuple():
                reason, hint = (
                    "A list stands only after in.",
                    'Write symbol in ("BTCUSDT", "ETHUSDT").',
                )
            case _:
                reason, hint = "This is not of the language of rules.", "Write one condition."
        return self._refuse(reason, node, hint)

    def _constant(self, node: ast.Constant) -> Piece:
        if isinstance(node.value, str):
            return Piece(node, "text")
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            self._refuse("This is no number.", node, "Write a number such as 60 or 0.0005.")
        if not abs(node.value) <= LARGEST_NUMBER:
            self._refuse("This number is too large.", node, f"Write at most {LARGEST_NUMBER:.0e}.")
        return number(float(node.value), node)

    def _name(self, node: ast.Name) -> Piece:
        name = names.BY_NAME.get(node.id)
        if name is None:
            if node.id in functions.BY_NAME:
                self._refuse(
                    f"{node.id} is a function.",
                    node,
                    f"Write {functions.BY_NAME[node.id].signature}.",
                )
            self._refuse(
                f"There is no {cut(node.id)}.",
                node,
                did_you_mean(node.id) or "The table of names lists what there is.",
            )
        return self._column(name, node)

    def _column(self, name: Name, source: ast.expr) -> Piece:
        self._names[name.name] = None
        self._columns |= dict.fromkeys(name.needs)
        piece = Piece(
            column(name.name, source), name.kind, name.unit, name.values or None, name.range, name
        )
        self._doubt(doubt_name(name, self._text(source), self._reader.span(source)))
        if name.kind != "symbol":
            self._show(source, piece, name.title, name.values)
        return piece

    def _unary(self, node: ast.UnaryOp) -> Piece:
        inner = self._check(node.operand)
        if isinstance(node.op, ast.Not):
            self._expect(inner, "truth", node.operand, "not turns a condition around")
            turned = None if inner.holds is None else not inner.holds
            return Piece(negated(inner.node, node), "truth", holds=turned)
        self._expect(inner, "number", node.operand, "a sign stands before a number")
        if inner.is_fixed:
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            return number(sign * inner.node.value, node)
        if isinstance(node.op, ast.UAdd):
            return inner
        new = keyed(ast.UnaryOp(ast.USub(), inner.node), f"-({inner.node.key})", node)
        return Piece(new, "number", inner.unit, range=inner.range.times(-1))

    def _binary(self, node: ast.BinOp) -> Piece:
        signs: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
        sign = signs.get(type(node.op))
        if sign is None:
            self._refuse("This sign is not of the language.", node, "There are + - * and /.")
        left, right = self._check(node.left), self._check(node.right)
        for piece, source in ((left, node.left), (right, node.right)):
            self._expect(piece, "number", source, f"{sign} works on numbers")
        if left.is_fixed and right.is_fixed:
            return self._folded(sign, left.node.value, right.node.value, node)
        if sign == "/" and right.is_fixed and right.node.value == 0:
            self._refuse("Nothing can be divided by 0.", node.right, "Write another number.")
        key = f"({left.node.key} {sign} {right.node.key})"
        unit = unit_of(sign, left, right)
        new = keyed(ast.BinOp(left.node, node.op, right.node), key, node)
        return Piece(new, "number", unit, range=_range_of_binary(sign, left, right))

    def _folded(self, sign: str, a: float, b: float, node: ast.expr) -> Piece:
        if sign == "/" and b == 0:
            self._refuse("Nothing can be divided by 0.", node, "Write another number.")
        values: dict[str, Callable[[], float]] = {
            "+": lambda: a + b,
            "-": lambda: a - b,
            "*": lambda: a * b,
            "/": lambda: a / b,
        }
        value = values[sign]()
        if not abs(value) <= LARGEST_NUMBER:
            self._refuse("This number is too large.", node, f"At most {LARGEST_NUMBER:.0e}.")
        return number(value, node)

    def _junction(self, node: ast.BoolOp) -> Piece:
        word = "and" if isinstance(node.op, ast.And) else "or"
        pieces = []
        for value in node.values:
            piece = self._check(value)
            self._expect(piece, "truth", value, f"{word} joins conditions")
            pieces.append(piece)
        return self._joined(node.op, pieces, node)

    def _joined(self, op: ast.boolop, pieces: list[Piece], node: ast.expr) -> Piece:
        """Conditions joined, and what follows of each of them and of all together."""
        whole = joined(op, [piece.node for piece in pieces], node)
        decides = isinstance(op, ast.Or)
        found = [piece.holds for piece in pieces]
        if decides in found:
            return Piece(whole, "truth", holds=decides)
        if all(one is not None for one in found):
            return Piece(whole, "truth", holds=not decides)
        bounds = [bound for piece in pieces for bound in _bounds_in(piece.node, op)]
        # That one of them always holds is that never all of them fail.
        value = conflict([bound.negated for bound in bounds] if decides else bounds)
        if value is None:
            return Piece(whole, "truth")
        word = "or" if decides else "and"
        self._doubt(doubt_conflict(self._text(value), word, self._reader.span(node)))
        return Piece(whole, "truth", holds=decides)

    def _choice(self, node: ast.IfExp) -> Piece:
        test = self._check(node.test)
        self._expect(test, "truth", node.test, "after if stands a condition")
        body, other = self._check(node.body), self._check(node.orelse)
        if body.kind not in ("number", "truth"):
            self._refuse(
                "A choice is between numbers or conditions.",
                node.body,
                "Choose numbers, and compare the choice.",
            )
        self._expect(other, body.kind, node.orelse, "both sides of a choice are alike")
        key = f"({body.node.key} if {test.node.key} else {other.node.key})"
        new = keyed(ast.IfExp(test.node, body.node, other.node), key, node)
        return Piece(
            new,
            body.kind,
            body.unit if body.unit == other.unit else "",
            range=body.range.around(other.range),
            of=body.of if body.of == other.of else None,
            holds=body.holds if body.holds == other.holds else None,
        )

    # Comparisons.

    def _comparison(self, node: ast.Compare) -> Piece:
        if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            return self._membership(node)
        if any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            self._refuse("A rule cannot ask whether something is something.", node, "Write ==.")
        sources = [node.left, *node.comparators]
        pieces = [self._check(source) for source in sources]
        pairs = [
            self._pair(pieces[at], pieces[at + 1], op, sources[at], sources[at + 1])
            for at, op in enumerate(node.ops)
        ]
        piece = self._joined(ast.And(), pairs, node)
        self._show(node, piece, "")
        return piece

    def _pair(
        self, left: Piece, right: Piece, op: ast.cmpop, at_left: ast.expr, at_right: ast.expr
    ) -> Piece:
        for one, other, source in ((left, right, at_right), (right, left, at_left)):
            if other.is_quoted and not one.is_quoted:
                return Piece(self._with_text(one, other, op, source), "truth")
        if left.kind == right.kind == "text" and not left.is_quoted:
            if left.values != right.values:
                self._refuse("These two never say the same.", at_right, "Compare with a text.")
            self._only_equal(op, at_right)
            return Piece(compared(left.node, op, right.node), "truth")
        for piece, source in ((left, at_left), (right, at_right)):
            if piece.kind == "truth":
                self._refuse(
                    "A condition is not compared.", source, "Join conditions with and, or, not."
                )
            self._expect(piece, "number", source, "numbers are compared with numbers")
        if left.is_fixed and right.is_fixed:
            self._refuse(
                "This compares two fixed numbers, so it never changes.",
                at_left,
                "Put a name on one side.",
            )
        holds = self._doubt_pair(left, right, op, at_left, at_right)
        return Piece(compared(left.node, op, right.node), "truth", holds=holds)

    def _doubt_pair(
        self,
        left: Piece,
        right: Piece,
        op: ast.cmpop,
        at_left: ast.expr,
        at_right: ast.expr,
        *,
        crossing: bool = False,
    ) -> bool | None:
        """Note what is odd about comparing two numbers; whether it always or never holds."""
        sides = [
            Side(piece, self._text(source), self._reader.span(source))
            for piece, source in ((left, at_left), (right, at_right))
        ]
        whole = (sides[0].span[0], sides[1].span[1])
        self._doubt(doubt_comparison(sides[0], op, sides[1], whole, crossing=crossing))
        return settled(left.range, op, right.range)

    def _with_text(self, piece: Piece, text: Piece, op: ast.cmpop, source: ast.expr) -> Any:
        if piece.kind == "symbol":
            self._only_equal(op, source)
            found = one_of([self._reader.symbol(text.node.value, source)], source)
            return negated(found, source) if isinstance(op, ast.NotEq) else found
        code = self._reader.code(piece, text.node.value, source)
        self._only_equal(op, source)
        return compared(piece.node, op, number(code, source).node)

    def _only_equal(self, op: ast.cmpop, source: ast.expr) -> None:
        if not isinstance(op, ast.Eq | ast.NotEq):
            self._refuse("Texts have no order.", source, "Compare them with == or !=, or in.")

    def _membership(self, node: ast.Compare) -> Piece:
        listed = node.comparators[0]
        if len(node.ops) > 1:
            self._refuse("in cannot stand in a chain.", node, "Join two conditions with and.")
        if not isinstance(listed, ast.Tuple | ast.List) or not listed.elts:
            self._refuse(
                "After in stands a list in parentheses.",
                listed,
                'Write symbol in ("BTCUSDT", "ETHUSDT"), or == for a single one.',
            )
        piece = self._check(node.left)
        texts = []
        for one in listed.elts:
            if not (isinstance(one, ast.Constant) and isinstance(one.value, str)):
                self._refuse("The list after in holds texts.", one, 'Write "BTCUSDT" in quotes.')
            texts.append((one.value, one))
        if piece.kind == "symbol":
            found = one_of([self._reader.symbol(*text) for text in texts], node)
        elif piece.values is not None:
            codes = sorted({self._reader.code(piece, *text) for text in texts})
            tests = [compared(piece.node, ast.Eq(), number(c, node).node) for c in codes]
            found = joined(ast.Or(), tests, node)
        else:
            self._refuse(
                "in is for symbols, directions and verdicts.",
                node.left,
                "Compare numbers with ==, < and >.",
            )
        if isinstance(node.ops[0], ast.NotIn):
            found = negated(found, node)
        whole = Piece(found, "truth")
        self._show(node, whole, "")
        return whole

    # Calls.

    def _call(self, node: ast.Call) -> Piece:
        if not isinstance(node.func, ast.Name):
            self._refuse("Only functions of the table can be called.", node)
        function = functions.BY_NAME.get(node.func.id)
        if function is None:
            if node.func.id in names.BY_NAME:
                self._refuse(f"{node.func.id} is no function.", node, "Leave out the parentheses.")
            self._refuse(
                f"There is no function {cut(node.func.id)}.",
                node,
                did_you_mean(node.func.id) or "The table of functions lists what there is.",
            )
        if node.keywords:
            self._refuse(
                "Values are given without names.", node.keywords[0], f"Write {function.signature}."
            )
        self._count_arguments(function, node)
        self._functions[function.name] = None
        if function.way == "column":
            return self._statistic(function, node)
        piece = self._applied(function, node)
        if not piece.is_fixed:
            self._show(node, piece, function.name)
        return piece

    def _count_arguments(self, function: Function, node: ast.Call) -> None:
        given, most = len(node.args), len(function.takes)
        if function.takes == ("numbers",):
            if given >= 2 and not (given == 2 and is_quoted(node.args[1])):
                return
            other = {"min": "lowest", "max": "highest"}[function.name]
            self._refuse(
                f"{function.name} compares two or more numbers.",
                node,
                f'Write {function.signature}; over a time it is {other}(x, "4h").',
            )
        if not most - function.optional <= given <= most:
            few = "too few" if given < most else "too many"
            self._refuse(f"{function.name} has {few} values.", node, f"Write {function.signature}.")

    def _applied(self, function: Function, node: ast.Call) -> Piece:
        takes = (
            function.takes * len(node.args) if function.takes == ("numbers",) else function.takes
        )
        args: list[Any] = []
        pieces: list[Piece] = []
        for wanted, source in zip(takes, node.args, strict=False):
            if wanted == "window":
                args.append(number(self._reader.hours(source, function.least_hours), source).node)
            elif wanted == "digits":
                args.append(number(self._reader.digits(source), source).node)
            else:
                pieces.append(self._argument(function, wanted, source))
                args.append(pieces[-1].node)
        if all(piece.is_fixed for piece in pieces):
            return self._fixed_call(function, args, node)
        units = {piece.unit for piece in pieces}
        own = units.pop() if len(units) == 1 else ""
        unit = own if function.unit == "same" else function.unit
        of = pieces[0].of if len(pieces) == 1 and function.name in _KEEPING else None
        holds = None
        if function.way == "pair":
            holds = self._doubt_crossing(function, pieces, node)
        return Piece(
            called(function.name, args, node),
            function.gives,
            unit,
            range=_range_of_call(function, pieces, args),
            of=of,
            holds=holds,
        )

    def _doubt_crossing(
        self, function: Function, pieces: list[Piece], node: ast.Call
    ) -> bool | None:
        """What is never above, or never anything else, never comes to be above."""
        op = ast.Gt() if function.name == "crosses_above" else ast.Lt()
        holds = self._doubt_pair(pieces[0], pieces[1], op, *node.args, crossing=True)
        return None if holds is None else False

    def _argument(self, function: Function, wanted: str, source: ast.expr) -> Piece:
        piece = self._check(source)
        kind: Kind = "truth" if wanted == "truth" else "number"
        if wanted == "any" and piece.kind == "text" and not piece.is_quoted:
            return piece
        self._expect(piece, kind, source, f"{function.name} takes {KINDS[kind]} here")
        return piece

    def _fixed_call(self, function: Function, args: list[Any], node: ast.Call) -> Piece:
        plain: dict[str, Callable[..., float]] = {"abs": abs, "min": min, "max": max}
        if function.name not in plain:
            self._refuse(
                f"{function.name} of a fixed number never changes.",
                node,
                f"Put a name into it: {function.example}.",
            )
        return number(plain[function.name](*(arg.value for arg in args)), node)

    def _statistic(self, function: Function, node: ast.Call) -> Piece:
        name = self._reader.statistic(function.name, node.args).column
        self._columns[name] = None
        most = 1.0 if function.name == "win_rate" else inf
        piece = Piece(column(name, node), "number", function.unit, range=Range(0.0, most))
        self._show(node, piece, function.name)
        return piece

    # Words.

    def _expect(self, piece: Piece, kind: Kind, source: ast.expr, why: str) -> None:
        if piece.kind == kind:
            return
        hints = {
            "number": "Write a name or a number.",
            "truth": "Compare it with something: score > 60.",
        }
        hint = hints.get(kind, "")
        if piece.is_quoted:
            hint = 'Texts stand after == or in, and as durations: avg(x, "4h").'
        self._refuse(f"This is {KINDS[piece.kind]}, and {why}.", source, hint)

    def _text(self, source: ast.expr) -> str:
        start, end = self._reader.span(source)
        return self._reader.text[start:end]

    def _doubt(self, doubt: Doubt | None) -> None:
        """Note what is odd, once for each place."""
        if doubt is not None:
            self._doubts.setdefault((doubt.start, doubt.end), doubt)

    def _refuse(self, reason: str, source: ast.AST, hint: str = "Write one condition.") -> NoReturn:
        self._reader.refuse(reason, source, hint)

    def _show(
        self, source: ast.expr, piece: Piece, title: str, texts: Mapping[str, float] | None = None
    ) -> None:
        start, end = self._reader.span(source)
        named = {code: text for text, code in (texts or {}).items()}
        self._parts.append(Part(start, end, piece.kind, piece.unit, title, named, piece.node))


# Functions of one name whose values are still values of that name, in its unit.
_KEEPING = ("abs", "avg", "highest", "lowest", "round")


def _range_of_binary(sign: str, left: Piece, right: Piece) -> Range:
    if sign == "+":
        return left.range.plus(right.range)
    if sign == "-":
        return left.range.minus(right.range)
    if sign == "*" and (left.is_fixed or right.is_fixed):
        fixed, other = (left, right) if left.is_fixed else (right, left)
        return other.range.times(fixed.node.value)
    if sign == "/" and right.is_fixed and abs(right.node.value) >= 1 / LARGEST_NUMBER:
        return left.range.times(1 / right.node.value)
    return ANYTHING


def _range_of_call(function: Function, pieces: list[Piece], args: list[Any]) -> Range:
    """The range of what a function gives; anything where that is not plain."""
    ranges = [piece.range for piece in pieces]
    match function.name:
        case "abs":
            return ranges[0].size
        case "avg" | "highest" | "lowest":
            return ranges[0]
        case "round":
            return ranges[0].rounded
        case "min":
            return Range(min(one.low for one in ranges), min(one.high for one in ranges))
        case "max":
            return Range(max(one.low for one in ranges), max(one.high for one in ranges))
        case "change":
            return ranges[0].change
        case "std":
            return Range(0.0, ranges[0].change.high)
        case "count":
            return Range(0.0, args[1].value)
        case "rank":
            return Range(1.0, inf)
    return ANYTHING


def _bounds_in(node: Any, op: ast.boolop) -> list[Bound]:
    """What a condition says of single values, through conditions that are joined in the same way."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, type(op)):
        return [bound for value in node.values for bound in _bounds_in(value, op)]
    bound = bound_of(node)
    return [] if bound is None else [bound]
