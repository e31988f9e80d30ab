"""The state machine of alert rules: what became of each symbol's condition at a bar.

Pure: time is an argument, and the same `step` runs live, once a bar, and in a backtest.

Two kinds of clocks. What is about the **condition** (`for`, `keep_firing`, `rearm`) counts only
time that was seen: while the condition is unknown these clocks stand still, as if the missing bars
did not exist. So a gap neither starts an alert over nor lets it fire on what nobody saw. What is
about **messages** (`cooldown`, `repeat`, `expires_at`, `active_hours`) follows the calendar.

A condition that turned true and may not fire yet, because of a cooldown or outside of active
hours, is held back and not lost: it stays pending and fires at the first bar at which it may, if it
is still true. One that turned true without having been false for `rearm` is no new event: it stays
inactive until it was.

A firing ends with a reason: resolved (the condition was false for `keep_firing`), expired, disabled,
rule_changed or removed. Missing data and errors are none: they keep the phase and are its health.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from core.alerts.definition import RuleDefinition
from core.alerts.hours import Window
from core.alerts.states import (
    ACKNOWLEDGED_AT,
    ARMED,
    BEGAN_AT,
    ENDED_AT,
    ERROR,
    ERROR_TRUTH,
    FALSE,
    FIRED_AT,
    FIRING,
    HEALTH,
    INACTIVE,
    LAST,
    NO_DATA,
    NONE,
    NOTHING,
    OK,
    PENDING,
    PHASE,
    RECOVERING,
    RUN_LOST,
    RUN_SINCE,
    SEEN_AT,
    TOLD_AT,
    TRUE,
    UNKNOWN,
    UNKNOWN_SINCE,
    WAIT,
    WAITS,
    WAITS_COOLDOWN,
    WAITS_HOURS,
    WAITS_REARM,
    Bools,
    Ints,
    States,
    Truth,
    blank,
    to_moment,
    to_us,
)

KINDS: tuple[str, ...] = ("fired", "ended", "repeat", "held")
FIRED, ENDED, REPEATED, HELD = range(len(KINDS))
ENDINGS: tuple[str, ...] = ("resolved", "expired", "disabled", "rule_changed", "removed")
RESOLVED, EXPIRED, DISABLED, RULE_CHANGED, REMOVED = range(len(ENDINGS))

_NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Event:
    """What happened to one symbol at the bar ``at``.

    ``kind`` is fired, ended, repeat, or held: the condition has become one that would fire, and is
    held back by ``reason`` (cooldown, active_hours, rearm). Of an end ``reason`` is one of
    `ENDINGS`. ``began_at`` is when the condition became true, ``fired_at`` None for held.
    """

    symbol: str
    kind: str
    at: datetime
    reason: str = ""
    began_at: datetime | None = None
    fired_at: datetime | None = None
    acknowledged: bool = False


@dataclass(frozen=True)
class Timing:
    """A rule's settings in microseconds. ``repeat`` and ``expires_at`` may be never."""

    enabled: bool
    held_for: int
    keep_firing: int
    cooldown: int
    rearm: int
    repeat: int
    expires_at: int
    hours: Window | None

    @classmethod
    def of(cls, definition: RuleDefinition) -> Timing:
        expires = definition.expires_at
        return cls(
            definition.enabled,
            _us(definition.for_),
            _us(definition.keep_firing),
            _us(definition.cooldown),
            _us(definition.rearm),
            _us(definition.repeat) or _NEVER,
            _NEVER if expires is None else to_us(expires),
            definition.active_hours,
        )


def _us(duration: timedelta | None) -> int:
    return 0 if duration is None else duration // timedelta(microseconds=1)


def step(
    definition: RuleDefinition, states: States, at: datetime, truth: Truth
) -> tuple[States, list[Event]]:
    """The states after the bar that closed at ``at``, and what happened at it.

    ``truth`` has for each symbol FALSE, UNKNOWN, TRUE, or `ERROR_TRUTH` where the rule could not be
    evaluated. A bar that is not newer than a symbol's state changes nothing of it, so stepping a
    bar twice is stepping it once. Events are in the order of symbols: of one symbol there is one.
    """
    now, table = to_us(at), states.table.copy()
    newer = np.flatnonzero(table[SEEN_AT] < now)
    if len(newer) < len(states):
        part = table[:, newer]
        found = advance(Timing.of(definition), part, np.full(len(newer), now), truth[newer])
        table[:, newer] = part
        found = found.placed(newer)
    else:
        found = advance(Timing.of(definition), table, np.full(len(states), now), truth)
    return States(states.symbols, table), list(found.named(states.symbols))


def older(states: States, at: datetime) -> dict[str, str]:
    """The symbols for which `step` would ignore the bar, and why."""
    now, found = to_us(at), {}
    for symbol, seen in zip(states.symbols, states.table[SEEN_AT].tolist(), strict=True):
        if seen == now:
            found[symbol] = "this bar was judged already"
        elif seen > now:
            found[symbol] = f"a newer bar, {to_moment(seen):%Y-%m-%d %H:%M} UTC, was judged already"
    return found


@dataclass(frozen=True)
class Events:
    """Events as arrays: the symbol's place, kind, reason, and the times."""

    place: Ints
    kind: Ints
    reason: Ints
    at: Ints
    began_at: Ints
    fired_at: Ints
    acknowledged: Bools

    def __len__(self) -> int:
        return len(self.place)

    def placed(self, places: Ints) -> Events:
        """The same events of symbols that stand elsewhere."""
        return Events(places[self.place], *self._rest())

    def named(self, symbols: tuple[str, ...]) -> Iterator[Event]:
        """One `Event` each."""
        columns = (column.tolist() for column in (self.place, *self._rest()))
        for place, kind, reason, at, began, fired, known in zip(*columns, strict=True):
            moment = to_moment(at)
            assert moment is not None
            yield Event(
                symbols[place],
                KINDS[kind],
                moment,
                _reason(kind, reason),
                to_moment(began),
                to_moment(fired),
                known,
            )

    def _rest(self) -> tuple[Ints, Ints, Ints, Ints, Ints, Bools]:
        return self.kind, self.reason, self.at, self.began_at, self.fired_at, self.acknowledged


def _reason(kind: int, reason: int) -> str:
    if kind == ENDED:
        return ENDINGS[reason]
    return WAITS[reason] if kind == HELD else ""


def advance(timing: Timing, table: Ints, at: Ints, truth: Truth) -> Events:
    """Step each column of ``table`` in place to its own time in ``at``, which must be newer.

    Columns do not know each other, so they need not be at the same time.
    """
    before_wait = table[WAIT].copy()
    table[SEEN_AT] = at
    _see(table, at, truth)
    if not timing.enabled:
        found = _stop(table, at, np.ones(len(at), dtype=bool), DISABLED)
        _begin_anew(table)
        return found
    gone = at >= timing.expires_at
    if gone.all() and len(at):
        return _stop(table, at, gone, EXPIRED)
    false, true = (truth == FALSE) & ~gone, (truth == TRUE) & ~gone
    held = at - table[RUN_SINCE] - table[RUN_LOST]
    told = np.full(len(at), -1)
    ended = _false(timing, table, at, false, held)
    told[ended] = ENDED
    _true(timing, table, at, true, held, told)
    waits = table[WAIT]
    told[(waits != NOTHING) & (before_wait == NOTHING) & true] = HELD
    found = _events(table, at, told)
    if ended.any():
        _forget(table, ended)
    if gone.any():
        return _joined(found, _stop(table, at, gone, EXPIRED))
    return found


def _see(table: Ints, at: Ints, truth: Truth) -> None:
    """Health, and the run of equal known truth with what of it was not seen."""
    unknown = (truth & 1).astype(bool)
    blind = table[HEALTH] != OK
    if blind.any():
        back = blind & ~unknown
        table[RUN_LOST, back] += at[back] - table[UNKNOWN_SINCE, back]
        table[UNKNOWN_SINCE, back] = NONE
        table[HEALTH, back] = OK
    if unknown.any():
        lost = unknown & ~blind
        table[UNKNOWN_SINCE, lost] = at[lost]
        table[HEALTH, unknown] = np.where(truth[unknown] == ERROR_TRUTH, ERROR, NO_DATA)
    turned = (truth != table[LAST]) & ~unknown
    if turned.any():
        table[LAST, turned] = truth[turned]
        table[RUN_SINCE, turned] = at[turned]
        table[RUN_LOST, turned] = 0


def _false(timing: Timing, table: Ints, at: Ints, false: Bools, held: Ints) -> Bools:
    """Columns whose condition is false; those whose firing ends."""
    table[WAIT, false] = NOTHING
    table[ARMED, false & (held >= timing.rearm)] = 1
    lasting = false & (table[PHASE] >= FIRING)
    ended: Bools = lasting & (held >= timing.keep_firing)
    table[PHASE, false] = np.where(lasting & ~ended, RECOVERING, INACTIVE)[false]
    table[ENDED_AT, ended] = at[ended]
    return ended


def _true(timing: Timing, table: Ints, at: Ints, true: Bools, held: Ints, told: Ints) -> None:
    """Columns whose condition is true; writes into ``told`` what fires and what is repeated."""
    if not true.any():
        return
    inside = _inside(timing, at)
    lasting = true & (table[PHASE] >= FIRING)
    idle = true & ~lasting & (table[ARMED] == 1)
    ready = idle & (held >= timing.held_for)
    cooling = ready & (at < table[ENDED_AT] + timing.cooldown)
    fires = ready & ~cooling & inside
    waits = np.where(cooling, WAITS_COOLDOWN, np.where(ready & ~inside, WAITS_HOURS, NOTHING))
    waits[true & ~lasting & ~idle & (held >= timing.held_for)] = WAITS_REARM
    table[WAIT, true] = waits[true]
    table[BEGAN_AT, idle] = table[RUN_SINCE, idle]
    table[PHASE, idle] = PENDING
    table[PHASE, lasting] = FIRING
    due = lasting & inside & (at - table[TOLD_AT] >= timing.repeat)
    table[PHASE, fires] = FIRING
    table[ARMED, fires | lasting] = 0
    table[FIRED_AT, fires] = at[fires]
    table[ACKNOWLEDGED_AT, fires] = NONE
    speaks = fires | due
    table[TOLD_AT, speaks] = at[speaks]
    told[fires], told[due] = FIRED, REPEATED


def _inside(timing: Timing, at: Ints) -> Bools:
    if timing.hours is None:
        return np.ones(len(at), dtype=bool)
    return timing.hours.contains(at)


def _stop(table: Ints, at: Ints, which: Bools, why: int) -> Events:
    """End what fires, and what would: nothing of these columns is left but their last times."""
    ends = which & (table[PHASE] >= FIRING)
    table[ENDED_AT, ends] = at[ends]
    found = _events(table, at, np.where(ends, ENDED, -1), why)
    table[PHASE, which], table[WAIT, which], table[ARMED, which] = INACTIVE, NOTHING, 1
    _forget(table, ends)
    return found


def _forget(table: Ints, ended: Bools) -> None:
    table[TOLD_AT, ended] = NONE
    table[ACKNOWLEDGED_AT, ended] = NONE


def _events(table: Ints, at: Ints, told: Ints, why: int = RESOLVED) -> Events:
    places = np.flatnonzero(told >= 0)
    kind = told[places]
    held = kind == HELD
    fired_at = np.where(held, NONE, table[FIRED_AT, places])
    began_at = np.where(
        held & (table[PHASE, places] == INACTIVE),
        table[RUN_SINCE, places],
        table[BEGAN_AT, places],
    )
    reason = np.where(held, table[WAIT, places], np.where(kind == ENDED, why, 0))
    known = table[ACKNOWLEDGED_AT, places] != NONE
    return Events(places, kind, reason, at[places], began_at, fired_at, known)


def _joined(one: Events, other: Events) -> Events:
    """The events of both, by the place of the symbol."""
    pairs = zip((one.place, *one._rest()), (other.place, *other._rest()), strict=True)
    columns = [np.concatenate(pair) for pair in pairs]
    order = np.argsort(columns[0], kind="stable")
    return Events(*(column[order] for column in columns))


def next_due(timing: Timing, table: Ints, at: Ints) -> Ints:
    """The time before which a step with the same truth as at ``at`` changes nothing of a column.

    Nothing but that it was seen. May be earlier than need be, never later.
    """
    due = np.where(at < timing.expires_at, timing.expires_at, _NEVER)
    phase, known = table[PHASE], table[HEALTH] == OK
    waiting = known & (phase == PENDING)
    since = table[RUN_SINCE] + table[RUN_LOST]
    false = known & (table[LAST] == FALSE)
    unarmed = known & (phase == INACTIVE) & (table[LAST] == TRUE)
    candidates = [
        (waiting | unarmed, since + timing.held_for),
        (waiting & (table[ENDED_AT] != NONE), table[ENDED_AT] + timing.cooldown),
        (false & (phase == RECOVERING), since + timing.keep_firing),
        (false & (table[ARMED] == 0), since + timing.rearm),
    ]
    lasting = known & (phase == FIRING)
    if timing.repeat != _NEVER:
        candidates.append((lasting, table[TOLD_AT] + timing.repeat))
    if timing.hours is not None:
        candidates.append((waiting | lasting, timing.hours.next_change(at)))
    for which, time in candidates:
        due = np.where(which & (time > at) & (time < due), time, due)
    return due


def acknowledge(states: States, symbols: Iterable[str], at: datetime) -> States:
    """Nothing is repeated of the firings of these symbols until they end. Others are left alone."""
    table, places = states.table.copy(), [states.places[s] for s in symbols if s in states.places]
    chosen = np.zeros(len(states), dtype=bool)
    chosen[places] = True
    chosen &= (table[PHASE] >= FIRING) & (table[ACKNOWLEDGED_AT] == NONE)
    table[ACKNOWLEDGED_AT, chosen] = to_us(at)
    return States(states.symbols, table)


def carry_over(
    old: RuleDefinition, new: RuleDefinition, states: States, at: datetime
) -> tuple[States, list[Event]]:
    """The states that an edited rule goes on with, and what the edit ended.

    Another condition (expression or profile) starts every symbol anew: a firing of the old one
    ends as rule_changed, for what it said can no longer be judged, and no cooldown is left of it.
    Symbols that are left out end as removed, ones that stay keep their state. Disabling ends what
    fires, and enabling begins anew. Changed times are judged at the next bar from when things really happened. Severity,
    messages, channels, name and muting reset nothing. No bar is judged twice because of an edit.
    """
    events: list[Event] = []
    if (old.expression, old.profile_name) != (new.expression, new.profile_name):
        states, events = _restarted(states, at, RULE_CHANGED)
    elif not (old.enabled and new.enabled):
        states, events = _restarted(states, at, DISABLED)
    left, ended = remove(states, [s for s in states.symbols if not new.covers(s)], at)
    if old.rearm is not None and new.rearm is None:
        waiting = left.table[WAIT] == WAITS_REARM
        left.table[ARMED, waiting], left.table[WAIT, waiting] = 1, NOTHING
    return left, [*events, *ended]


def remove(states: States, symbols: Iterable[str], at: datetime) -> tuple[States, list[Event]]:
    """Without these symbols, for example because they are no longer traded; firings end as removed."""
    gone = {symbol for symbol in symbols if symbol in states.places}
    out, left = states.take(sorted(gone)), states.take(s for s in states.symbols if s not in gone)
    return left, _restarted(out, at, REMOVED)[1]


def _restarted(states: States, at: datetime, why: int) -> tuple[States, list[Event]]:
    table, now = states.table.copy(), np.full(len(states), to_us(at))
    found = _stop(table, now, np.ones(len(states), dtype=bool), why)
    _begin_anew(table)
    return States(states.symbols, table), list(found.named(states.symbols))


def _begin_anew(table: Ints) -> None:
    """As if never stepped, but for the newest bar: none is judged twice."""
    seen_at = table[SEEN_AT].copy()
    table[:] = blank(len(seen_at))
    table[SEEN_AT] = seen_at


assert (FALSE, UNKNOWN, TRUE, ERROR_TRUTH) == (0, 1, 2, 3)  # `_see` takes the odd ones as unknown
