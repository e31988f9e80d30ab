"""The live pipeline on a whole history: the same functions, so what was tested is what runs."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.accuracy import summarise
from core.outcomes import HORIZONS, Costs, resolve
from core.plan import Account, atr_columns, plan
from core.signals import Profile, Schedule, score
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
    scored = score(frame, profile, since)
    atr, normal_atr = atr_columns(frame, since)
    scored = scored.assign(atr=atr, normal_atr=normal_atr)
    return plan(judge_by_rules(scored, profile), account)


def decide_by(
    frame: pd.DataFrame, schedule: Schedule, since: pd.Timestamp | None = None
) -> list[tuple[Profile, pd.DataFrame]]:
    """`decide` by the version that is valid for each bar: every version with the rows it decides.

    Of the rows from ``since`` on, or of all; a version sees the whole past, whoever decided it.
    """
    times = pd.DatetimeIndex(frame.index.get_level_values("time"))
    wanted = times if since is None else times[times >= since]
    found = []
    for profile, which in schedule.parts(wanted):
        first, last = wanted[which].min(), wanted[which].max()
        start = None if first == times.min() else first
        found.append((profile, decide(frame[times <= last], profile, since=start)))
    return found


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
