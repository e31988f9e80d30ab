"""The language of alert rules: one condition, for every symbol and every bar of a frame at once.

    score >= 62 and change(open_interest_usd, "4h") > 0 and rank(volume_usd) <= 50

A rule is checked when it is compiled, and evaluated on arrays over all symbols and times. It is
three-valued: what is not known makes unknown, unless the rest decides by itself ("and" with
something false, "or" with something true). A division by zero is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.alerts.checking import Checked, check
from core.alerts.cost import MOST_LOOKBACK_HOURS, MOST_MILLISECONDS, SYMBOLS, Cost, cost_of
from core.alerts.doubts import Doubt
from core.alerts.evaluating import Evaluation
from core.alerts.kernels import TRUE, UNKNOWN, Truth
from core.alerts.reading import Reader
from core.alerts.tree import Kind
from core.errors import RuleError

Value = float | bool | str | None
# What is shown of 0, 1 and 2.
_TRUTHS = (False, None, True)


@dataclass(frozen=True)
class Shown:
    """What a piece of a rule was at a row: ``value`` is a number, a truth, a text, or unknown."""

    text: str
    start: int
    end: int
    kind: Kind
    title: str
    unit: str
    value: Value


@dataclass(frozen=True)
class Rule:
    """A checked rule.

    ``canonical`` is the same for rules that differ in spaces, parentheses or spelling only.
    ``doubts`` are what is odd about it and does not forbid it.
    ``needs`` are the columns without which something of it is unknown; ``lookback_hours`` is the
    history before a row on which its value can depend; ``milliseconds`` is what the newest bar of a
    thousand symbols takes at most.
    """

    text: str
    canonical: str
    names: tuple[str, ...]
    functions: tuple[str, ...]
    needs: tuple[str, ...]
    lookback_hours: int
    milliseconds: float
    doubts: tuple[Doubt, ...]
    _checked: Checked = field(compare=False, repr=False)

    def evaluate(self, frame: pd.DataFrame, since: pd.Timestamp | None = None) -> pd.Series:
        """True, False or NA for every row of a frame, as "boolean" over the same index.

        With ``since`` for the rows from that time on, with the values that all rows would have.
        """
        return self.evaluate_in(Evaluation(frame, since))

    def evaluate_in(self, evaluation: Evaluation) -> pd.Series:
        """The same over an evaluation that many rules share."""
        truth = self.truth_in(evaluation)
        values = pd.arrays.BooleanArray(truth == TRUE, truth == UNKNOWN)
        return pd.Series(values, index=evaluation.index, copy=False)

    def truth_in(self, evaluation: Evaluation) -> Truth:
        """The same as int8: 0 false, 1 unknown, 2 true."""
        return evaluation.truth(self._checked.root)

    def explain(
        self, evaluation: Evaluation, rows: Sequence[int] | None = None
    ) -> list[tuple[Shown, ...]]:
        """For rows of an evaluation, by place (all for None), what every piece of the rule was.

        Pieces are names, calls and comparisons, in the order of the text, larger ones first.
        """
        wanted = np.arange(len(evaluation.index)) if rows is None else np.asarray(rows, np.int64)
        columns = [
            [replace(piece, value=value) for value in values]
            for piece, values in self.pieces(evaluation, wanted)
        ]
        return list(zip(*columns, strict=True))

    def pieces(
        self, evaluation: Evaluation, rows: npt.NDArray[np.int64]
    ) -> Iterator[tuple[Shown, list[Value]]]:
        """Every piece, without a value, and what it was at rows of an evaluation, by place."""
        for part in self._checked.parts:
            values = evaluation.value(part.node)[rows]
            text = self.text[part.start : part.end]
            piece = Shown(text, part.start, part.end, part.kind, part.title, part.unit, None)
            yield piece, _shown(part.kind, part.texts, values)


def _affordable(text: str, checked: Checked) -> Cost:
    """What the rule costs. Raises `RuleError` where that is too much."""
    cost = cost_of(checked.root)
    place, end = Reader(text).span(cost.heaviest)
    if cost.lookback_hours > MOST_LOOKBACK_HOURS:
        raise RuleError(
            f"The rule looks {cost.lookback_hours / 24:.0f} days back through windows inside "
            f"windows; at most {MOST_LOOKBACK_HOURS // 24} are kept for it.",
            position=place,
            hint="Shorten the windows, or take one of them out of the other.",
        )
    if cost.milliseconds > MOST_MILLISECONDS:
        raise RuleError(
            f"The rule would take about {cost.milliseconds:.0f} ms per {SYMBOLS:,} symbols; at most "
            f"{MOST_MILLISECONDS:.0f} are allowed.",
            position=place,
            hint=f"Shorten what begins here: {text[place:end]}.",
        )
    return cost


def _shown(kind: Kind, texts: Mapping[float, str], values: npt.NDArray[Any]) -> list[Value]:
    if kind == "truth":
        return [_TRUTHS[value] for value in values.tolist()]
    found = values.tolist()
    if texts:
        return [None if value != value else texts.get(value, value) for value in found]
    return [None if value != value else value for value in found]


def compile_rule(text: str) -> Rule:
    """A rule from its text.

    Raises `RuleError` with a sentence, the ``position`` in characters of the text, and a hint.

    >>> compile_rule('direction == "LONG" and score >= 62').needs
    ('direction', 'score')
    >>> compile_rule("coverag < 0.7")
    Traceback (most recent call last):
    core.errors.RuleError: There is no coverag. Did you mean coverage?
    """
    checked = check(text)
    cost = _affordable(text, checked)
    return Rule(
        text,
        checked.key,
        checked.names,
        checked.functions,
        checked.columns,
        cost.lookback_hours,
        cost.milliseconds,
        checked.doubts,
        checked,
    )
