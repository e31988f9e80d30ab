"""Replaying a recording: the whole pipeline over the past, into the database.

The pipeline runs once per profile over the whole recording; what it made is written in steps of
time, oldest first, each step one transaction with its bars, signals, outcomes and progress. A
replay that is killed goes on behind its last step, and one that is done does nothing.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from core.backtest import decide_by
from core.errors import CryptoSatXError, RecordingError
from core.market import recording
from core.market.choice import Market
from core.outcomes import resolve
from core.signals import PROFILE_NAMES, Profile, Schedule, load_profile
from core.store import claim_market
from core.store.ledger import hold
from core.store.profiles import load_schedules
from core.store.rows import make_ready
from core.store.signals import insert_signals, save_bars, save_outcomes, save_profile
from core.store.tables import replays

STEP_ROWS = 6_000
# The default profile first, so that a page that waits has something to show soonest.
PROFILES = tuple(sorted(PROFILE_NAMES, key=lambda name: name != load_profile().name))


@dataclass(frozen=True)
class Progress:
    """How far one profile of a replay is."""

    profile: str
    rows_done: int
    rows_total: int


@dataclass(frozen=True)
class Replayed:
    """What a replay stored. Rows that were there before are not counted as new."""

    rows: int
    new_bars: int
    new_signals: int
    new_outcomes: int


def now() -> datetime:
    return datetime.now(UTC)


def replay(
    market: Market,
    engine: Engine,
    *,
    profiles: Sequence[str] = PROFILES,
    start: str | datetime | None = None,
    end: str | datetime | None = None,
    symbols: Sequence[str] | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], datetime] = now,
) -> Replayed:
    """Run the recording of ``market`` through the pipeline into the database.

    Rows from ``start`` to ``end`` are stored; what came before ``start`` is used as history.
    ``progress`` is called after every step. Raises `StoreError` when the database holds another
    market, `RecordingError` when the recording cannot be read or has no rows in that range.
    """
    assert market.path is not None
    with engine.begin() as conn:
        claim_market(conn, market.key)
    known = recording.read(market.path, symbols, end=end)
    steps = list(_steps(known.frame.index, _since(start)))
    rows = sum(len(step) for step in steps)
    if not rows:
        raise RecordingError(f"{market.path} has no bars {_range(start, end)}; choose other times.")
    for name in profiles:
        load_profile(name)  # Says which there are where it is none.
    span = _span(known.frame.index, steps)
    with engine.begin() as conn:
        schedules = load_schedules(conn, profiles)
        keys = [_key(known.digest, start, end, symbols, one, span) for one in schedules]
        for key, schedule in zip(keys, schedules, strict=True):
            profile = schedule.at(span[1])
            save_profile(conn, profile, clock())
            _announce(conn, key, market, profile, rows, clock())
    total = Replayed(rows, 0, 0, 0)
    for key, name in zip(keys, profiles, strict=True):
        # The first profile stores the bars; the others come to it when all of them are there.
        run = _Run(engine, key, name, known, steps, rows, key == keys[0], clock)
        total = _added(total, run.go(progress))
    return total


@dataclass(frozen=True)
class _Part:
    """What one version made of its bars; ``rows`` and ``of_outcome`` are positions in the frame."""

    profile: Profile
    planned: pd.DataFrame
    rows: npt.NDArray[np.intp]
    resolved: pd.DataFrame
    of_outcome: npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Made:
    """What the versions of a schedule made of all bars."""

    schedule: Schedule
    parts: tuple[_Part, ...]


@dataclass(frozen=True)
class _Run:
    """One profile of a replay, by whichever version is in force for each bar."""

    engine: Engine
    key: str
    name: str
    known: recording.Recording
    steps: Sequence[npt.NDArray[np.intp]]
    rows: int
    with_bars: bool
    clock: Callable[[], datetime]

    def go(self, progress: Callable[[Progress], None]) -> Replayed:
        total = Replayed(self.rows, 0, 0, 0)
        if not self._is_done():
            try:
                total = self._store(progress)
            except (CryptoSatXError, SQLAlchemyError) as error:
                with self.engine.begin() as conn:
                    self._note(conn, state="failed", message=str(error))
                raise
            with self.engine.begin() as conn:
                self._note(conn, state="done", message=None)
        progress(Progress(self.name, self.rows, self.rows))
        return total

    def _is_done(self) -> bool:
        with self.engine.connect() as conn:
            state = conn.scalar(select(replays.c.state).where(replays.c.key == self.key))
        return bool(state == "done")

    def _store(self, progress: Callable[[Progress], None]) -> Replayed:
        made = self._decided()
        times = pd.DatetimeIndex(self.known.frame.index.get_level_values("time"))
        total, done = Replayed(self.rows, 0, 0, 0), 0
        for step in self.steps:
            done, end = done + len(step), times[step].max().to_pydatetime()
            first = times[step].min().to_pydatetime()
            while not self._has(end):
                with _without_collector():
                    new = self._store_step(step, made, done, (first, end))
                if new is not None:
                    total = _added(total, new)
                    break
                made = self._decided()
            progress(Progress(self.name, done, self.rows))
        return total

    def _decided(self) -> _Made:
        frame = self.known.frame
        with self.engine.connect() as conn:
            (schedule,) = load_schedules(conn, [self.name])
        parts = []
        for profile, planned in decide_by(frame, schedule):
            resolved = resolve(planned, frame)
            assert isinstance(resolved.index, pd.MultiIndex)
            rows = frame.index.get_indexer(planned.index)
            of_outcome = frame.index.get_indexer(resolved.index.droplevel("horizon"))
            parts.append(_Part(profile, planned, rows, resolved, of_outcome))
        return _Made(schedule, tuple(parts))

    def _has(self, end: datetime) -> bool:
        with self.engine.connect() as conn:
            through = conn.scalar(select(replays.c.through).where(replays.c.key == self.key))
        return through is not None and through >= end

    def _store_step(
        self,
        step: npt.NDArray[np.intp],
        made: _Made,
        done: int,
        span: tuple[datetime, datetime],
    ) -> Replayed | None:
        """What is new of a step; None where another version has come to decide some of its bars."""
        at, ages = self.clock(), self.known.ages
        # Made ready before the transaction, so that others who write wait as little as can be.
        ready = []
        for part in made.parts:
            planned = part.planned[np.isin(part.rows, step)]
            if len(planned):
                signals = make_ready(
                    self.engine, planned, ages.loc[planned.index], part.profile, at
                )
                ready.append((part, signals, part.resolved[np.isin(part.of_outcome, step)]))
        with self.engine.begin() as conn:
            hold(conn)
            (schedule,) = load_schedules(conn, [self.name])
            if schedule.versions(*span) != made.schedule.versions(*span):
                return None
            through = self._touch(conn)
            if through is not None and through >= span[1]:
                # Another process stored this step while this one waited for the row.
                return Replayed(self.rows, 0, 0, 0)
            bars = save_bars(conn, self.known.frame.iloc[step]) if self.with_bars else 0
            stored = Replayed(self.rows, bars, 0, 0)
            for part, signals, resolved in ready:
                save_profile(conn, part.profile, at)
                new_signals = insert_signals(conn, signals, part.profile)
                new_outcomes = save_outcomes(conn, resolved, part.profile, at)
                stored = _added(stored, Replayed(self.rows, 0, new_signals, new_outcomes))
            self._note(conn, rows_done=done, through=span[1])
        return stored

    def _touch(self, conn: Connection) -> datetime | None:
        """Hold the progress row until the transaction ends; the last bar that is stored."""
        held: datetime | None = conn.scalar(
            update(replays)
            .where(replays.c.key == self.key)
            .values(updated_at=self.clock(), state="running")
            .returning(replays.c.through)
        )
        return held

    def _note(self, conn: Connection, **values: object) -> None:
        conn.execute(
            update(replays)
            .where(replays.c.key == self.key)
            .values(updated_at=self.clock(), **values)
        )


@contextmanager
def _without_collector() -> Iterator[None]:
    """So many rows at once have the collector look through all of them again and again, in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _added(one: Replayed, other: Replayed) -> Replayed:
    return Replayed(
        one.rows,
        one.new_bars + other.new_bars,
        one.new_signals + other.new_signals,
        one.new_outcomes + other.new_outcomes,
    )


def _range(start: str | datetime | None, end: str | datetime | None) -> str:
    """The range that was asked for, in words.

    >>> _range("2030-01-01", None)
    'from 2030-01-01 on'
    """
    if start is None:
        return "at all" if end is None else f"until {end}"
    return f"from {start} on" if end is None else f"from {start} to {end}"


def _since(start: str | datetime | None) -> pd.Timestamp | None:
    if start is None:
        return None
    try:
        time = pd.Timestamp(start)
    except ValueError as error:
        raise RecordingError(
            f"start {start} is no time; write it like 2025-10-01T12:00."
        ) from error
    return time.tz_localize("UTC") if time.tz is None else time.tz_convert("UTC")


def _steps(index: pd.Index, since: pd.Timestamp | None) -> Iterator[npt.NDArray[np.intp]]:
    """Positions of the rows of each step: whole bars of every symbol, about `STEP_ROWS` rows."""
    times = pd.DatetimeIndex(index.get_level_values("time"))
    wanted = np.arange(len(times)) if since is None else np.flatnonzero(times >= since)
    codes, unique = pd.factorize(times[wanted].asi8, sort=True)
    before = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=len(unique)))))
    step_of = before[codes] // STEP_ROWS
    for step in np.unique(step_of):
        yield wanted[step_of == step]


def _span(index: pd.Index, steps: Sequence[npt.NDArray[np.intp]]) -> tuple[datetime, datetime]:
    """Time of the first and of the last bar that is to be stored."""
    times = pd.DatetimeIndex(index.get_level_values("time"))
    first, last = times[steps[0]].min(), times[steps[-1]].max()
    return first.to_pydatetime(), last.to_pydatetime()


def _key(
    digest: str,
    start: object,
    end: object,
    symbols: Sequence[str] | None,
    schedule: Schedule,
    span: tuple[datetime, datetime],
) -> str:
    """What makes two replays the same one."""
    (_, version), *changes = schedule.versions(*span)
    parts = (digest, start, end, sorted(symbols or []), schedule.first.name, version, *changes)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _announce(
    conn: Connection, key: str, market: Market, profile: Profile, rows: int, at: datetime
) -> None:
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(replays)
    conn.execute(
        insert.values(
            key=key,
            source=market.label,
            profile_name=profile.name,
            profile_version=profile.version,
            state="waiting",
            rows_done=0,
            rows_total=rows,
            started_at=at,
            updated_at=at,
        ).on_conflict_do_nothing()
    )
