"""Whatever the settings and the gaps: a replay is the live machine, which is what a plain one does."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from alert_strategies import START, definitions
from hypothesis import given, settings
from hypothesis import strategies as st

from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.engine import Event, Judged, reopen, step, step_all, untold
from core.alerts.kernels import FALSE, TRUE, UNKNOWN
from core.alerts.replaying import replay
from core.alerts.states import ERROR_TRUTH, States, fresh, from_rows, to_moment, to_us
from core.errors import Cancelled
from tests.alert_rows import to_rows

SYMBOLS = ("ADAUSDT", "BTCUSDT", "ETHUSDT")


@st.composite
def truths(draw: st.DrawFn, symbols: int = len(SYMBOLS)) -> np.ndarray:
    """Runs of equal truth, as conditions have, with gaps and faults."""
    bars, rows = draw(st.integers(0, 50)), []
    value = st.sampled_from([FALSE, TRUE, FALSE, TRUE, UNKNOWN, ERROR_TRUTH])
    for _ in range(symbols):
        runs = draw(st.lists(st.tuples(value, st.integers(1, 6)), min_size=bars // 3 + 1))
        row = [each for each, length in runs for _ in range(length)]
        rows.append((row + [draw(value)] * bars)[:bars])
    return np.array(rows, dtype=np.int8).reshape(symbols, bars)


def bar_times(bars: int, minutes: int) -> list[datetime]:
    return [START + number * timedelta(minutes=minutes) for number in range(bars)]


def stepped(
    definition: RuleDefinition, states: States, times: list[datetime], truth: np.ndarray
) -> tuple[States, list[Event]]:
    events: list[Event] = []
    for column, at in enumerate(times):
        states, found = step(definition, states, at, truth[:, column])
        events += found
    return states, events


@settings(max_examples=120, deadline=None)
@given(definitions(), truths(), st.sampled_from([15, 60, 240]), st.integers(0, 50))
def test_a_replay_is_bit_equal_to_stepping_bar_by_bar(
    definition: RuleDefinition, truth: np.ndarray, minutes: int, cut: int
) -> None:
    times = bar_times(truth.shape[1], minutes)
    us = np.array([to_us(at) for at in times], dtype=np.int64)
    states, events = stepped(definition, fresh(SYMBOLS), times, truth)
    whole, found = replay(definition, fresh(SYMBOLS), us, truth)
    assert whole == states
    assert list(found.named(SYMBOLS)) == events
    half, first = replay(definition, fresh(SYMBOLS), us[:cut], truth[:, :cut])
    # The second half is given bars that were judged already, as after a restart.
    again, second = replay(definition, half, us, truth)
    assert again == states
    assert [*first.named(SYMBOLS), *second.named(SYMBOLS)] == events
    # From states of which nobody was told, as after a silence.
    unheard = untold(half, SYMBOLS)
    states, events = stepped(definition, unheard, times, truth)
    whole, found = replay(definition, unheard, us, truth)
    assert whole == states
    assert list(found.named(SYMBOLS)) == events


@pytest.mark.parametrize("setting", ["for", "keep_firing", "cooldown", "rearm", "repeat", "hours"])
def test_a_replay_misses_no_bar_at_which_a_single_clock_runs_out(setting: str) -> None:
    # One setting alone: no other clock then wakes the replay by accident.
    random = np.random.default_rng(len(setting))
    times = bar_times(60, 60)
    us = np.array([to_us(at) for at in times])
    for length in (1, 2, 3, 5, 7):
        hours = {"start": f"{length:02d}:00", "end": f"{3 * length:02d}:30"}
        change = {"active_hours": hours} if setting == "hours" else {setting: f"{length}h"}
        definition = parse_definition({"name": "Hot", "expression": "score > 60", **change})
        turns = np.cumsum(random.random((20, 60)) < 0.2, axis=1) % 2
        truth = np.where(random.random((20, 60)) < 0.03, UNKNOWN, FALSE + 2 * turns)
        symbols = [f"S{number:02d}USDT" for number in range(20)]
        states, events = stepped(definition, fresh(symbols), times, truth.astype(np.int8))
        whole, found = replay(definition, fresh(symbols), us, truth.astype(np.int8))
        assert whole == states
        assert list(found.named(symbols)) == events


@settings(max_examples=120, deadline=None)
@given(definitions(), truths(), st.sampled_from([15, 60, 240]))
def test_the_machine_does_what_a_plain_one_does(
    definition: RuleDefinition, truth: np.ndarray, minutes: int
) -> None:
    times = bar_times(truth.shape[1], minutes)
    _, events = stepped(definition, fresh(SYMBOLS), times, truth)
    for place, symbol in enumerate(SYMBOLS):
        plain = Plain(definition)
        for at, value in zip(times, truth[place].tolist(), strict=True):
            plain.see(at, value)
        assert said_of(events, symbol) == plain.said


@settings(max_examples=120, deadline=None)
@given(definitions(), truths(), st.lists(st.integers(0, 50), max_size=3))
def test_what_could_not_be_told_is_told_late_and_once_as_by_a_plain_machine(
    definition: RuleDefinition, truth: np.ndarray, turns: list[int]
) -> None:
    times = bar_times(truth.shape[1], 60)
    quiet = {at for bar, at in enumerate(times) if sum(turn <= bar for turn in turns) % 2}
    states, events = fresh(SYMBOLS), list[Event]()
    for column, at in enumerate(times):
        states, found = step(definition, states, at, truth[:, column])
        if at in quiet:
            kept_back = [each.symbol for each in found if each.kind in ("fired", "late")]
            states = untold(states, kept_back)
            found = [each for each in found if each.kind != "late"]
        events += found
    for place, symbol in enumerate(SYMBOLS):
        plain = Plain(definition, quiet)
        for at, value in zip(times, truth[place].tolist(), strict=True):
            plain.see(at, value)
        assert said_of(events, symbol) == plain.said


@settings(max_examples=120, deadline=None)
@given(definitions(), truths(), st.data())
def test_bars_that_come_late_are_judged_as_if_they_had_been_there(
    definition: RuleDefinition, truth: np.ndarray, data: st.DataObject
) -> None:
    times = bar_times(truth.shape[1], 60)
    cut = data.draw(st.integers(0, len(times)))
    ends = definition.expires_at
    if ends is not None and cut and ends <= times[cut - 1]:
        return
    first = data.draw(st.lists(st.integers(0, cut), min_size=3, max_size=3))
    known = truth.copy()
    for place, begins in enumerate(first):
        known[place, begins:cut] = UNKNOWN
    there, before = stepped(definition, fresh(SYMBOLS), times[:cut], known[:, :cut])
    late = {symbol: times[begins:cut] for symbol, begins in zip(SYMBOLS, first, strict=True)}
    states, after = stepped(definition, reopen(there, late), times, truth)
    straight, events = stepped(definition, fresh(SYMBOLS), times, truth)
    assert states == straight
    assert sorted(before + after, key=lambda each: (each.at, each.symbol)) == events


def said_of(events: list[Event], symbol: str) -> list[Any]:
    return [(e.kind, e.reason, e.at, e.began_at, e.untold) for e in events if e.symbol == symbol]


class Plain:
    """One symbol, written to be read: bars that nobody saw are taken out of the clock of the
    condition, all else follows the calendar. At the bars of ``quiet`` nothing may be told."""

    def __init__(self, definition: RuleDefinition, quiet: Collection[datetime] = ()) -> None:
        self.d, self.quiet = definition, quiet
        self.said: list[tuple[str, str, datetime, datetime | None, bool]] = []
        self.clock = timedelta(0)  # seen time
        self.last_bar: datetime | None = None
        self.blind_since: datetime | None = None
        self.run: list[Any] = [None, None, None]  # truth, clock and time at which it began
        self.firing = self.waiting = False
        self.armed = True
        self.began: datetime | None = None
        self.ended: datetime | None = None
        self.told: datetime | None = None

    def see(self, at: datetime, value: int) -> None:
        d = self.d
        if not d.enabled:
            return
        unknown = value in (UNKNOWN, ERROR_TRUTH)
        if unknown:
            if self.blind_since is None:
                self.blind_since = at
                self._tick(at)
        else:
            if self.blind_since is None:
                self._tick(at)
            self.blind_since, self.last_bar = None, at
            if self.run[0] != value:
                self.run = [value, self.clock, at]
        if d.expires_at is not None and at >= d.expires_at:
            if self.firing:
                self._end(at, "expired")
            self.armed, self.waiting = True, False
        elif not unknown:
            (self._true if value == TRUE else self._false)(at, self.clock - self.run[1])

    def _tick(self, at: datetime) -> None:
        if self.last_bar is not None:
            self.clock += at - self.last_bar
        self.last_bar = at

    def _false(self, at: datetime, held: timedelta) -> None:
        self.waiting = False
        if held >= (self.d.rearm or timedelta(0)):
            self.armed = True
        if self.firing and held >= (self.d.keep_firing or timedelta(0)):
            self._end(at, "resolved")

    def _end(self, at: datetime, why: str) -> None:
        self.said.append(("ended", why, at, self.began, self.told is None))
        self.firing, self.ended = False, at

    def _true(self, at: datetime, held: timedelta) -> None:
        d = self.d
        hours = d.active_hours
        inside = hours is None or bool(hours.contains(np.array([to_us(at)]))[0])
        if self.firing:
            self.armed = False
            if inside and self.told is None:
                if at not in self.quiet:
                    self.told = at
                    self.said.append(("late", "", at, self.began, False))
            elif d.repeat is not None and inside and at - self.told >= d.repeat:
                self.told = at
                self.said.append(("repeat", "", at, self.began, False))
            return
        if held < (d.for_ or timedelta(0)):
            return
        why = ""
        if not self.armed:
            why = "rearm"
        elif self.ended is not None and at < self.ended + (d.cooldown or timedelta(0)):
            why = "cooldown"
        elif not inside:
            why = "active_hours"
        if not why:
            self.firing, self.armed, self.waiting = True, False, False
            self.began, self.told = self.run[2], None if at in self.quiet else at
            self.said.append(("fired", "", at, self.began, False))
        elif not self.waiting:
            self.waiting = True
            self.said.append(("held", why, at, self.run[2], False))


@settings(max_examples=60, deadline=None)
@given(definitions(), truths(), st.integers(1, 5))
def test_a_restart_from_the_rows_that_were_written_goes_on_alike(
    definition: RuleDefinition, truth: np.ndarray, every: int
) -> None:
    times = bar_times(truth.shape[1], 60)
    _, events = stepped(definition, fresh(SYMBOLS), times, truth)
    rows: dict[str, dict[str, Any]] = {}
    states, found = fresh(SYMBOLS), []
    for column, at in enumerate(times):
        if column % every == 0:
            newest = times[column - 1] if column else None
            states = from_rows(rows.values(), SYMBOLS, seen_at=newest)
        before = states
        states, new = step(definition, states, at, truth[:, column])
        rows |= {row["symbol"]: row for row in to_rows(states, since=before)}
        found += new
    assert found == events
    assert from_rows(to_rows(states), SYMBOLS) == states


@settings(max_examples=25, deadline=None)
@given(st.lists(definitions(), min_size=1, max_size=4), st.data())
def test_rules_stepped_together_are_rules_stepped_alone(
    rules: list[RuleDefinition], data: st.DataObject
) -> None:
    truth = [data.draw(truths()) for _ in rules]
    bars = min(each.shape[1] for each in truth)
    alone = together = [(fresh(SYMBOLS), list[Event]()) for _ in rules]
    for column, at in enumerate(bar_times(bars, 60)):
        judged = [
            Judged(each, states, row[:, column])
            for each, (states, _), row in zip(rules, together, truth, strict=True)
        ]
        together = step_all(judged, at)
        alone = [
            step(each, states, at, row[:, column])
            for each, (states, _), row in zip(rules, alone, truth, strict=True)
        ]
        assert together == alone


def test_a_replay_says_how_far_it_is_and_can_be_stopped() -> None:
    definition = parse_definition({"name": "Hot", "expression": "score > 60"})
    truth = np.tile(np.array([FALSE, TRUE], dtype=np.int8), (2, 500))
    times = to_us(START) + np.arange(1000) * 3_600_000_000
    shares: list[float] = []
    replay(definition, fresh(["A", "B"]), times, truth, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert len(shares) > 10
    with pytest.raises(Cancelled):
        replay(definition, fresh(["A", "B"]), times, truth, cancelled=lambda: len(shares) > 0)


def test_a_moment_survives_as_a_number_to_the_microsecond() -> None:
    at = datetime(2025, 9, 1, 12, 0, 0, 123457, tzinfo=UTC)
    assert to_moment(to_us(at)) == at
    with pytest.raises(ValueError, match="no time zone"):
        to_us(datetime(2025, 9, 1))  # noqa: DTZ001
