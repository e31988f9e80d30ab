"""What is allowed in a rule and probably not meant: comparisons that cannot go both ways, units mixed up.

A doubt forbids nothing. It names the place, says what is odd, and what was probably meant.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.alerts.names import BY_NAME, Name
from core.alerts.ranges import settled
from core.alerts.reading import cut
from core.alerts.tree import Piece

Span = tuple[int, int]
# A number is of the size of a name's values within such factors of the largest usual one.
_SMALLEST, _LARGEST = 1 / 2_000, 20.0
_ALWAYS, _NEVER = "this always holds where it is known", "this never holds"


@dataclass(frozen=True)
class Fix:
    """What to put in the place of the characters from ``start`` to ``end``."""

    start: int
    end: int
    put: str


@dataclass(frozen=True)
class Doubt:
    """Something odd from ``start`` to ``end``, in characters, with a hint and what may be put instead."""

    start: int
    end: int
    reason: str
    hint: str
    fixes: tuple[Fix, ...] = ()

    def __str__(self) -> str:
        return f"at character {self.start + 1}: {self.reason} {self.hint}"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what it is, and its text and place in the rule."""

    piece: Piece
    text: str
    span: Span

    @property
    def number(self) -> float:
        value: float = self.piece.node.value
        return value

    @property
    def words(self) -> str:
        """Its text, cut where it is long, and between what it lies."""
        return f"{cut(self.text)} is {self.piece.range.words}"


def doubt_comparison(
    left: Side, op: ast.cmpop, right: Side, whole: Span, *, crossing: bool = False
) -> Doubt | None:
    """What is odd about comparing two numbers, of which one may be fixed.

    ``crossing``: what always holds, or never, does not come to hold.
    """
    holds = settled(left.piece.range, op, right.piece.range)
    fixed, other = (left, right) if left.piece.is_fixed else (right, left)
    if not fixed.piece.is_fixed:
        return _of_two(left, right, None if crossing else holds, whole)
    number = fixed.number
    if holds is False or (holds is True and not other.piece.range.holds(number)):
        result = _NEVER if crossing or holds is False else _ALWAYS
        reason = f"{other.words}, so {result}."
    elif _is_tiny(other.piece, number):
        reason = f"{other.words}, so {number:g} is as good as 0 for it."
    elif _is_huge(other.piece, number):
        reason = f"{cut(other.text)} is a fraction, so {number:g} is {100 * number:g} %."
    else:
        return None
    return _with_hint(reason, other, fixed, whole)


def doubt_name(name: Name, written: str, span: Span) -> Doubt | None:
    """A name that is unknown in every row."""
    if not name.never:
        return None
    return Doubt(
        *span,
        f"{written} is never known: {name.never}.",
        "Use another name: nothing that rests on this one can fire.",
    )


def doubt_conflict(text: str, word: str, whole: Span) -> Doubt:
    """Conditions of one value of which never all hold, or of which always one does."""
    if word == "and":
        return Doubt(
            *whole,
            f"{cut(text)} cannot meet all of these at once, so {_NEVER}.",
            "Write or, or turn one of the signs around.",
        )
    return Doubt(
        *whole,
        f"{cut(text)} always meets one of these, so {_ALWAYS}.",
        "Write and, or turn the signs around.",
    )


def doubt_rule(holds: bool, whole: Span) -> Doubt:
    """A whole rule that never holds, or always does, where no part of it was doubted."""
    if holds:
        return Doubt(
            *whole, "The rule always holds where it is known.", "Compare with another number."
        )
    return Doubt(*whole, "The rule never holds.", "Compare with another number.")


def _of_two(left: Side, right: Side, holds: bool | None, whole: Span) -> Doubt | None:
    if holds is None:
        return None
    result = _ALWAYS if holds else _NEVER
    return Doubt(
        *whole,
        f"{left.words} and {right.words}, so {result}.",
        "Compare with something in the same unit.",
    )


def _is_tiny(piece: Piece, number: float) -> bool:
    """Whether a fraction stands beside what counts from 0 to 100."""
    return piece.of is not None and piece.unit == "0..100" and 0 < abs(number) < 1


def _is_huge(piece: Piece, number: float) -> bool:
    """Whether a percentage stands beside a fraction that may be of any size."""
    return piece.of is not None and piece.unit.startswith("fraction") and abs(number) > 1


def _with_hint(reason: str, other: Side, fixed: Side, whole: Span) -> Doubt:
    number = fixed.number
    scaled = [Fix(*fixed.span, f"{value:g}") for value in _scaled(other.piece, number)]
    named = [
        (Fix(*_name_in(other), name.aliases[0] if name.aliases else name.name), _unit(name))
        for name in _meant(other.piece, number)
    ]
    said = [fix.put for fix in scaled] + [f"{fix.put}, {unit}" for fix, unit in named]
    if not said:
        return Doubt(*whole, reason, "Compare it with a number that it can pass.")
    hint = f"Did you mean {' or '.join(said)}?"
    if named and other.piece.of is not None:
        hint += f" {_written(other)} is {_unit(other.piece.of)}."
    return Doubt(*whole, reason, hint, (*scaled, *(fix for fix, _ in named)))


def _scaled(piece: Piece, number: float) -> Iterator[float]:
    """The number in the scale of the other side, where it was written in percent or as a fraction."""
    if piece.unit == "0..1" or piece.unit.startswith("fraction"):
        smaller = float(f"{number / 100:.12g}")
        if abs(number) >= 1 and abs(smaller) < 1 and piece.range.holds(smaller):
            yield smaller
    elif piece.unit == "0..100" and piece.of is not None:
        larger = float(f"{number * 100:.12g}")
        if abs(number) < 1 <= abs(larger) and piece.range.holds(larger):
            yield larger


def _meant(piece: Piece, number: float) -> Iterator[Name]:
    """Names that are nearly written like this one and whose values are of the number's size."""
    for called in () if piece.of is None else piece.of.alike:
        name = BY_NAME[called]
        size = name.usual_size
        if name.unit == piece.unit or size is None or not name.range.holds(number):
            continue
        if _SMALLEST * size <= abs(number) <= _LARGEST * size:
            yield name


def _name_in(side: Side) -> Span:
    """Where the name stands in the text of a side: avg(funding_rate, "4h") holds it once."""
    found = re.search(rf"\b{_written(side)}\b", side.text)
    assert found is not None
    return side.span[0] + found.start(), side.span[0] + found.end()


def _written(side: Side) -> str:
    """The name as it is written: by itself or by what else it is called."""
    name = side.piece.of
    assert name is not None
    words = (name.name, *name.aliases)
    return next(word for word in words if re.search(rf"\b{word}\b", side.text))


def _unit(name: Name) -> str:
    """
    >>> [_unit(BY_NAME[one]) for one in ("funding_rate", "funding_rate_8h", "volume_usd")]
    ['the factor, 0 to 100', 'a fraction per 8 h', 'in USD']
    """
    if name.unit.startswith("fraction"):
        return f"a {name.unit}"
    scale = name.unit.replace("..", " to ") if ".." in name.unit else f"in {name.unit}"
    return f"the factor, {scale}" if name.name.startswith("factor_") else scale
