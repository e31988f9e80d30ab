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

The machine takes a firing to be told at the bar it fires at. Where it was not, because it was silenced
or muted, whoever decides that says so (`untold`), and the machine emits it as told late at every bar
at which it is known to fire, until one of these is sent. No bar of a history is silenced.

A firing ends with a reason: resolved (the condition was false for `keep_firing`), expired, disabled,
rule_changed or removed. Missing data and errors are none: they keep the phase and are its health.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from core.alerts.definition import RuleDefinition
from core.alerts.expression import compile_rule
from core.alerts.hours import Window
from core.alerts.kernels import FALSE, TRUE, UNKNOWN, Truth
from core.alerts.states import (
    ACKNOWLEDGED_AT,
    ARMED,
    BEGAN_AT,
    ENDED_AT,
    ERROR,
    ERROR_TRUTH,
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
    UNKNOWN_SINCE,
    WAIT,
    WAITS,
    WAITS_COOLDOWN,
    WAITS_HOURS,
    WAITS_REARM,
    Bools,
    Ints,
    States,
    blank,
    to_moment,
    to_us,
)
from core.errors import RuleError

KINDS: tuple[str, ...] = ("fired", "ended", "repeat", "held", "late")
FIRED, ENDED, REPEATED, HELD, LATE = range(len(KINDS))
ENDINGS: tuple[str, ...] = ("resolved", "expired", "disabled", "rule_changed", "removed")
RESOLVED, EXPIRED, DISABLED, RULE_CHANGED, REMOVED = range(len(ENDINGS))

_NEVER = int(np.iinfo(np.int64).max)


class Event(NamedTuple):
    """What happened to one symbol at the bar ``at``.

    ``kind`` is fired, ended, repeat, late (it still fires, and nobody was told), or held: the
    condition has become one that would fire, and is held back by ``reason`` (cooldown,
    active_hours, rearm). Of an end ``reason`` is one of `ENDINGS`, and ``untold`` whether nobody
    was told of the firing. ``began_at`` is when the condition became true, ``fired_at`` None for
    held.
    """

    symbol: str
    kind: str
    at: datetime
    reason: str = ""
    began_at: datetime | None = None
    fired_at: datetime | None = None
    acknowledged: bool = False
    untold: bool = False


@dataclass(frozen=True)
class Timing:
    """Settings in microseconds, of one rule or of each column's. Two of them may be never."""

    held_for: Ints
    keep_firing: Ints
    cooldown: Ints
    rearm: Ints
    repeat: Ints
    expires_at: Ints

    @classmethod
    def of(cls, definitions: Sequence[RuleDefinition]) -> Timing:
        """One value of each setting per definition; one alone goes for every column."""
        return cls(*np.array([_settings(each) for each in definitions], dtype=np.int64).T)

    def repeated(self, widths: Ints) -> Timing:
        """Each rule's settings for as many columns as it has symbols."""
        settings = (getattr(self, each.name) for each in fields(self))
        return Timing(*(np.repeat(each, widths) for each in settings))

    def taken(self, places: Ints) -> Timing:
        """The settings of these columns."""
        return Timing(*(getattr(self, each.name)[places] for each in fields(self)))


def _settings(definition: RuleDefinition) -> tuple[int, ...]:
    return (
        _us(definition.for_),
        _us(definition.keep_firing),
        _us(definition.cooldown),
        _us(definition.rearm),
        _us(definition.repeat) or _NEVER,
        _ends_at(definition),
    )


def _ends_at(definition: RuleDefinition) -> int:
    # A disabled rule is one that ended before all time.
    if not definition.enabled:
        return NONE
    return _NEVER if definition.expires_at is None else to_us(definition.expires_at)


def _us(duration: timedelta | None) -> int:
    return 0 if duration is None else duration // timedelta(microseconds=1)


class Judged(NamedTuple):
    """A rule, its states, and for each of their symbols FALSE, UNKNOWN, TRUE or `ERROR_TRUTH`."""

    definition: RuleDefinition
    states: States
    truth: Truth


def step(
    definition: RuleDefinition, states: States, at: datetime, truth: Truth
) -> tuple[States, list[Event]]:
    """The states after the bar that closed at ``at``, and what happened at it.

    ``truth`` has for each symbol FALSE, UNKNOWN, TRUE, or `ERROR_TRUTH` where the rule could not be
    evaluated. A bar that is not newer than a symbol's state changes nothing of it, so stepping a
    bar twice is stepping it once. Events are in the order of symbols: of one symbol there is one.
    """
    return step_all([Judged(definition, states, truth)], at)[0]


def step_all(judged: Sequence[Judged], at: datetime) -> list[tuple[States, list[Event]]]:
    """`step` of many rules at one bar, in one go: rules and symbols do not know each other."""
    if not judged:
        return []
    widths = [len(each.states) for each in judged]
    table = np.concatenate([each.states.table for each in judged], axis=1)
    truth = np.concatenate([each.truth for each in judged])
    found = _advance_newer(
        table, to_us(at), truth, [each.definition for each in judged], np.array(widths)
    )
    ends = np.cumsum([0, *widths])
    owner = np.searchsorted(ends, found.place, side="right") - 1
    inside = zip(
        found.place.tolist(), owner.tolist(), (found.place - ends[owner]).tolist(), strict=True
    )
    names = {place: judged[rule].states.symbols[number] for place, rule, number in inside}
    events = list(found.named(names))
    parts = np.searchsorted(found.place, ends).tolist()
    return [
        (
            States(each.states.symbols, table[:, ends[number] : ends[number + 1]]),
            events[parts[number] : parts[number + 1]],
        )
        for number, each in enumerate(judged)
    ]


def _advance_newer(
    table: Ints, now: int, truth: Truth, definitions: Sequence[RuleDefinition], widths: Ints
) -> Events:
    """`advance` the columns that have not seen this bar."""
    timing = Timing.of(definitions).repeated(widths)
    inside = np.repeat([is_inside(each, np.array([now]))[0] for each in definitions], widths)
    newer = np.flatnonzero(table[SEEN_AT] < now)
    at = np.full(len(newer), now)
    if len(newer) == table.shape[1]:
        return advance(timing, table, at, truth, inside)
    part = table[:, newer]
    found = advance(timing.taken(newer), part, at, truth[newer], inside[newer])
    table[:, newer] = part
    return found.moved(newer)


def is_inside(definition: RuleDefinition, at: Ints) -> Bools:
    """Whether each time lies in the rule's active hours."""
    hours = definition.active_hours
    return np.ones(len(at), dtype=bool) if hours is None else hours.contains(at)


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
    acknowledged: Ints
    untold: Ints

    def __len__(self) -> int:
        return len(self.place)

    def moved(self, places: Ints) -> Events:
        """The same events of symbols that stand elsewhere."""
        return replace(self, place=places[self.place])

    def named(self, symbols: Sequence[str] | Mapping[int, str]) -> Iterator[Event]:
        """One `Event` each; ``symbols`` gives the symbol of a place."""
        moments = {
            us: to_moment(us) for us in np.unique(np.concatenate(self.columns[3:6])).tolist()
        }
        columns = (column.tolist() for column in self.columns)
        for place, kind, reason, us, began, fired, *flags in zip(*columns, strict=True):
            at = moments[us]
            assert at is not None
            why = _reason(kind, reason)
            times = at, why, moments[began], moments[fired]
            yield Event(symbols[place], KINDS[kind], *times, *map(bool, flags))

    @property
    def columns(self) -> tuple[Ints, ...]:
        """All of them, in the order of the fields."""
        times = self.at, self.began_at, self.fired_at
        return self.place, self.kind, self.reason, *times, self.acknowledged, self.untold


def _reason(kind: int, reason: int) -> str:
    if kind == ENDED:
        return ENDINGS[reason]
    return WAITS[reason] if kind == HELD else ""


def advance(timing: Timing, table: Ints, at: Ints, truth: Truth, inside: Bools) -> Events:
    """Step each column of ``table`` in place to its own time in ``at``, which must be newer.

    Columns do not know each other, so they need not be at the same time. ``inside`` says whether
    that time lies in the active hours.
    """
    waited = table[WAIT] != NOTHING
    table[SEEN_AT] = at
    _see(table, at, truth)
    over = at >= timing.expires_at
    false, true = (truth == FALSE) & ~over, (truth == TRUE) & ~over
    held = at - table[RUN_SINCE] - table[RUN_LOST]
    told = np.full(len(at), -1)
    ended = _false(timing, table, at, false, held)
    told[ended] = ENDED
    _true(timing, table, at, true, held, inside, told)
    told[(table[WAIT] != NOTHING) & ~waited & true] = HELD
    found = _events(table, at, told)
    _forget(table, ended)
    if over.any():
        disabled = over & (timing.expires_at == NONE)
        found = joined(found, _stop(table, at, over, np.where(disabled, DISABLED, EXPIRED)))
        table[:, disabled] = _anew(table[:, disabled])
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


def _true(
    timing: Timing, table: Ints, at: Ints, true: Bools, held: Ints, inside: Bools, told: Ints
) -> None:
    """Columns whose condition is true; writes into ``told`` what fires and what is repeated."""
    if not true.any():
        return
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
    # Of one nobody was told of `NONE` is long enough ago, also where nothing is repeated.
    due = lasting & inside & (table[TOLD_AT] <= at - timing.repeat)
    table[PHASE, fires] = FIRING
    table[ARMED, fires] = 0
    table[FIRED_AT, fires] = at[fires]
    told[fires], told[due] = FIRED, REPEATED
    told[due & (table[TOLD_AT] == NONE)] = LATE
    speaks = fires | due
    table[TOLD_AT, speaks] = at[speaks]


def _stop(table: Ints, at: Ints, which: Bools, why: Ints) -> Events:
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


def _events(table: Ints, at: Ints, told: Ints, why: Ints | None = None) -> Events:
    places = np.flatnonzero(told >= 0)
    kind = told[places]
    held, ended = kind == HELD, kind == ENDED
    found = table[:, places]
    unarmed = held & (found[PHASE] == INACTIVE)
    ending = RESOLVED if why is None else why[places]
    return Events(
        places,
        kind,
        np.where(held, found[WAIT], np.where(ended, ending, 0)),
        at[places],
        np.where(unarmed, found[RUN_SINCE], found[BEGAN_AT]),
        np.where(held, NONE, found[FIRED_AT]),
        (~held & (found[ACKNOWLEDGED_AT] != NONE)).astype(np.int64),
        (ended & (found[TOLD_AT] == NONE)).astype(np.int64),
    )


def no_events() -> Events:
    return Events(*(np.empty(0, dtype=np.int64) for _ in fields(Events)))


def joined(*parts: Events) -> Events:
    """The events of all, by time and the place of the symbol."""
    columns = [np.concatenate(each) for each in zip(*(part.columns for part in parts), strict=True)]
    order = np.lexsort((columns[0], columns[3]))
    return Events(*(column[order] for column in columns))


def next_due(timing: Timing, hours: Window | None, table: Ints, at: Ints) -> Ints:
    """The time before which a step with the same truth as at ``at`` changes nothing of a column.

    Nothing but that it was seen. May be earlier than need be, never later.
    """
    due = np.where(at < timing.expires_at, timing.expires_at, _NEVER)
    phase, known = table[PHASE], table[HEALTH] == OK
    waiting, lasting = known & (phase == PENDING), known & (phase == FIRING)
    unarmed = known & (phase == INACTIVE) & (table[LAST] == TRUE)
    false = known & (table[LAST] == FALSE)
    since = table[RUN_SINCE] + table[RUN_LOST]
    candidates = [
        (waiting | unarmed, since + timing.held_for),
        (waiting & (table[ENDED_AT] != NONE), table[ENDED_AT] + timing.cooldown),
        (false & (phase == RECOVERING), since + timing.keep_firing),
        (false & (table[ARMED] == 0), since + timing.rearm),
    ]
    if (timing.repeat != _NEVER).any():
        candidates.append((lasting, table[TOLD_AT] + timing.repeat))
    untold = lasting & (table[TOLD_AT] == NONE)
    if untold.any():
        candidates.append((untold, at + 1))
    if hours is not None:
        candidates.append((waiting | lasting, hours.next_change(at)))
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


def untold(states: States, symbols: Iterable[str]) -> States:
    """Nobody was told of the firings of these symbols: while they last they are told late."""
    table, places = states.table.copy(), [states.places[s] for s in symbols if s in states.places]
    table[TOLD_AT, places] = NONE
    return States(states.symbols, table)


def reopen(states: States, late: Mapping[str, Iterable[datetime]]) -> States:
    """As before the bars of some symbols that came late, so that these can be stepped now.

    While a symbol is unknown nothing of its state changes but that it is. So it can go back to any bar
    of its present gap, and to none before: what has been judged since cannot be taken back.
    """
    table = states.table.copy()
    for symbol, times in late.items():
        place = states.places.get(symbol)
        if place is None or table[HEALTH, place] == OK:
            continue
        since, seen = table[UNKNOWN_SINCE, place], table[SEEN_AT, place]
        inside = [us for us in map(to_us, times) if since <= us <= seen]
        if inside:
            table[SEEN_AT, place] = min(inside) - 1
            if since == min(inside):
                table[HEALTH, place], table[UNKNOWN_SINCE, place] = OK, NONE
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
    if old.profile_name != new.profile_name or not _same_condition(old, new):
        states, events = _restarted(states, at, RULE_CHANGED)
    elif not (old.enabled and new.enabled):
        states, events = _restarted(states, at, DISABLED)
    left, ended = remove(states, [s for s in states.symbols if not new.covers(s)], at)
    if old.rearm is not None and new.rearm is None:
        waiting = left.table[WAIT] == WAITS_REARM
        left.table[ARMED, waiting], left.table[WAIT, waiting] = 1, NOTHING
    return left, [*events, *ended]


def _same_condition(old: RuleDefinition, new: RuleDefinition) -> bool:
    """Whether both say the same, spaces and parentheses aside."""
    if old.expression == new.expression:
        return True
    try:
        return compile_rule(old.expression).canonical == compile_rule(new.expression).canonical
    except RuleError:
        return False


def remove(states: States, symbols: Iterable[str], at: datetime) -> tuple[States, list[Event]]:
    """Without these symbols, for example because they are no longer traded; firings end as removed."""
    gone = {symbol for symbol in symbols if symbol in states.places}
    out, left = states.take(sorted(gone)), states.take(s for s in states.symbols if s not in gone)
    return left, _restarted(out, at, REMOVED)[1]


def _restarted(states: States, at: datetime, why: int) -> tuple[States, list[Event]]:
    table, width = states.table.copy(), len(states)
    every, now = np.ones(width, dtype=bool), np.full(width, to_us(at))
    found = _stop(table, now, every, np.full(width, why))
    return States(states.symbols, _anew(table)), list(found.named(states.symbols))


def _anew(table: Ints) -> Ints:
    """As if never stepped, but for the newest bar: none is judged twice."""
    found = blank(table.shape[1])
    found[SEEN_AT] = table[SEEN_AT]
    return found


# `_see` takes the odd ones as unknown.
assert [int(each) for each in (FALSE, UNKNOWN, TRUE, ERROR_TRUTH)] == [0, 1, 2, 3]
