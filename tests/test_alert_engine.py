"""The state machine of alert rules. Bars are hourly; their truth is written as in ``T t . ? !``:
T true, F false, ? unknown, ! could not be evaluated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.engine import Event, older, step
from core.alerts.states import PHASE, PHASES, fresh, to_rows

# A Monday.
START = datetime(2025, 9, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CODES = {"F": 0, "?": 1, "T": 2, "!": 3}


def rule(**changes: Any) -> RuleDefinition:
    return parse_definition({"name": "Hot", "expression": "score > 60", **changes})


def codes(text: str) -> np.ndarray:
    return np.array([CODES[letter] for letter in text], dtype=np.int8)


class Watched:
    """One rule over one symbol per row of truth, stepped bar by bar."""

    def __init__(self, definition: RuleDefinition, *rows: str) -> None:
        self.definition = definition
        self.states = fresh([f"S{n}USDT" for n in range(len(rows))])
        self.events: list[Event] = []
        self.phases: list[str] = []
        self.hours = 0
        self.go(*rows)

    def go(self, *rows: str) -> Watched:
        for truth in zip(*rows, strict=True):
            at = START + self.hours * HOUR
            self.states, found = step(self.definition, self.states, at, codes("".join(truth)))
            self.events += found
            self.phases.append(PHASES[self.states.table[PHASE, 0]])
            self.hours += 1
        return self

    @property
    def said(self) -> list[str]:
        """The events of the first symbol: "2 fired"."""
        return [
            f"{(e.at - START) // HOUR} {e.kind} {e.reason}".strip()
            for e in self.events
            if e.symbol == "S0USDT"
        ]


def test_it_fires_once_when_the_condition_turns_true_and_again_on_a_second_event() -> None:
    seen = Watched(rule(), "FTTTFFT")
    assert seen.said == ["1 fired", "4 ended resolved", "6 fired"]


def test_it_fires_only_after_the_condition_has_held() -> None:
    seen = Watched(rule(**{"for": "2h"}), "TTFTTTTF")
    assert seen.said == ["5 fired", "7 ended resolved"]
    assert seen.phases[:6] == ["pending", "pending", "inactive", "pending", "pending", "firing"]
    assert seen.events[0].began_at == START + 3 * HOUR


def test_missing_data_neither_fires_nor_resolves() -> None:
    seen = Watched(rule(), "T???")
    assert seen.said == ["0 fired"]
    assert seen.phases == ["firing"] * 4
    assert to_rows(seen.states)[0]["health"] == "no_data"
    assert to_rows(seen.states)[0]["unknown_since"] == START + HOUR
    assert Watched(rule(), "????").said == []


@pytest.mark.parametrize(
    ("truth", "fires"), [("TTT", 2), ("T?TT", 3), ("T???TT", 5), ("TT???T", 5)]
)
def test_time_that_nobody_saw_is_not_time_the_condition_held(truth: str, fires: int) -> None:
    assert Watched(rule(**{"for": "2h"}), truth).said == [f"{fires} fired"]


def test_a_bar_that_was_judged_is_judged_once() -> None:
    seen = Watched(rule(), "FT")
    again, events = step(seen.definition, seen.states, START + HOUR, codes("F"))
    assert again == seen.states
    assert events == []
    assert older(seen.states, START + HOUR) == {"S0USDT": "this bar was judged already"}
    assert "2025-09-01 01:00 UTC" in older(seen.states, START)["S0USDT"]
    assert older(seen.states, START + 2 * HOUR) == {}
