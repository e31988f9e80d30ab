"""How far back a rule looks, and how long it takes: counted before it is saved."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from core.alerts import functions

SYMBOLS = 1_000
MOST_MILLISECONDS = 50.0
MOST_LOOKBACK_HOURS = 24 * 90


@dataclass(frozen=True)
class Cost:
    """``lookback_hours`` of history before a row; ``milliseconds`` for the newest hourly bar of a
    thousand symbols, on the slow side; ``heaviest`` is the piece that takes most of it."""

    lookback_hours: int
    milliseconds: float
    heaviest: Any


def cost_of(root: ast.expr) -> Cost:
    """The cost of a checked tree, where equal pieces over equal times are computed once."""
    counting = _Counting()
    counting.add(root, 0)
    heaviest = max(counting.spent, key=lambda item: item[0])[1]
    total = sum(milliseconds for milliseconds, _ in counting.spent)
    return Cost(counting.reach, total, heaviest)


# Measured on one core of a small server on values with gaps, times three: milliseconds for a call,
# and nanoseconds for each value that goes in, first where only the newest bar is wanted, then where
# a window around it wants many bars.
_CALL_MS = 0.03
_NAME_NS = 5.0
_PLAIN_NS = (9.0, 9.0)
_FUNCTION_NS = {
    "avg": (15.0, 55.0),
    "count": (9.0, 30.0),
    "highest": (6.0, 90.0),
    "lowest": (6.0, 90.0),
    "std": (50.0, 230.0),
    "zscore": (50.0, 230.0),
    "rank": (450.0, 250.0),
}


class _Counting:
    def __init__(self) -> None:
        self.reach = 0
        self.spent: list[tuple[float, Any]] = []
        self._seen: set[tuple[str, int]] = set()

    def add(self, node: Any, reach: int) -> None:
        """Count a node that is wanted on the newest bar and ``reach`` hours before it."""
        if (node.key, reach) in self._seen:
            return
        self._seen.add((node.key, reach))
        self.reach = max(self.reach, reach)
        inside, nanoseconds, passes = reach, _PLAIN_NS[0], 1
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if isinstance(node, ast.Constant):
            return
        if isinstance(node, ast.Name):
            nanoseconds = _NAME_NS
        if isinstance(node, ast.Call):
            children = [arg for arg in node.args if not isinstance(arg, ast.Constant)]
            name = node.func.id  # type: ignore[attr-defined]
            inside += _hours_back(name, node.args)
            nanoseconds = _FUNCTION_NS.get(name, _PLAIN_NS)[reach > 0]
            passes = _passes(name, node.args)
        values = SYMBOLS * (inside + 1)
        self.spent.append((passes * (_CALL_MS + values * nanoseconds / 1e6), node))
        for child in children:
            self.add(child, inside)


def _passes(name: str, args: list[Any]) -> int:
    """How often a call goes over its values: min and max take in one argument more each time, a fixed
    number too."""
    function = functions.BY_NAME.get(name)
    return len(args) - 1 if function is not None and function.takes == ("numbers",) else 1


def _hours_back(name: str, args: list[Any]) -> int:
    function = functions.BY_NAME.get(name)
    if function is None:
        return 0
    if function.way == "window":
        return int(args[1].value) - 1 + function.before
    return 1 if function.way == "pair" else 0
