"""From what was observed to stored bars and signals, for the bars that are not stored yet."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Engine

from core.backtest import decide_each
from core.market.frame import NAMES
from core.market.recording import Recording, assemble
from core.signals import Profile, Schedule
from core.store.due import count_frame, load_frame
from core.store.ledger import hold
from core.store.observations import load_closes, load_observations
from core.store.profiles import load_schedules
from core.store.signals import save_bars, save_each, save_profile

# A factor is measured against 30 days before, on inputs that look back another 30 and 3; profiles
# with longer windows have more read.
HISTORY = timedelta(days=70)
# A candle that comes this late still gets its bar; older ones only when nothing newer is stored.
LATE = timedelta(hours=24)
STEP_ROWS = 6_000
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Decided:
    """How many rows were stored, without those that were there."""

    bars: int = 0
    signals: int = 0

    def __add__(self, other: Decided) -> Decided:
        return Decided(self.bars + other.bars, self.signals + other.signals)


@dataclass
class History:
    """The stored bars of some symbols, so that each bar reads only what is new since the last.

    Bars are only ever added. So what is kept still holds all there is while it has as many rows as the
    database; where it has fewer, what is older than `LATE` before its newest bar no longer changes
    and stays, and the rest is read again.
    """

    _kept: dict[tuple[str, ...], pd.DataFrame] = field(default_factory=dict)
    _reach: dict[tuple[str, ...], timedelta] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def load(
        self, conn: Connection, symbols: Sequence[str], bar: datetime, reach: timedelta = HISTORY
    ) -> pd.DataFrame:
        """The market frame of ``reach`` up to ``bar`` (included), as far as it is stored."""
        key, start = tuple(symbols), pd.Timestamp(bar - reach)
        with self._lock:
            self._forget_other_sets(key)
            kept = self._kept.get(key) if self._reach.get(key) == reach else None
            self._reach[key] = reach
        if kept is not None:
            kept = kept[(_times(kept) >= start) & (_times(kept) <= pd.Timestamp(bar))]
        if kept is None or kept.empty:
            whole = load_frame(conn, symbols, start, bar)
        else:
            settled = _times(kept) < _times(kept).max() - 2 * LATE
            since = _times(kept)[settled].max() + _TICK if settled.any() else start
            if count_frame(conn, symbols, since, bar) == int((~settled).sum()):
                return kept
            fresh = load_frame(conn, symbols, since, bar)
            whole = pd.concat([kept[settled], fresh]).sort_index()
        self.keep(symbols, whole)
        return whole

    def keep(self, symbols: Sequence[str], whole: pd.DataFrame) -> None:
        """Take these for all bars of the symbols that are stored, from where `load` was asked for."""
        with self._lock:
            self._kept[tuple(symbols)] = whole

    def _forget_other_sets(self, key: tuple[str, ...]) -> None:
        """What is kept of these symbols together with others, as before a market was listed."""
        for other in [other for other in self._kept if other != key]:
            if not set(other).isdisjoint(key):
                del self._kept[other]


def batch_of(symbol: str, batches: int) -> int:
    """The batch a symbol is worked on in, always the same one."""
    return zlib.crc32(symbol.encode()) % batches


def decide_bars(
    engine: Engine,
    history: History,
    symbols: Sequence[str],
    bar: datetime,
    clock: Callable[[], datetime],
    told: Callable[[Connection, int], None] = lambda *_: None,
) -> Decided:
    """Store bars and the signals of every profile for what was observed up to ``bar``.

    Only bars that are not stored yet are decided, in steps of whole bars; each step is one
    transaction, in which ``told`` is called with its number of rows.
    """
    with engine.connect() as conn:
        schedules = load_schedules(conn)
        stored = history.load(conn, symbols, bar, _reach(schedules))
        first = _first_missing(conn, stored, symbols, bar)
        known = None if first is None else _observed(conn, symbols, first, bar)
    total = Decided()
    if known is None:
        return total
    new = (
        known.frame[~known.frame.index.isin(stored.index)].reindex(columns=list(NAMES)) + 0.0
    )  # as they are stored
    for step in _steps(new):
        stored = _merged(stored, step)
        done = None
        while done is None:
            made = _decide(stored, step, schedules)
            with engine.begin() as conn:
                # From here on nobody can put another version in force for these bars.
                hold(conn)
                newest = load_schedules(conn)
                if _same(newest, schedules, step):
                    done = _store(conn, step, made, known.ages, clock())
                    told(conn, len(step))
            schedules = newest
        total += done
        if done.bars == len(step):  # else another has stored some, and they may differ
            history.keep(symbols, stored)
    return total


Made = list[tuple[Profile, pd.DataFrame]]


def _decide(frame: pd.DataFrame, step: pd.DataFrame, schedules: Sequence[Schedule]) -> Made:
    """What each version makes of the rows of a step that it decides."""
    times = _times(step)
    of_frame = _times(frame)
    seen = frame if of_frame.max() <= times.max() else frame[of_frame <= times.max()]
    return [
        (profile, planned.loc[planned.index.intersection(step.index)])
        for profile, planned in decide_each(seen, schedules, since=times.min())
    ]


def _same(one: Sequence[Schedule], other: Sequence[Schedule], step: pd.DataFrame) -> bool:
    """Whether the bars of a step are decided by the same versions under both."""
    first, last = (moment.to_pydatetime() for moment in (_times(step).min(), _times(step).max()))
    return [each.versions(first, last) for each in one] == [
        each.versions(first, last) for each in other
    ]


def _reach(schedules: Sequence[Schedule]) -> timedelta:
    """How much of the past the versions look at that decide or may come to decide."""
    versions = [
        profile for each in schedules for profile in (each.first, *dict(each.changes).values())
    ]
    return timedelta(hours=max(profile.windows.reach_hours for profile in versions))


def _first_missing(
    conn: Connection, stored: pd.DataFrame, symbols: Sequence[str], bar: datetime
) -> datetime | None:
    """The first bar for which there is a candle and that is not stored; None where all are.

    Looks back from the newest bar of the symbol that is furthest behind.
    """
    newest = _newest_of_each(stored)
    since = bar - HISTORY
    if len(newest) == len(symbols):
        oldest: datetime = newest.min().to_pydatetime()
        since = min(oldest, bar) - LATE
    closes = load_closes(conn, symbols, since, bar)
    missing = closes[~closes.isin(stored.index)]
    if missing.empty:
        return None
    first: datetime = missing.get_level_values("time").min().to_pydatetime()
    return first


def _newest_of_each(stored: pd.DataFrame) -> pd.DatetimeIndex:
    """The newest bar of every symbol; rows of a symbol are together and in order."""
    index = stored.index
    assert isinstance(index, pd.MultiIndex)
    code = np.asarray(index.codes[index.names.index("symbol")])
    is_last = np.append(code[1:] != code[:-1], len(code) > 0)
    return _times(stored)[is_last[: len(code)]]


def _observed(
    conn: Connection, symbols: Sequence[str], start: datetime, bar: datetime
) -> Recording | None:
    tables = load_observations(conn, start, bar, symbols, held=True)
    return assemble(tables, start, bar) if "candles_1h" in tables else None


def _steps(new: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Rows of whole bars, about `STEP_ROWS` at a time, the oldest first."""
    codes, times = pd.factorize(_times(new), sort=True)
    before = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=len(times)))))
    step_of = before[codes] // STEP_ROWS
    for number in np.unique(step_of):
        yield new[step_of == number]


def _merged(stored: pd.DataFrame, step: pd.DataFrame) -> pd.DataFrame:
    """All rows by symbol and time; to sort as if they were in no order at all takes several times as long."""
    whole = pd.concat([stored, step])
    index = whole.index
    assert isinstance(index, pd.MultiIndex)
    symbols, times = (
        np.argsort(np.argsort(level, kind="stable"), kind="stable")[codes]
        for level, codes in zip(index.levels, index.codes, strict=True)
    )
    return whole.take(np.argsort(symbols * len(index.levels[1]) + times, kind="stable"))


def _store(
    conn: Connection, step: pd.DataFrame, made: Made, ages: pd.DataFrame, at: datetime
) -> Decided:
    new_bars = save_bars(conn, step)
    for profile, _ in made:
        save_profile(conn, profile, at)
    return Decided(new_bars, save_each(conn, made, ages, at))


def _times(frame: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(frame.index.get_level_values("time"))
