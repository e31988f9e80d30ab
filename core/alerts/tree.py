"""The nodes that are evaluated: each with its normal form, and with its type while it is checked."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.alerts.names import Name
from core.alerts.ranges import ANYTHING, Range

Kind = Literal["number", "truth", "text", "symbol"]
KINDS = {"number": "a number", "truth": "a condition", "text": "a text", "symbol": "a symbol"}
SYMBOL_IN = "symbol_in"
_SIGNS: dict[type, str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


@dataclass(frozen=True)
class Piece:
    """A checked node with its type. ``values`` are the texts that it may be compared with.

    Known values of a number lie in ``range``; ``of`` is the name whose values they are, in its unit.
    ``holds`` of a condition is True where it is true whenever it is known, False where it never is.
    """

    node: Any
    kind: Kind
    unit: str = ""
    values: Mapping[str, float] | None = None
    range: Range = ANYTHING
    of: Name | None = None
    holds: bool | None = None

    @property
    def is_fixed(self) -> bool:
        return isinstance(self.node, ast.Constant)

    @property
    def is_quoted(self) -> bool:
        return self.is_fixed and self.kind == "text"


def keyed(node: Any, key: str, source: ast.expr) -> Any:
    """The node with its normal form, by which equal pieces of several rules are found."""
    node.key = key
    return ast.copy_location(node, source)


def number(value: float, source: ast.expr) -> Piece:
    plain = float(value)
    return Piece(
        keyed(ast.Constant(plain), repr(plain), source), "number", range=Range(plain, plain)
    )


def column(name: str, source: ast.expr) -> Any:
    return keyed(ast.Name(name, ast.Load()), name, source)


def called(name: str, args: list[Any], source: ast.expr) -> Any:
    key = f"{name}({', '.join(arg.key for arg in args)})"
    return keyed(ast.Call(ast.Name(name, ast.Load()), args, []), key, source)


def one_of(symbols: list[str], source: ast.expr) -> Any:
    """Whether the symbol is one of these."""
    args = [keyed(ast.Constant(symbol), repr(symbol), source) for symbol in sorted(set(symbols))]
    return called(SYMBOL_IN, args, source)


def joined(op: ast.boolop, nodes: list[Any], source: ast.expr) -> Any:
    """The nodes joined by and or or; a single one as it is."""
    if len(nodes) == 1:
        return nodes[0]
    word = " and " if isinstance(op, ast.And) else " or "
    return keyed(ast.BoolOp(op, nodes), f"({word.join(node.key for node in nodes)})", source)


def negated(node: Any, source: ast.expr) -> Any:
    return keyed(ast.UnaryOp(ast.Not(), node), f"not ({node.key})", source)


def compared(left: Any, op: ast.cmpop, right: Any) -> Any:
    key = f"({left.key} {_SIGNS[type(op)]} {right.key})"
    return keyed(ast.Compare(left, [op], [right]), key, left)


def unit_of(sign: str, left: Piece, right: Piece) -> str:
    """The unit of a sum, difference, product or quotient; empty where it is none of theirs."""
    fixed = left.is_fixed or right.is_fixed
    own = right.unit if left.is_fixed else left.unit
    if sign in "+-":
        return own if fixed or left.unit == right.unit else ""
    if fixed:
        return "" if sign == "/" and left.is_fixed else own
    return "ratio" if sign == "/" and own and left.unit == right.unit else ""
