"""What a history holds that a profile can be run on, and asking for a run of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, select

from core.backtest.walk import Split, split
from core.errors import BacktestError, ProfileError
from core.market import recording
from core.market.choice import Market
from core.signals import Profile, profile_faults
from core.store import backtests
from core.store.signals import market_range
from core.store.tables import bars


@dataclass(frozen=True)
class Contents:
    """Time of the first and the last bar of a history, and its markets."""

    first: datetime
    last: datetime
    symbols: tuple[str, ...]

    def days(self, start: datetime | None, end: datetime | None) -> Split:
        """Which days a run from ``start`` to ``end`` (midnights, None: no limit) shows and holds back."""
        ends = [None if day is None else pd.Timestamp(day) for day in (start, end)]
        return split(pd.Timestamp(self.first), pd.Timestamp(self.last), *ends)


def load_stored(conn: Connection) -> Contents | None:
    """What the stored bars are a history of; None where there is none."""
    span = market_range(conn)
    symbols = tuple(sorted(conn.scalars(select(bars.c.symbol).distinct())))
    return None if span is None else Contents(*span, symbols)


def load_recorded(market: Market) -> Contents | None:
    """What the recording of a market holds; None where it is not there yet."""
    if market.path is None or not market.path.is_dir():
        return None
    frame = recording.load(market.path)
    times = pd.DatetimeIndex(frame.index.get_level_values("time"))
    symbols = tuple(sorted(frame.index.get_level_values("symbol").unique()))
    return Contents(times.min().to_pydatetime(), times.max().to_pydatetime(), symbols)


def ask_for_run(
    conn: Connection, asked: backtests.Asked, contents: Contents | None, *, by: str, at: datetime
) -> str:
    """Have a profile run over a history of these contents; the id of the run.

    A history that is not here yet (None) is checked by the worker that makes it. Raises
    `BacktestError` or `ProfileError` with what is to be different.
    """
    check_profile(asked.profile)
    refusal = contents and contents.days(asked.start, asked.end).refusal
    if refusal:
        raise BacktestError(refusal)
    return backtests.ask(conn, asked, by, at)


def check_profile(profile: Profile) -> None:
    """Refuse what the editor of profiles refuses, whatever was sent."""
    faults = profile_faults(profile.model_dump(mode="json"))
    if faults:
        said = "; ".join(f"{field} {fault}" for field, fault in faults.items())
        raise ProfileError(f"The profile cannot be used: {said}.")
