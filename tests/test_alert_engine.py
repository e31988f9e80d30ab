"""The state machine of alert rules. Bars are hourly; their truth is written as in ``T t . ? !``:
T true, F false, ? unknown, ! could not be evaluated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.engine import (
    Event,
    acknowledge,
    carry_over,
    older,
    remove,
    reopen,
    step,
    untold,
)
from core.alerts.states import PHASE, PHASES, fresh, from_rows
from tests.alert_rows import to_rows

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


def test_a_rule_that_cannot_be_evaluated_is_one_without_data_and_says_so() -> None:
    seen = Watched(rule(), "T?!T")
    assert seen.said == ["0 fired"]
    failing = Watched(rule(), "T?!")
    assert to_rows(failing.states)[0]["health"] == "error"
    assert to_rows(failing.states)[0]["unknown_since"] == START + HOUR
    assert to_rows(seen.states)[0]["health"] == "ok"
    assert to_rows(seen.states)[0]["unknown_since"] is None


def test_a_firing_goes_on_until_the_condition_has_been_over_for_long_enough() -> None:
    seen = Watched(rule(keep_firing="2h"), "TFFTFFFT")
    assert seen.said == ["0 fired", "6 ended resolved", "7 fired"]
    assert seen.phases[1:4] == ["recovering", "recovering", "firing"]
    # What nobody saw does not count as over.
    assert Watched(rule(keep_firing="2h"), "TF??FF").said == ["0 fired", "5 ended resolved"]


def test_a_cooldown_counts_from_the_end_and_holds_back_what_is_still_true_after_it() -> None:
    seen = Watched(rule(cooldown="3h"), "TTFTTTT")
    assert seen.said == [
        "0 fired",
        "2 ended resolved",
        "3 held cooldown",
        "5 fired",
    ]
    assert seen.events[-1].began_at == START + 3 * HOUR
    gone = Watched(rule(cooldown="3h"), "TFTFFT")
    assert gone.said == ["0 fired", "1 ended resolved", "2 held cooldown", "5 fired"]


def test_rearming_wants_the_condition_to_have_been_false_for_so_long() -> None:
    seen = Watched(rule(rearm="2h"), "TFTTFFFT")
    assert seen.said == ["0 fired", "1 ended resolved", "2 held rearm", "7 fired"]
    assert seen.phases[3] == "inactive"
    assert Watched(rule(rearm="2h"), "TF???FT").said[-1] == "6 held rearm"


def test_a_reminder_comes_while_it_fires_and_is_known_to_hold() -> None:
    seen = Watched(rule(repeat="2h"), "TTTTT?T")
    assert seen.said == ["0 fired", "2 repeat", "4 repeat", "6 repeat"]
    assert Watched(rule(repeat="2h"), "TT??T").said == ["0 fired", "4 repeat"]
    assert Watched(rule(repeat="1h", keep_firing="9h"), "TFF").said == ["0 fired"]


def test_an_expired_rule_ends_its_firings_and_fires_no_more() -> None:
    seen = Watched(rule(expires_at=START + 2 * HOUR), "TTTFT")
    assert seen.said == ["0 fired", "2 ended expired"]
    assert Watched(rule(expires_at=START + 2 * HOUR), "T??").said == ["0 fired", "2 ended expired"]


def test_a_disabled_rule_is_judged_no_more() -> None:
    assert Watched(rule(enabled=False), "TFT").said == []


def test_outside_of_active_hours_what_turned_true_waits_and_what_fires_may_end() -> None:
    hours = {"start": "02:00", "end": "05:00"}
    seen = Watched(rule(active_hours=hours), "TTTTTTTFTT" + "F" * 15 + "TT")
    assert seen.said == [
        "0 held active_hours",
        "2 fired",
        "7 ended resolved",
        "8 held active_hours",
        "25 held active_hours",
        "26 fired",
    ]


def test_active_hours_wrap_past_midnight_and_belong_to_the_day_they_start_on() -> None:
    # START is a Monday: Sunday's window reaches to 03:00, Monday's starts at 22:00.
    late = {"weekdays": ["sun"], "start": "22:00", "end": "03:00"}
    assert Watched(rule(active_hours=late), "FFTFT").said[:1] == ["2 fired"]
    assert Watched(rule(active_hours=late), "FFFT").said == ["3 held active_hours"]
    monday = {"weekdays": ["mon"], "start": "22:00", "end": "03:00"}
    assert Watched(rule(active_hours=monday), "T" + "F" * 22 + "T").said[-1] == "23 fired"
    assert Watched(rule(active_hours=monday), "FT").said == ["1 held active_hours"]


def test_symbols_do_not_know_each_other() -> None:
    together = Watched(rule(**{"for": "1h"}), "TTFT", "FTT?", "??TT")
    for place, truth in enumerate(["TTFT", "FTT?", "??TT"]):
        alone = Watched(rule(**{"for": "1h"}), truth)
        assert [(e.kind, e.at) for e in together.events if e.symbol == f"S{place}USDT"] == [
            (e.kind, e.at) for e in alone.events
        ]


def test_bars_that_were_missed_are_caught_up_in_order() -> None:
    definition = rule(**{"for": "2h"})
    down = Watched(definition, "FT")
    down.go("TTF")
    assert down.said == Watched(definition, "FTTTF").said == ["3 fired", "4 ended resolved"]


def test_an_acknowledged_firing_is_known_until_it_ends() -> None:
    seen = Watched(rule(repeat="1h"), "T")
    seen.states = acknowledge(seen.states, ["S0USDT", "NEWUSDT"], START + HOUR / 2)
    seen.go("TFT")
    known = {(e.kind, (e.at - START) // HOUR): e.acknowledged for e in seen.events}
    assert known == {
        ("fired", 0): False,
        ("repeat", 1): True,
        ("ended", 2): True,
        ("fired", 3): False,
    }
    idle = fresh(["BTCUSDT"])
    assert acknowledge(idle, ["BTCUSDT"], START) == idle


def test_a_firing_that_nobody_was_told_of_is_told_late_with_and_without_reminders() -> None:
    for more in ({}, {"repeat": "2h"}):
        seen = Watched(rule(**more), "TT")
        seen.states = untold(seen.states, ["S0USDT", "NEWUSDT"])
        seen.go("?TTTTF")
        reminders = ["5 repeat"] if more else []
        assert seen.said == ["0 fired", "3 late", *reminders, "7 ended resolved"]
        assert [e.untold for e in seen.events if e.kind == "ended"] == [False]
    ended = Watched(rule(keep_firing="1h"), "T")
    ended.states = untold(ended.states, ["S0USDT"])
    # Not while it recovers: it is not known to go on.
    assert ended.go("FFT").said == ["0 fired", "2 ended resolved", "3 fired"]
    assert [e.untold for e in ended.events] == [False, True, False]


def test_what_is_told_late_waits_for_active_hours() -> None:
    seen = Watched(rule(active_hours={"start": "02:00", "end": "04:00"}), "TTT")
    seen.states = untold(seen.states, ["S0USDT"])
    seen.go("T")
    assert seen.said[-1] == "3 late"
    seen.states = untold(seen.states, ["S0USDT"])
    assert seen.go("T" * 23).said[-1] == "26 late"


def test_a_market_goes_back_to_its_gap_and_no_further() -> None:
    seen = Watched(rule(), "FF?F", "F??T", "TT??")
    assert reopen(seen.states, {"S0USDT": [START + 2 * HOUR]}) == seen.states
    assert reopen(seen.states, {"S1USDT": [START + 2 * HOUR]}) == seen.states
    assert reopen(seen.states, {"S2USDT": [START + HOUR, START + 9 * HOUR]}) == seen.states
    assert reopen(seen.states, {"NEWUSDT": [START]}) == seen.states
    late = [START + n * HOUR for n in (3, 1)]
    states, events = step(
        seen.definition, reopen(seen.states, {"S2USDT": late}), late[0], codes("FFF")
    )
    assert [(e.symbol, e.kind, e.at) for e in events] == [("S2USDT", "ended", START + 3 * HOUR)]
    assert to_rows(states)[2]["run_lost_s"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"severity": "critical"},
        {"title": "{{ rule }}", "body": "x"},
        {"channels": [3]},
        {"name": "Warm", "description": "why"},
        {"muted": True},
        {"group": "symbol"},
        {"expression": "(score  > 60)"},
        {"for": "5h"},
        {"cooldown": "5h"},
        {"symbols": ["S0USDT", "S1USDT", "S2USDT", "XUSDT"]},
    ],
)
def test_an_edit_that_changes_no_condition_resets_nothing(change: dict[str, Any]) -> None:
    old = rule(**{"for": "1h"})
    seen = Watched(old, "TT", "FT", "FF")
    new = parse_definition({"name": "Hot", "expression": "score > 60", "for": "1h", **change})
    states, events = carry_over(old, new, seen.states, START + 2 * HOUR)
    assert states == seen.states
    assert events == []


@pytest.mark.parametrize("change", [{"expression": "score > 61"}, {"profile_name": "aggressive"}])
def test_another_condition_begins_anew_and_ends_what_fired_by_the_old_one(
    change: dict[str, Any],
) -> None:
    old = rule(cooldown="9h")
    seen = Watched(old, "TT", "FF")
    new = parse_definition({"name": "Hot", "expression": "score > 60", "cooldown": "9h", **change})
    states, events = carry_over(old, new, seen.states, START + HOUR * 3 / 2)
    assert [(e.symbol, e.kind, e.reason) for e in events] == [("S0USDT", "ended", "rule_changed")]
    same, none = step(new, states, START + HOUR, codes("TT"))
    assert (same, none) == (states, []), "a bar is not judged again because of an edit"
    _, fired = step(new, states, START + 2 * HOUR, codes("TF"))
    assert [(e.symbol, e.kind) for e in fired] == [("S0USDT", "fired")]


def test_a_changed_wait_is_judged_from_when_the_condition_really_began() -> None:
    old, shorter = rule(**{"for": "9h"}), rule(**{"for": "2h"})
    seen = Watched(old, "TTT")
    states, _ = carry_over(old, shorter, seen.states, START + 2 * HOUR)
    _, events = step(shorter, states, START + 3 * HOUR, codes("T"))
    assert [(e.kind, e.began_at) for e in events] == [("fired", START)]


def test_symbols_that_are_left_out_end_and_new_ones_begin_afresh() -> None:
    old = rule()
    seen = Watched(old, "T", "T")
    new = rule(symbols=["S1USDT", "XUSDT"])
    states, events = carry_over(old, new, seen.states, START + HOUR / 2)
    assert [(e.symbol, e.kind, e.reason) for e in events] == [("S0USDT", "ended", "removed")]
    states = states.with_symbols(["S1USDT", "XUSDT"], seen_at=START)
    _, events = step(new, states, START + HOUR, codes("TT"))
    assert [(e.symbol, e.kind) for e in events] == [("XUSDT", "fired")]


def test_disabling_ends_what_fires_and_enabling_begins_anew() -> None:
    on, off = rule(**{"for": "1h"}), rule(**{"for": "1h", "enabled": False})
    seen = Watched(on, "TT", "FT")
    states, events = carry_over(on, off, seen.states, START + 2 * HOUR)
    assert [(e.symbol, e.reason) for e in events] == [("S0USDT", "disabled")]
    states, events = carry_over(off, on, states, START + 9 * HOUR)
    assert events == []
    _, events = step(on, states, START + 10 * HOUR, codes("TT"))
    assert events == [], "the time it was off is not time the condition held"


def test_rearming_that_is_given_up_frees_what_waited_for_it() -> None:
    old, new = rule(rearm="9h"), rule()
    seen = Watched(old, "TFT")
    states, _ = carry_over(old, new, seen.states, START + 3 * HOUR)
    _, events = step(new, states, START + 3 * HOUR, codes("T"))
    assert [e.kind for e in events] == ["fired"]


def test_a_market_that_is_gone_ends_its_firing() -> None:
    seen = Watched(rule(), "T", "F")
    states, events = remove(seen.states, ["S0USDT", "S1USDT", "NEVERUSDT"], START + HOUR)
    assert len(states) == 0
    assert [(e.symbol, e.reason) for e in events] == [("S0USDT", "removed")]


def test_only_what_goes_on_otherwise_is_written() -> None:
    seen = Watched(rule(), "F", "F", "T")
    before = fresh(seen.states.symbols)
    assert [row["symbol"] for row in to_rows(seen.states, since=before)] == ["S2USDT"]
    after, _ = step(seen.definition, seen.states, START + HOUR, codes("F?T"))
    assert [row["symbol"] for row in to_rows(after, since=seen.states)] == ["S1USDT"]


def test_a_row_holds_words_and_times_in_utc() -> None:
    seen = Watched(rule(**{"for": "2h"}), "T?T")
    row = to_rows(seen.states)[0]
    assert row == {
        "symbol": "S0USDT",
        "phase": "pending",
        "health": "ok",
        "waits": "",
        "last": "true",
        "armed": True,
        "run_lost_s": 3600.0,
        "seen_at": START + 2 * HOUR,
        "unknown_since": None,
        "run_since": START,
        "began_at": START,
        "fired_at": None,
        "ended_at": None,
        "told_at": None,
        "acknowledged_at": None,
    }
    assert from_rows([row]) == seen.states
