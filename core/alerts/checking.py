"""From a parsed rule to the tree that is evaluated: every node known, typed and of its unit.

The tree that comes out holds only names, numbers, + - * /, minus, and, or, not, comparisons of
numbers, if-else and calls of the registry: texts have become numbers, windows hours.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from core.alerts import functions, names
from core.alerts.functions import MOST_DAYS, MOST_DIGITS, MOST_HOURS, Function
from core.alerts.names import Name, Statistic
from core.alerts.scanning import did_you_mean, scan
from core.errors import RuleError
from core.outcomes import HORIZONS
from core.verdicts import VERDICTS

MOST_NODES = 200
MOST_DEPTH = 20
LARGEST_NUMBER = 1e15

Kind = Literal["number", "truth", "text", "symbol"]
_KINDS = {"number": "a number", "truth": "a condition", "text": "a text", "symbol": "a symbol"}
_WINDOW = re.compile(r"([1-9][0-9]{0,4})([hd])")
_SYMBOL_IN = "symbol_in"


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
    """A rule that is allowed."""

    text: str
    root: ast.expr
    key: str
    names: tuple[str, ...]
    functions: tuple[str, ...]
    columns: tuple[str, ...]
    parts: tuple[Part, ...]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a piece of the rule begins and ends in its text."""
        return _span(self.text, node)


@dataclass(frozen=True)
class _Piece:
    """A checked node with its type. ``values`` are the texts that it may be compared with."""

    node: Any
    kind: Kind
    unit: str = ""
    values: Mapping[str, float] | None = None

    @property
    def is_fixed(self) -> bool:
        return isinstance(self.node, ast.Constant)


def check(text: str) -> Checked:
    """The tree of a rule's text. Raises `RuleError` with the place and a hint."""
    return _Checker(scan(text)).checked()


class _Checker:
    def __init__(self, text: str) -> None:
        self._text = text
        self._names: dict[str, None] = {}
        self._functions: dict[str, None] = {}
        self._columns: dict[str, None] = {}
        self._parts: list[Part] = []

    def checked(self) -> Checked:
        tree = self._parse()
        self._measure(tree)
        piece = self._check(tree)
        if piece.kind != "truth":
            self._refuse(
                f"A rule is a condition, and this is {_KINDS[piece.kind]}.",
                tree,
                "Compare it with something: score > 60.",
            )
        return Checked(
            self._text,
            piece.node,
            piece.node.key,
            tuple(self._names),
            tuple(self._functions),
            tuple(self._columns),
            tuple(sorted(self._parts, key=lambda part: (part.start, -part.end))),
        )

    def _parse(self) -> ast.expr:
        text = self._text.strip(" ")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(text, mode="eval").body
        except SyntaxError as error:
            blanks = len(self._text) - len(self._text.lstrip(" "))
            at_end = not error.offset or (error.lineno or 1) > 1
            place = blanks + (len(text) if at_end else min(error.offset or 0, len(text) + 1) - 1)
            raise RuleError(
                "The rule is not complete, or a sign is out of place here.",
                position=place,
                hint=_after_syntax_error(text),
            ) from None
        except (ValueError, MemoryError, RecursionError):
            raise RuleError(
                "The rule is nested too deeply to be read.", position=0, hint="Make it simpler."
            ) from None

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

    def _check(self, node: ast.expr) -> _Piece:
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
                return self._joined(node)
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

    def _constant(self, node: ast.Constant) -> _Piece:
        if isinstance(node.value, str):
            return _Piece(node, "text")
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            self._refuse("This is no number.", node, "Write a number such as 60 or 0.0005.")
        if not abs(node.value) <= LARGEST_NUMBER:
            self._refuse("This number is too large.", node, f"Write at most {LARGEST_NUMBER:.0e}.")
        return self._number(float(node.value), node)

    def _number(self, value: float, source: ast.expr) -> _Piece:
        return _Piece(_keyed(ast.Constant(value), repr(value), source), "number")

    def _name(self, node: ast.Name) -> _Piece:
        name = names.BY_NAME.get(node.id)
        if name is None:
            if node.id in functions.BY_NAME:
                self._refuse(
                    f"{node.id} is a function.",
                    node,
                    f"Write {functions.BY_NAME[node.id].signature}.",
                )
            self._refuse(
                f"There is no {_cut(node.id)}.",
                node,
                did_you_mean(node.id) or "The table of names lists what there is.",
            )
        return self._column(name, node)

    def _column(self, name: Name, source: ast.expr) -> _Piece:
        self._names[name.name] = None
        self._columns |= dict.fromkeys(name.needs)
        new = _keyed(ast.Name(name.name, ast.Load()), name.name, source)
        values = name.values or None
        piece = _Piece(new, name.kind, name.unit, values)
        if name.kind != "symbol":
            self._show(source, piece, name.title, name.values)
        return piece

    def _unary(self, node: ast.UnaryOp) -> _Piece:
        inner = self._check(node.operand)
        if isinstance(node.op, ast.Not):
            self._expect(inner, "truth", node.operand, "not turns a condition around")
            return _Piece(
                _keyed(ast.UnaryOp(ast.Not(), inner.node), f"not ({inner.node.key})", node), "truth"
            )
        self._expect(inner, "number", node.operand, "a sign stands before a number")
        if inner.is_fixed:
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            return self._number(sign * inner.node.value, node)
        if isinstance(node.op, ast.UAdd):
            return inner
        new = _keyed(ast.UnaryOp(ast.USub(), inner.node), f"-({inner.node.key})", node)
        return _Piece(new, "number", inner.unit)

    def _binary(self, node: ast.BinOp) -> _Piece:
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
        unit = _unit_of(sign, left, right)
        return _Piece(_keyed(ast.BinOp(left.node, node.op, right.node), key, node), "number", unit)

    def _folded(self, sign: str, a: float, b: float, node: ast.expr) -> _Piece:
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
        return self._number(value, node)

    def _joined(self, node: ast.BoolOp) -> _Piece:
        word = "and" if isinstance(node.op, ast.And) else "or"
        pieces = []
        for value in node.values:
            piece = self._check(value)
            self._expect(piece, "truth", value, f"{word} joins conditions")
            pieces.append(piece)
        return _Piece(_joined(node.op, [piece.node for piece in pieces], node), "truth")

    def _choice(self, node: ast.IfExp) -> _Piece:
        test = self._check(node.test)
        self._expect(test, "truth", node.test, "after if stands a condition")
        body, other = self._check(node.body), self._check(node.orelse)
        if body.kind not in ("number", "truth"):
            self._refuse("A choice is between numbers or conditions.", node.body, "")
        self._expect(other, body.kind, node.orelse, "both sides of a choice are alike")
        key = f"({body.node.key} if {test.node.key} else {other.node.key})"
        new = _keyed(ast.IfExp(test.node, body.node, other.node), key, node)
        return _Piece(new, body.kind, body.unit if body.unit == other.unit else "")

    # Comparisons.

    def _comparison(self, node: ast.Compare) -> _Piece:
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
        new = pairs[0] if len(pairs) == 1 else _joined(ast.And(), pairs, node)
        piece = _Piece(new, "truth")
        self._show(node, piece, "")
        return piece

    def _pair(
        self, left: _Piece, right: _Piece, op: ast.cmpop, at_left: ast.expr, at_right: ast.expr
    ) -> Any:
        for one, other, source in ((left, right, at_right), (right, left, at_left)):
            if _is_text(other) and not _is_text(one):
                return self._with_text(one, other, op, source)
        if left.kind == right.kind == "text" and not _is_text(left):
            if left.values != right.values:
                self._refuse("These two never say the same.", at_right, "Compare with a text.")
            self._only_equal(op, at_right)
            return _compared(left.node, op, right.node)
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
        return _compared(left.node, op, right.node)

    def _with_text(self, piece: _Piece, text: _Piece, op: ast.cmpop, source: ast.expr) -> Any:
        if piece.kind == "symbol":
            self._only_equal(op, source)
            found = self._symbols([self._symbol(text.node.value, source)], source)
            return _negated(found, source) if isinstance(op, ast.NotEq) else found
        code = self._code(piece, text.node.value, source)
        self._only_equal(op, source)
        return _compared(piece.node, op, self._number(code, source).node)

    def _only_equal(self, op: ast.cmpop, source: ast.expr) -> None:
        if not isinstance(op, ast.Eq | ast.NotEq):
            self._refuse("Texts have no order.", source, "Compare them with == or !=, or in.")

    def _code(self, piece: _Piece, text: str, source: ast.expr) -> float:
        """The number that stands for a text of this name."""
        if piece.values is None:
            self._refuse(f'"{_cut(text)}" is compared with a number.', source, "Write a number.")
        if text not in piece.values:
            raise self._wrong_text(text, tuple(piece.values), source)
        return piece.values[text]

    def _wrong_text(self, text: str, allowed: Sequence[str], source: ast.expr) -> RuleError:
        alike = [one for one in allowed if one.lower() == text.strip().lower()]
        alike = alike or _alike(text.upper(), allowed)
        hint = f'Did you mean "{alike[0]}"?' if alike else f"There are {', '.join(allowed)}."
        reason = f'"{_cut(text)}" is not one of its values.'
        return RuleError(reason, position=self._place(source), hint=hint)

    def _symbol(self, text: str, source: ast.expr) -> str:
        if not text or len(text) > 40 or not all(c.isalnum() or c in "-_" for c in text):
            self._refuse(f'"{_cut(text)}" is no symbol.', source, 'Write one such as "BTCUSDT".')
        if text != text.upper():
            self._refuse(
                f'"{_cut(text)}" is no symbol: they are written in capitals.',
                source,
                f'Did you mean "{text.upper()}"?',
            )
        return text

    def _symbols(self, wanted: list[str], source: ast.expr) -> Any:
        chosen = sorted(set(wanted))
        args: list[ast.expr] = [ast.Constant(symbol) for symbol in chosen]
        call = ast.Call(ast.Name(_SYMBOL_IN, ast.Load()), args, [])
        return _keyed(call, f"symbol in {chosen}", source)

    def _membership(self, node: ast.Compare) -> _Piece:
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
            found = self._symbols([self._symbol(*text) for text in texts], node)
        elif piece.values is not None:
            codes = sorted({self._code(piece, *text) for text in texts})
            tests = [_compared(piece.node, ast.Eq(), self._number(c, node).node) for c in codes]
            found = tests[0] if len(tests) == 1 else _joined(ast.Or(), tests, node)
        else:
            self._refuse(
                "in is for symbols, directions and verdicts.",
                node.left,
                "Compare numbers with ==, < and >.",
            )
        if isinstance(node.ops[0], ast.NotIn):
            found = _negated(found, node)
        whole = _Piece(found, "truth")
        self._show(node, whole, "")
        return whole

    # Calls.

    def _call(self, node: ast.Call) -> _Piece:
        if not isinstance(node.func, ast.Name):
            self._refuse("Only functions of the table can be called.", node, "")
        function = functions.BY_NAME.get(node.func.id)
        if function is None:
            if node.func.id in names.BY_NAME:
                self._refuse(f"{node.func.id} is no function.", node, "Leave out the parentheses.")
            self._refuse(
                f"There is no function {_cut(node.func.id)}.",
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
            if given >= 2 and not (given == 2 and _is_window(node.args[1])):
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

    def _applied(self, function: Function, node: ast.Call) -> _Piece:
        takes = (
            function.takes * len(node.args) if function.takes == ("numbers",) else function.takes
        )
        args, keys, fixed, units = [], [], True, []
        for wanted, source in zip(takes, node.args, strict=False):
            if wanted == "window":
                value: Any = float(self._hours(source, function.least_hours))
            elif wanted == "digits":
                value = float(self._digits(source))
            else:
                piece = self._check(source)
                kind: Kind = "truth" if wanted == "truth" else "number"
                if wanted == "any" and piece.kind == "text" and not piece.is_fixed:
                    kind = "text"
                self._expect(piece, kind, source, f"{function.name} takes {_KINDS[kind]} here")
                fixed = fixed and piece.is_fixed
                units.append(piece.unit)
                args.append(piece.node)
                keys.append(piece.node.key)
                continue
            args.append(_keyed(ast.Constant(value), repr(value), source))
            keys.append(repr(value))
        if fixed:
            return self._fixed_call(function, args, node)
        new = ast.Call(ast.Name(function.name, ast.Load()), args, [])
        unit = (
            (units[0] if len(set(units)) == 1 else "") if function.unit == "same" else function.unit
        )
        return _Piece(
            _keyed(new, f"{function.name}({', '.join(keys)})", node), function.gives, unit
        )

    def _fixed_call(self, function: Function, args: list[Any], node: ast.Call) -> _Piece:
        plain: dict[str, Callable[..., float]] = {"abs": abs, "min": min, "max": max}
        if function.name not in plain:
            self._refuse(
                f"{function.name} of a fixed number never changes.",
                node,
                f"Put a name into it: {function.example}.",
            )
        return self._number(plain[function.name](*(arg.value for arg in args)), node)

    def _statistic(self, function: Function, node: ast.Call) -> _Piece:
        verdict = self._quoted(node.args[0], 'such as "CONFIRM"')
        if verdict not in VERDICTS:
            raise self._wrong_text(verdict, VERDICTS, node.args[0])
        days = self._quoted(node.args[1], 'whole days such as "30d"')
        found = _WINDOW.fullmatch(days)
        if not found or found[2] != "d" or int(found[1]) > MOST_DAYS:
            self._refuse(
                "Outcomes are counted over whole days.", node.args[1],
                f'Write "1d" to "{MOST_DAYS}d".',
            )  # fmt: skip
        horizon = self._quoted(node.args[2], 'a horizon such as "4h"')
        if horizon not in HORIZONS:
            raise self._wrong_text(horizon, HORIZONS, node.args[2])
        measure: Any = function.name
        column = Statistic(measure, verdict, int(found[1]), horizon).column
        self._columns[column] = None
        piece = _Piece(_keyed(ast.Name(column, ast.Load()), column, node), "number", function.unit)
        self._show(node, piece, function.name)
        return piece

    def _quoted(self, source: ast.expr, what: str) -> str:
        if not (isinstance(source, ast.Constant) and isinstance(source.value, str)):
            self._refuse("A text in quotes belongs here.", source, f"Write {what}.")
        return source.value

    def _hours(self, source: ast.expr, least: int) -> int:
        hint = f'Write whole hours or days in quotes, "{least}h" to "{MOST_HOURS // 24}d".'
        if not (isinstance(source, ast.Constant) and isinstance(source.value, str)):
            self._refuse("A duration belongs here.", source, hint)
        found = _WINDOW.fullmatch(source.value)
        if not found:
            self._refuse(f'"{_cut(source.value)}" is no duration.', source, hint)
        hours = int(found[1]) * (24 if found[2] == "d" else 1)
        if hours > MOST_HOURS:
            self._refuse(f'"{source.value}" is longer than {MOST_HOURS // 24} days.', source, hint)
        if hours < least:
            self._refuse("One bar has no deviation.", source, hint)
        return hours

    def _digits(self, source: ast.expr) -> int:
        value = source.value if isinstance(source, ast.Constant) else None
        if type(value) is not int or not 0 <= value <= MOST_DIGITS:
            self._refuse("Decimals are a whole number.", source, f"Write 0 to {MOST_DIGITS}.")
        return value

    # Words.

    def _expect(self, piece: _Piece, kind: Kind, source: ast.expr, why: str) -> None:
        if piece.kind == kind:
            return
        hints = {
            "number": "Write a name or a number.",
            "truth": "Compare it with something: score > 60.",
        }
        hint = hints.get(kind, "")
        if _is_text(piece):
            hint = 'Texts stand after == or in, and as durations: avg(x, "4h").'
        self._refuse(f"This is {_KINDS[piece.kind]}, and {why}.", source, hint)

    def _show(
        self, source: ast.expr, piece: _Piece, title: str, texts: Mapping[str, float] | None = None
    ) -> None:
        start, end = _span(self._text, source)
        named = {code: text for text, code in (texts or {}).items()}
        self._parts.append(Part(start, end, piece.kind, piece.unit, title, named, piece.node))

    def _refuse(self, reason: str, source: ast.AST, hint: str) -> NoReturn:
        raise RuleError(reason, position=self._place(source), hint=hint or "Write one condition.")

    def _place(self, source: ast.AST) -> int:
        return _span(self._text, source)[0]


def _span(text: str, node: Any) -> tuple[int, int]:
    """Where a node begins and ends, in characters of the text; the parser counts bytes after blanks."""
    indent = len(text) - len(text.lstrip(" "))
    coded = text[indent:].encode()
    start, end = (len(coded[:at].decode()) for at in (node.col_offset, node.end_col_offset))
    return indent + start, indent + end


def _keyed(node: Any, key: str, source: ast.expr) -> Any:
    """The node with its normal form, by which equal pieces of several rules are found."""
    node.key = key
    return ast.copy_location(node, source)


def _joined(op: ast.boolop, nodes: list[Any], source: ast.expr) -> Any:
    word = " and " if isinstance(op, ast.And) else " or "
    return _keyed(ast.BoolOp(op, nodes), f"({word.join(node.key for node in nodes)})", source)


def _negated(node: Any, source: ast.expr) -> Any:
    return _keyed(ast.UnaryOp(ast.Not(), node), f"not ({node.key})", source)


_SIGNS: dict[type, str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


def _compared(left: Any, op: ast.cmpop, right: Any) -> Any:
    key = f"({left.key} {_SIGNS[type(op)]} {right.key})"
    return _keyed(ast.Compare(left, [op], [right]), key, left)


def _unit_of(sign: str, left: _Piece, right: _Piece) -> str:
    if sign in "+-":
        return (
            left.unit
            if left.unit == right.unit or right.is_fixed
            else right.unit
            if left.is_fixed
            else ""
        )
    if right.is_fixed:
        return left.unit
    if sign == "/" and left.unit and left.unit == right.unit:
        return "ratio"
    return right.unit if left.is_fixed and sign == "*" else ""


def _is_text(piece: _Piece) -> bool:
    return piece.is_fixed and piece.kind == "text"


def _is_window(source: ast.expr) -> bool:
    return isinstance(source, ast.Constant) and isinstance(source.value, str)


def _alike(text: str, allowed: Sequence[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(text, allowed, n=1, cutoff=0.5)


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."


def _after_syntax_error(text: str) -> str:
    """What is most often missing, told from the end of the text."""
    last = re.findall(r"[A-Za-z_]+|[^\sA-Za-z_]", text)[-1:]
    if last and last[0] in (
        "and",
        "or",
        "not",
        "in",
        "if",
        "else",
        "<",
        ">",
        "=",
        "+",
        "-",
        "*",
        "/",
    ):
        return f"Something must follow {last[0]}."
    if re.search(r"\bif\b", text) and not re.search(r"\belse\b", text):
        return "A choice needs both sides: a if condition else b."
    return "Write a condition such as: score > 60 and coverage >= 0.8."
