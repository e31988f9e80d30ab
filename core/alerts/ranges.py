"""Between which values a piece of a rule lies, and what that says of comparing it.

Plain interval arithmetic, no solver: where it does not know it says nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, inf, isinf


@dataclass(frozen=True)
class Range:
    """Every known value is from ``low`` to ``high``, both included."""

    low: float = -inf
    high: float = inf

    @property
    def words(self) -> str:
        """
        >>> Range(0, 100).words, Range(0).words, Range(high=2.5).words, Range(7, 7).words
        ('0 to 100', '0 or more', '2.5 or less', '7')
        """
        if self.low == self.high:
            return f"{self.low:g}"
        if isinf(self.low) and isinf(self.high):
            return "any number"
        if isinf(self.high):
            return f"{self.low:g} or more"
        return f"{self.high:g} or less" if isinf(self.low) else f"{self.low:g} to {self.high:g}"

    @property
    def size(self) -> Range:
        """The range of the size of such a value."""
        ends = (abs(self.low), abs(self.high))
        return Range(0.0 if self.low <= 0 <= self.high else min(ends), max(ends))

    @property
    def change(self) -> Range:
        """The range of the difference of two such values."""
        width = self.high - self.low
        return Range(-width, width)

    @property
    def rounded(self) -> Range:
        """The range of such a value rounded, to whole numbers or less roughly."""
        return Range(
            self.low if isinf(self.low) else float(floor(self.low)),
            self.high if isinf(self.high) else float(ceil(self.high)),
        )

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def plus(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def minus(self, other: Range) -> Range:
        return Range(self.low - other.high, self.high - other.low)

    def times(self, factor: float) -> Range:
        """
        >>> Range(0, 4).times(-0.5), Range(0).times(0)
        (Range(low=-2.0, high=-0.0), Range(low=0.0, high=0.0))
        """
        if factor == 0:
            return Range(0.0, 0.0)
        ends = (self.low * factor, self.high * factor)
        return Range(min(ends), max(ends))

    def around(self, other: Range) -> Range:
        """The range of what is one of two."""
        return Range(min(self.low, other.low), max(self.high, other.high))


ANYTHING = Range()
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}


def settled(left: Range, op: ast.cmpop, right: Range) -> bool | None:
    """True where such a comparison holds whenever it is known, False where it never does, else None.

    >>> settled(Range(0, 100), ast.Gt(), Range(120, 120)), settled(Range(0), ast.Lt(), Range(0, 0))
    (False, False)
    >>> settled(Range(0, 1), ast.LtE(), Range(60, 60)), settled(Range(0, 1), ast.Gt(), Range(1, 9))
    (True, False)
    """
    match op:
        case ast.Gt():
            return True if left.low > right.high else False if left.high <= right.low else None
        case ast.GtE():
            return True if left.low >= right.high else False if left.high < right.low else None
        case ast.Lt() | ast.LtE():
            return settled(right, _TURNED[type(op)](), left)
    apart = left.low > right.high or left.high < right.low
    if not apart:
        return None
    return isinstance(op, ast.NotEq)


@dataclass(frozen=True)
class Bound:
    """A condition that compares a value, the ``key`` of its ``node``, with a fixed number."""

    key: str
    op: type[ast.cmpop]
    number: float
    node: ast.expr | None = field(default=None, compare=False, repr=False)

    @property
    def negated(self) -> Bound:
        return Bound(self.key, _NEGATED[self.op], self.number, self.node)


def bound_of(node: ast.expr) -> Bound | None:
    """What a checked condition says of one value; None where it says something else."""
    if not (isinstance(node, ast.Compare) and type(node.ops[0]) in _NEGATED):
        return None
    left, right, op = node.left, node.comparators[0], type(node.ops[0])
    if isinstance(left, ast.Constant):
        left, right, op = right, left, _TURNED.get(op, op)
    if isinstance(left, ast.Constant) or not isinstance(right, ast.Constant):
        return None
    value = right.value
    if not isinstance(value, float):
        return None
    return Bound(left.key, op, value, left)  # type: ignore[attr-defined]


def exclude_each_other(bounds: Iterable[Bound]) -> bool:
    """Whether no number meets all of these bounds of one value.

    >>> exclude_each_other([Bound("score", ast.Gt, 60.0), Bound("score", ast.Lt, 40.0)])
    True
    >>> exclude_each_other([Bound("score", ast.GtE, 40.0), Bound("score", ast.LtE, 40.0)])
    False
    """
    every = list(bounds)
    lowest = max((one.number for one in every if one.op in (ast.Gt, ast.GtE, ast.Eq)), default=-inf)
    highest = min((one.number for one in every if one.op in (ast.Lt, ast.LtE, ast.Eq)), default=inf)
    if lowest != highest:
        return lowest > highest
    strict = {ast.Gt, ast.Lt, ast.NotEq}
    return any(one.number == lowest and one.op in strict for one in every)


def conflict(bounds: Sequence[Bound]) -> ast.expr | None:
    """A value of which these bounds cannot all hold; None where there is none."""
    for key in dict.fromkeys(bound.key for bound in bounds):
        own = [bound for bound in bounds if bound.key == key]
        if len(own) > 1 and exclude_each_other(own):
            return own[0].node
    return None
