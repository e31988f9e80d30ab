"""Markets that a rule names and that are not here: misspelt perhaps, and it would never fire for them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any

from core.alerts import names
from core.alerts.doubts import Doubt, Fix
from core.alerts.reading import Reader, cut, is_quoted
from core.alerts.scanning import scan


def doubt_markets(text: str, known: Collection[str]) -> tuple[Doubt, ...]:
    """Where a rule that compiles compares its symbol with none of the ``known``; nowhere without any.

    >>> [str(doubt) for doubt in doubt_markets('symbol == "BTCUSD"', ["BTCUSDT", "ETHUSDT"])]
    ['at character 11: No market BTCUSD is known here. Did you mean "BTCUSDT"?']
    """
    if not known:
        return ()
    reader = Reader(scan(text))
    found = [
        _doubt(node.value, *reader.span(node), known)
        for node in _compared_with_symbol(reader.parse())
        if node.value not in known
    ]
    return tuple(sorted(found, key=lambda doubt: doubt.start))


def doubt_market(symbol: str, known: Collection[str]) -> str:
    """What is odd about a rule for this market; empty where it is known, or nothing is.

    >>> doubt_market("BTCUSD", ["BTCUSDT"]), doubt_market("BTCUSDT", ["BTCUSDT"])
    ('no market BTCUSD is known here; did you mean BTCUSDT?', '')
    """
    if not known or symbol in known:
        return ""
    near = _near(symbol, known)
    return f"no market {symbol} is known here" + (f"; did you mean {near}?" if near else "")


def _doubt(symbol: str, start: int, end: int, known: Collection[str]) -> Doubt:
    near = _near(symbol, known)
    reason = f"No market {cut(symbol)} is known here."
    if not near:
        return Doubt(start, end, reason, "Write the symbol of one that is.")
    return Doubt(start, end, reason, f'Did you mean "{near}"?', (Fix(start, end, f'"{near}"'),))


def _near(symbol: str, known: Collection[str]) -> str:
    found = get_close_matches(symbol, sorted(known), n=1)
    return found[0] if found else ""


def _compared_with_symbol(tree: ast.expr) -> Iterator[Any]:
    """The texts that stand on the other side of a symbol, or in its list."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(_is_symbol(side) for side in sides):
                listed = [getattr(side, "elts", [side]) for side in sides]
                yield from (one for some in listed for one in some if is_quoted(one))


def _is_symbol(node: ast.expr) -> bool:
    name = names.BY_NAME.get(node.id) if isinstance(node, ast.Name) else None
    return name is not None and name.kind == "symbol"
