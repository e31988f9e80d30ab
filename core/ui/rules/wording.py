"""An expression in plain words, so that its author can read back what was written."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.alerts.names import BY_NAME
from core.alerts.scanning import scan

_COMPARED: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "is below",
    ast.LtE: "is at most",
    ast.Gt: "is above",
    ast.GtE: "is at least",
    ast.Eq: "is",
    ast.NotEq: "is not",
    ast.In: "is",
    ast.NotIn: "is none of",
}
_SIGNS: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "−",
    ast.Mult: "×",
    ast.Div: "÷",
}
_CALLS: Mapping[str, str] = {
    "abs": "the size of {0}",
    "known": "{0} is known",
    "change": "the change of {0} over {1}",
    "change_percent": "the change of {0} over {1}, in percent,",
    "avg": "the mean of {0} over {1}",
    "highest": "the highest {0} of {1}",
    "lowest": "the lowest {0} of {1}",
    "std": "the standard deviation of {0} over {1}",
    "zscore": "the distance of {0} from its mean of {1}, in standard deviations,",
    "rank": "the place of {0} among all markets",
    "crosses_above": "{0} rises above {1}",
    "crosses_below": "{0} falls below {1}",
    "count": "the number of bars of {1} at which {0}",
    "win_rate": "the win rate of {0} at {2} over {1}",
    "outcome_count": "the number of finished {0} trades at {2} over {1}",
}
_UNITS = {"h": "h", "d": "days"}


@dataclass(frozen=True)
class Clause:
    """A condition in words; ``parts`` are the conditions it is joined of."""

    words: str
    parts: tuple[Clause, ...] = ()


def clauses(text: str) -> Clause:
    """The words of an expression that compiles.

    >>> clauses('score >= 62 and change(open_interest, "4h") > 0').parts[1].words
    'the change of open interest over 4 h is above 0'
    """
    return _clause(_parsed(text))


def conditions(text: str) -> list[str]:
    """The pieces that "and" joins at the top of an expression, as written; one piece for any other.

    >>> conditions('score > 60 and (coverage > 0.7 or known(close))')
    ['score > 60', '(coverage > 0.7 or known(close))']
    """
    plain = scan(text).strip()
    root = _parsed(text)
    if not (isinstance(root, ast.BoolOp) and isinstance(root.op, ast.And)):
        return [plain]
    found = []
    for value in root.values:
        piece = ast.get_source_segment(plain, value) or ""
        found.append(f"({piece})" if isinstance(value, ast.BoolOp | ast.IfExp) else piece)
    return found


def lines(parts: Sequence[Clause], depth: int = 0) -> Iterator[str]:
    """Clauses as a Markdown list, numbered as `conditions` are, with their parts indented.

    >>> list(lines(clauses("score > 60 and not (known(close) or atr > 1)").parts))
    ['1. score is above 60', '2. not: any of these:', '   - close is known', '   - ATR is above 1']
    """
    for number, part in enumerate(parts, 1):
        mark = "-" if depth else f"{number}."
        yield f"{'   ' * depth}{mark} {part.words}{':' if part.parts else ''}"
        yield from lines(part.parts, depth + 1)


def _parsed(text: str) -> ast.expr:
    return ast.parse(scan(text).strip(), mode="eval").body


def _clause(node: ast.expr) -> Clause:
    if isinstance(node, ast.BoolOp):
        joined = "all of these" if isinstance(node.op, ast.And) else "any of these"
        return Clause(joined, tuple(_clause(value) for value in node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _clause(node.operand)
        return Clause(f"not: {inner.words}", inner.parts)
    return Clause(_words(node))


def _words(node: ast.expr) -> str:
    for kind, say in _SAY.items():
        if isinstance(node, kind):
            return say(node)
    return ast.unparse(node)


def _compare(node: ast.Compare) -> str:
    left, said = node.left, []
    for operator, right in zip(node.ops, node.comparators, strict=True):
        said.append(f"{_words(left)} {_COMPARED[type(operator)]} {_words(right)}")
        left = right
    return " and ".join(said)


def _call(node: ast.Call) -> str:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    args = [_words(arg) for arg in node.args]
    if name in ("min", "max"):
        return f"the {'smallest' if name == 'min' else 'largest'} of {' and '.join(args)}"
    if name == "round":
        to = f" to {args[1]} decimals" if len(args) > 1 else ""
        return f"{args[0]} rounded{to}"
    return _CALLS[name].format(*args)


def _constant(node: ast.Constant) -> str:
    if isinstance(node.value, str):
        length, unit = node.value[:-1], node.value[-1:]
        if length.isdecimal() and unit in _UNITS:
            return f"{length} {_UNITS[unit]}"
        return node.value
    return f"{node.value:,.10g}" if isinstance(node.value, int | float) else str(node.value)


def _name(node: ast.Name) -> str:
    """A title in running text: its first letter small, unless the word is all capitals.

    ATR stays ATR.
    """
    known = BY_NAME.get(node.id)
    if known is None:
        return node.id
    head, *rest = known.title.split(" ")
    small = head if head[1:] != head[1:].lower() or len(head) == 1 else head.lower()
    said = " ".join([small, *rest])
    # Of a factor the title is what it is made of, and its numbers are others.
    return f"the factor {said}" if known.name.startswith("factor_") else said


def _sum(node: ast.BinOp) -> str:
    sides = [
        f"({_words(side)})" if isinstance(side, ast.BinOp) else _words(side)
        for side in (node.left, node.right)
    ]
    return f" {_SIGNS[type(node.op)]} ".join(sides)


def _unary(node: ast.UnaryOp) -> str:
    if isinstance(node.op, ast.Not):
        return f"not {_words(node.operand)}"
    sign = "−" if isinstance(node.op, ast.USub) else ""
    return f"{sign}{_words(node.operand)}"


def _joined(node: ast.BoolOp) -> str:
    word = " and " if isinstance(node.op, ast.And) else " or "
    return f"({word.join(_words(value) for value in node.values)})"


def _listed(node: ast.Tuple | ast.List) -> str:
    return " or ".join(_words(one) for one in node.elts)


def _choice(node: ast.IfExp) -> str:
    return f"({_words(node.body)} if {_words(node.test)}, else {_words(node.orelse)})"


_SAY: Mapping[type[ast.expr], Callable[..., str]] = {
    ast.Compare: _compare,
    ast.Call: _call,
    ast.Constant: _constant,
    ast.Name: _name,
    ast.BinOp: _sum,
    ast.UnaryOp: _unary,
    ast.BoolOp: _joined,
    ast.Tuple: _listed,
    ast.List: _listed,
    ast.IfExp: _choice,
}
