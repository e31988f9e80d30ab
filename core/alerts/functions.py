"""Every function that an alert rule may call: what it takes, gives and does with the unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from core.alerts import kernels

Takes = Literal[
    "number", "any", "numbers", "truth", "window", "digits", "verdict", "days", "horizon"
]
Gives = Literal["number", "truth"]
Way = Literal["bar", "window", "pair", "market", "column"]

MOST_HOURS = 720
MOST_DAYS = 365
MOST_DIGITS = 10


@dataclass(frozen=True)
class Function:
    """One function of the language.

    ``way`` says what a result rests on: the "bar" alone, a "window" of one input that ends at the
    bar, a "pair" of inputs now and one bar before, the whole "market" at the moment, or a "column"
    that the frame has under a derived name. ``before`` is how many bars a window reaches beyond
    its length: 1 where it looks at the bars before the bar, 0 where the bar is one of them.
    ``unit`` is the unit of the result, "same" for that of the first input.
    """

    name: str
    signature: str
    takes: tuple[Takes, ...]
    gives: Gives
    unit: str
    meaning: str
    unknown: str
    example: str
    way: Way
    kernel: Callable[..., Any] | None = None
    optional: int = 0
    before: int = 0
    least_hours: int = 1

    @property
    def unit_in_words(self) -> str:
        """What it gives, for a table."""
        if self.gives == "truth":
            return "a condition"
        return "the unit of x" if self.unit == "same" else self.unit


_ANY = "where an input is"
_WINDOW = "where x is, or at more than a quarter of the window's bars"


def _bar(
    name: str, signature: str, takes: tuple[Takes, ...], meaning: str, example: str, kernel: Any
) -> Function:
    return Function(name, signature, takes, "number", "same", meaning, _ANY, example, "bar", kernel)


def _window(
    name: str,
    signature: str,
    meaning: str,
    example: str,
    kernel: Any,
    unknown: str = _WINDOW,
    **other: Any,
) -> Function:
    takes: tuple[Takes, ...] = other.pop("takes", ("number", "window"))
    unit = other.pop("unit", "same")
    return Function(
        name, signature, takes, "number", unit, meaning, unknown, example, "window", kernel, **other
    )


FUNCTIONS: tuple[Function, ...] = (
    _bar("abs", "abs(x)", ("number",), "x without its sign", "abs(funding_rate_8h) > 0.0003", np.abs),
    _bar("min", "min(x, y, ...)", ("numbers",), "the smallest of two or more values at the bar",
         "min(factor_liquidations, factor_oi_trend) > 70", kernels.smallest),
    _bar("max", "max(x, y, ...)", ("numbers",), "the largest of two or more values at the bar",
         "max(high - low, abs(close - open)) > 2 * atr", kernels.largest),
    Function("round", "round(x), round(x, 2)", ("number", "digits"), "number", "same",
             "x to whole numbers or so many decimals, halves to the even one", _ANY,
             "round(score) == 50", "bar", np.round, optional=1),
    Function("known", "known(x)", ("any",), "truth", "", "whether x is known at all",
             "never", "not known(open_interest) and known(close)", "bar", kernels.known),
    _window("change", 'change(x, "4h")', "x minus x so long ago, in the unit of x",
            'change(score, "4h") >= 10', kernels.change, "where x is, now or then", before=1),
    _window("change_percent", 'change_percent(x, "4h")',
            "the same in percent of the size of x then: 5 is 5 %",
            'change_percent(close, "1h") < -2', kernels.change_percent,
            "where x is, now or then, or was 0", before=1, unit="%"),
    _window("avg", 'avg(x, "24h")', "mean over the window that ends with the bar",
            'avg(funding_rate_8h, "24h") > 0.0003', kernels.average),
    _window("highest", 'highest(x, "7d")', "largest value of the window that ends with the bar",
            'close >= highest(high, "7d")', kernels.highest),
    _window("lowest", 'lowest(x, "7d")', "smallest value of the window that ends with the bar",
            'close <= lowest(low, "7d")', kernels.lowest),
    _window("std", 'std(x, "24h")', "sample standard deviation over the window that ends with the bar",
            'std(score, "24h") < 1', kernels.deviation, _WINDOW + "; two must be known", least_hours=2),
    _window("zscore", 'zscore(x, "7d")',
            "distance of x from the mean of the window before the bar, in standard deviations of it",
            'zscore(volume_usd, "7d") > 3', kernels.zscore,
            "where x is, or more than a quarter of the bars before it, or where it never changed",
            before=1, unit="sigma", least_hours=2),
    Function("rank", "rank(x)", ("number",), "number", "place",
             "place of the symbol among all symbols of the frame at the moment: 1 has the highest x, "
             "equals share the better place", "where x is; such symbols take no place",
             "rank(volume_usd) <= 10", "market", kernels.rank),
    Function("crosses_above", "crosses_above(x, y)", ("number", "number"), "truth", "",
             "x is above y now and was not one bar before",
             "as in `x > y and not` the same one bar before",
             "crosses_above(score, 62)", "pair", kernels.crosses_above),
    Function("crosses_below", "crosses_below(x, y)", ("number", "number"), "truth", "",
             "x is below y now and was not one bar before",
             "as in `x < y and not` the same one bar before",
             'crosses_below(close, avg(close, "7d"))', "pair", kernels.crosses_below),
    _window("count", 'count(condition, "24h")', "how many bars of the window the condition held",
            'count(close > open, "6h") == 6', kernels.count, _WINDOW.replace("x is", "the condition is", 1),
            takes=("truth", "window"), unit="bars"),
    Function("win_rate", 'win_rate("CONFIRM", "30d", "4h")', ("verdict", "days", "horizon"), "number",
             "0..1", "share of this verdict's trades, followed for 1h, 4h or 24h, that ended above 0 "
             "after costs, over so many whole UTC days before the bar and all symbols",
             "where no trade ended", 'win_rate("CONFIRM", "30d", "4h") < 0.45', "column"),
    Function("outcome_count", 'outcome_count("CONFIRM", "30d", "4h")', ("verdict", "days", "horizon"),
             "number", "count", "how many trades that win rate rests on", "where none is stored",
             'outcome_count("CONFIRM", "30d", "4h") >= 50 and win_rate("CONFIRM", "30d", "4h") < 0.4',
             "column"),
)  # fmt: skip
BY_NAME: Mapping[str, Function] = MappingProxyType({one.name: one for one in FUNCTIONS})
