"""The live pipeline on a whole history: the same functions, so what was tested is what runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from core.accuracy import summarise
from core.market.grid import Floats
from core.outcomes import HORIZONS, Costs, resolve
from core.plan import Account, atr_columns, plan
from core.signals import Profile, Schedule
from core.signals.scoring import Measured, measure, score_measured
from core.verdicts import judge_by_rules


@dataclass(frozen=True)
class BacktestResult:
    """``signals`` is the planned frame, ``outcomes`` what became of it, ``summary`` the accuracy
    per verdict and horizon."""

    signals: pd.DataFrame
    outcomes: pd.DataFrame
    summary: pd.DataFrame


def decide(
    frame: pd.DataFrame,
    profile: Profile,
    account: Account | None = None,
    since: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Score, judge and plan a market frame: the widened frame over the same index.

    With ``since`` only the rows from that time on, with the same numbers: the newest bar of a
    live market goes the way that a whole history goes.
    """
    return _decided(_Known.of(frame, profile, since), profile, account)


@dataclass(frozen=True, eq=False)
class _Known:
    """What is the same for all profiles with the same windows."""

    measured: Measured
    atr: Floats
    normal_atr: Floats

    @classmethod
    def of(cls, frame: pd.DataFrame, profile: Profile, since: pd.Timestamp | None) -> _Known:
        return cls(measure(frame, profile.windows, since), *atr_columns(frame, since))


def _decided(known: _Known, profile: Profile, account: Account | None = None) -> pd.DataFrame:
    scored = score_measured(known.measured, profile)
    scored = scored.assign(atr=known.atr, normal_atr=known.normal_atr)
    return plan(judge_by_rules(scored, profile), account)


def decide_each(
    frame: pd.DataFrame, schedules: Iterable[Schedule], since: pd.Timestamp | None = None
) -> list[tuple[Profile, pd.DataFrame]]:
    """`decide_by` of several schedules one after the other, in which nothing is measured twice."""
    known: dict[object, _Known] = {}
    return [each for one in schedules for each in _decide_by(frame, one, since, known)]


def decide_by(
    frame: pd.DataFrame, schedule: Schedule, since: pd.Timestamp | None = None
) -> list[tuple[Profile, pd.DataFrame]]:
    """`decide` by the version that is valid for each bar: every version with the rows it decides.

    Of the rows from ``since`` on, or of all; a version sees the whole past, whoever decided it.
    """
    return list(_decide_by(frame, schedule, since, None))


def _decide_by(
    frame: pd.DataFrame,
    schedule: Schedule,
    since: pd.Timestamp | None,
    kept: dict[object, _Known] | None,
) -> Iterator[tuple[Profile, pd.DataFrame]]:
    """``kept`` is what was measured of this frame, by windows and bars; None keeps nothing."""
    times = pd.DatetimeIndex(frame.index.get_level_values("time"))
    wanted = times if since is None else times[times >= since]
    newest = times.max()
    for profile, which in schedule.parts(wanted):
        first, last = wanted[which].min(), wanted[which].max()
        start = None if first == times.min() else first
        key = profile.windows_version, start, last
        known = None if kept is None else kept.get(key)
        if known is None:
            seen = frame if last == newest else frame[times <= last]
            known = _Known.of(seen, profile, start)
        if kept is not None:
            kept[key] = known
        yield profile, _decided(known, profile)


def run(
    frame: pd.DataFrame,
    profile: Profile,
    account: Account | None = None,
    costs: Costs | None = None,
) -> BacktestResult:
    """Decide every bar of ``frame``, resolve it on the same bars, and summarise."""
    signals = decide(frame, profile, account)
    outcomes = resolve(signals, frame, HORIZONS, costs)
    return BacktestResult(signals, outcomes, summarise(outcomes))
