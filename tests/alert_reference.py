"""What a rule says, row by row: simpleeval's ordinary scalar evaluation, with None for unknown.

Written from the documented meaning of the language alone, in plain Python over one row at a time,
and slowly: a window evaluates its expression anew at each of its bars. Floating point cannot decide
alike where two numbers meet within rounding, so such rows are told apart (`Close`).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
from simpleeval import DEFAULT_OPERATORS, SimpleEval

HOUR = pd.Timedelta("1h")
DIRECTIONS = {-1.0: "SHORT", 0.0: "NEUTRAL", 1.0: "LONG"}
ALIASES = ("liquidations", "price_momentum", "funding_rate", "long_short_ratio", "smart_money")
ALIASES += ("oi_trend", "social_sentiment")


class Close(Exception):
    """Two numbers are equal but for rounding, so either answer is right."""


def known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def near(a: float, b: float) -> bool:
    return a != b and abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))


def apart(a: float, b: float) -> None:
    if near(a, b):
        raise Close


class Reference(SimpleEval):
    """A rule at one row: ``at`` is set by `says`, and moved back and forth by windows."""

    def __init__(self, frame: pd.DataFrame) -> None:
        super().__init__(operators=dict(DEFAULT_OPERATORS), functions={}, names=self._look_up)
        self.rows: dict[tuple[str, pd.Timestamp], Mapping[str, Any]] = dict(
            zip(frame.index, frame.to_dict("records"), strict=True)
        )
        self.symbols = list(dict.fromkeys(frame.index.get_level_values(0)))
        self.start = frame.index.get_level_values(1).min()
        self.nodes |= {
            ast.Compare: self._compare,
            ast.BoolOp: self._join,
            ast.UnaryOp: self._turn,
            ast.BinOp: self._reckon,
            ast.IfExp: self._choose,
            ast.Call: self._apply,
        }
        self.at: tuple[str, pd.Timestamp]

    def says(self, text: str, symbol: str, time: pd.Timestamp) -> bool | None:
        answer = self.value(text, symbol, time)
        assert answer is None or isinstance(answer, bool)
        return answer

    def value(self, text: str, symbol: str, time: pd.Timestamp) -> Any:
        """Any expression at one row: a number too."""
        self.at = (symbol, time)
        line = re.sub(r"[\t\r\n]", " ", text).strip()  # a rule may be written over several lines
        return self.eval(text, previously_parsed=ast.parse(line, mode="eval").body)

    def _look_up(self, node: ast.Name) -> Any:
        name = f"factor_{node.id}" if node.id in ALIASES else node.id
        if name == "symbol":
            return self.at[0] if self.at in self.rows else None
        row = self.rows.get(self.at, {})
        if name == "atr_fraction" and name not in row:
            top, bottom = row.get("atr", math.nan), row.get("close", math.nan)
            return known(top / bottom) if bottom else None
        value = row.get(name)
        if value is None or value != value or value in (math.inf, -math.inf):
            return None
        return value

    def _compare(self, node: ast.Compare) -> bool | None:
        if isinstance(node.ops[0], ast.In | ast.NotIn):
            value = self._eval(node.left)
            wanted = [one.value for one in node.comparators[0].elts]
            if isinstance(value, float):
                value = DIRECTIONS.get(value, value)
            return None if value is None else (value in wanted) == isinstance(node.ops[0], ast.In)
        values = [self._eval(one) for one in (node.left, *node.comparators)]
        pairs = [
            self._pair(values[at], values[at + 1], self.operators[type(op)])
            for at, op in enumerate(node.ops)
        ]
        return all_of(pairs)

    def _pair(self, a: Any, b: Any, compare: Any) -> bool | None:
        if a is None or b is None:
            return None
        if isinstance(a, str) != isinstance(b, str):
            a, b = (DIRECTIONS.get(one, one) if isinstance(one, float) else one for one in (a, b))
        if not isinstance(a, str):
            apart(a, b)
        return bool(compare(a, b))

    def _join(self, node: ast.BoolOp) -> bool | None:
        values = [self._eval(value) for value in node.values]
        if isinstance(node.op, ast.And):
            return all_of(values)
        return opposite(all_of([opposite(value) for value in values]))

    def _turn(self, node: ast.UnaryOp) -> Any:
        value = self._eval(node.operand)
        if isinstance(node.op, ast.Not):
            return opposite(value)
        return None if value is None else self.operators[type(node.op)](value)

    def _reckon(self, node: ast.BinOp) -> float | None:
        a, b = self._eval(node.left), self._eval(node.right)
        if a is None or b is None:
            return None
        if isinstance(node.op, ast.Div) and b == 0:
            return None
        if isinstance(node.op, ast.Div) and abs(b) < 1e-9:
            raise Close
        return known(self.operators[type(node.op)](float(a), float(b)))

    def _choose(self, node: ast.IfExp) -> Any:
        test = self._eval(node.test)
        return None if test is None else self._eval(node.body if test else node.orelse)

    def _apply(self, node: ast.Call) -> Any:
        name = node.func.id
        if name in ("win_rate", "outcome_count"):
            verdict, days, horizon = (arg.value for arg in node.args)
            column = f"{name}_{verdict.lower()}_{days}_{horizon}"
            return self._look_up(ast.Name(column))
        if name in ("crosses_above", "crosses_below"):
            now, before = (self._above(node.args, name, back) for back in (0, 1))
            return all_of([now, opposite(before)])
        if name == "rank":
            return self._rank(node.args[0])
        window = node.args[-1]
        if isinstance(window, ast.Constant) and isinstance(window.value, str):
            return self._over_time(name, node.args[0], window.value)
        values = [self._eval(arg) for arg in node.args]
        if name == "known":
            return values[0] is not None if self.at in self.rows else None
        if None in values:
            return None
        return self._of_row(name, values)

    def _of_row(self, name: str, values: list[Any]) -> float:
        if name == "round":
            digits = int(values[1]) if len(values) > 1 else 0
            scaled = values[0] * 10**digits
            if abs(scaled) < 1e12 and near(scaled, math.floor(scaled) + 0.5):
                raise Close
            return float(round(float(values[0]), digits))
        return {"abs": abs, "min": min, "max": max}[name](*values)

    def _above(self, args: list[ast.expr], name: str, back: int) -> bool | None:
        values = [self._bars_ago(arg, back) for arg in args]
        if None in values:
            return None
        a, b = values if name == "crosses_above" else reversed(values)
        apart(a, b)
        return bool(a > b)

    def _bars_ago(self, node: ast.expr, back: int) -> Any:
        """The value of an expression so many hours ago, unknown before the first bar of all."""
        here = self.at
        self.at = (here[0], here[1] - back * HOUR)
        try:
            return self._eval(node) if self.at[1] >= self.start else None
        finally:
            self.at = here

    def _rank(self, node: ast.expr) -> float | None:
        here, values = self.at, {}
        for symbol in self.symbols:
            self.at = (symbol, here[1])
            values[symbol] = self._eval(node)
        self.at = here
        mine = values[here[0]]
        if mine is None:
            return None
        others = [value for value in values.values() if value is not None]
        for other in others:
            apart(mine, other)
        return 1.0 + sum(other > mine for other in others)

    def _over_time(self, name: str, node: ast.expr, window: str) -> float | None:
        bars = int(window[:-1]) * (24 if window.endswith("d") else 1)
        now = self._eval(node)
        if now is None:
            return None
        if name in ("change", "change_percent"):
            then = self._bars_ago(node, bars)
            if then is None or (name == "change_percent" and then == 0):
                return None
            if name == "change":
                return known(now - then)
            if abs(then) < 1e-9:
                raise Close
            return known((now - then) / abs(then) * 100)
        first = 1 if name == "zscore" else 0
        past = [self._bars_ago(node, back) for back in range(first, first + bars)]
        there = [value for value in past if value is not None]
        if len(there) < 0.75 * bars:
            return None
        return self._of_window(name, now, there)

    def _of_window(self, name: str, now: Any, there: list[Any]) -> float | None:
        match name:
            case "count":
                return float(sum(there))
            case "highest":
                return max(there)
            case "lowest":
                return min(there)
            case "avg":
                return known(math.fsum(there) / len(there))
        if len(there) < 2:
            return None
        mean = math.fsum(there) / len(there)
        squares = [(value - mean) ** 2 for value in there]
        spread = math.sqrt(math.fsum(squares) / (len(there) - 1))
        if len(set(there)) == 1:
            spread, mean = 0.0, there[0]
        elif spread < 1e-7 * max(map(abs, there)):
            raise Close
        if name == "std":
            return spread
        return known((now - mean) / spread) if spread else None


def all_of(values: list[bool | None]) -> bool | None:
    """SQL's and: false wherever one is false, else unknown wherever one is unknown."""
    if False in values:
        return False
    return None if None in values else True


def opposite(value: bool | None) -> bool | None:
    return None if value is None else not value
