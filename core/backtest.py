"""The live pipeline on a whole history: the same functions, so what was tested is what runs."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.accuracy import summarise
from core.outcomes import HORIZONS, Costs, resolve
from core.plan import Account, atr_columns, plan
from core.signals import Profile, score
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
