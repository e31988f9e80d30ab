"""Many bars in one go, with exactly what stepping each of them gives.

Symbols do not know each other, and at most bars nothing can change of one: its condition is what it
was, and no clock runs out. `next_due` says when one may. So each symbol goes from one bar at which
something can change to its next one, all symbols side by side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from core.alerts.definition import RuleDefinition
from core.alerts.engine import Events, Timing, advance, is_inside, joined, next_due, no_events
from core.alerts.kernels import Truth
from core.alerts.states import SEEN_AT, Ints, States
from core.errors import Cancelled

_LOOK_UP = 64  # rounds between two reports of progress


def replay(
    definition: RuleDefinition,
    states: States,
    times: Ints,
    truth: Truth,
    *,
    progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[States, Events]:
    """What `step` at each of the ``times`` in turn gives: the last states, and all events.

    ``times`` are microseconds and rise; ``truth`` has a row per symbol and a column per time.
    Events are in the order of time and then of symbols. Raises `Cancelled` when told to stop.
    """
    table, bars = states.table.copy(), len(times)
    timing, hours = Timing.of([definition]), definition.active_hours
    inside, turns = is_inside(definition, times), _next_turns(truth)
    cursor = np.searchsorted(times, table[SEEN_AT], side="right")
    moving, found, rounds = np.flatnonzero(cursor < bars), [no_events()], 0
    while len(moving):
        if rounds % _LOOK_UP == 0:
            if cancelled():
                raise Cancelled("The backtest was stopped.")
            progress(float(cursor.mean()) / bars)
        rounds += 1
        bar = cursor[moving]
        at, part = times[bar], table[:, moving]
        events = advance(timing, part, at, truth[moving, bar], inside[bar])
        table[:, moving] = part
        if len(events):
            found.append(events.moved(moving))
        due = np.searchsorted(times, next_due(timing, hours, part, at))
        cursor[moving] = bar = np.minimum(due, turns[moving, bar])
        moving = moving[bar < bars]
    if bars:
        np.maximum(table[SEEN_AT], times[-1], out=table[SEEN_AT])
    progress(1.0)
    return States(states.symbols, table), joined(*found)


def _next_turns(truth: Truth) -> npt.NDArray[np.int32]:
    """For each bar, the first later one whose truth differs from it, or the number of bars."""
    bars = truth.shape[1]
    turns = np.full(truth.shape, bars, dtype=np.int32)
    if bars > 1:
        place = np.arange(1, bars, dtype=np.int32)
        np.copyto(turns[:, :-1], place, where=truth[:, 1:] != truth[:, :-1])
        turns = np.minimum.accumulate(turns[:, ::-1], axis=1)[:, ::-1]
    return turns
