"""What factors had to do with each other and with what came after, summed day by day.

A day is summed when it is over: then the longest horizon of every bar whose return ends on it has
ended. It is summed anew when bars of it have come since. Done twice it is the same, so workers need
not agree who does it; the one that asks the sources does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Engine

from core.accuracy.factors import factor_sums
from core.signals.profile import Windows
from core.store.due import LONGEST, load_frame
from core.store.factor_days import (
    DAY,
    days_to_sum,
    load_measured,
    load_windows,
    save_factor_day,
    symbols_between,
)

# Bars come this late at most, when the past of a market is asked for.
LATE = timedelta(days=35)
# So much is in memory at a time: a history, and these days and symbols.
DAYS, SYMBOLS = 10, 100
HOUR = timedelta(hours=1)
# The close of a bar has the machine to itself: nothing is begun around the full hour.
BUSY_BEFORE, BUSY_AFTER = timedelta(minutes=2), timedelta(minutes=6)

Due = list[tuple[datetime, int]]


def is_quiet(now: datetime) -> bool:
    """Whether no bar is about to close, or has just closed.

    >>> is_quiet(datetime(2025, 11, 1, 14, 30)), is_quiet(datetime(2025, 11, 1, 14, 58, 30))
    (True, False)
    """
    since = timedelta(minutes=now.minute, seconds=now.second)
    return BUSY_AFTER <= since < HOUR - BUSY_BEFORE


def sum_factor_days(
    engine: Engine,
    start: datetime,
    newest: datetime,
    go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Sum the days from ``start`` that are over by the bar ``newest`` and not summed; how many.

    For the windows of every stored profile. ``go_on`` is asked before each few days.
    """
    done = 0
    with engine.connect() as conn:
        every = load_windows(conn)
    for version, windows in every.items():
        with engine.connect() as conn:
            due = days_to_sum(conn, version, start, newest)
        for chunk in _chunks(due):
            if not go_on():
                return done
            _sum_chunk(engine, version, windows, chunk)
            done += len(chunk)
    return done


def _chunks(due: Due) -> Iterator[Due]:
    """Days that follow each other, `DAYS` at most."""
    chunk: Due = []
    for day, n in due:
        if chunk and (len(chunk) == DAYS or day != chunk[-1][0] + DAY):
            yield chunk
            chunk = []
        chunk.append((day, n))
    if chunk:
        yield chunk


def _sum_chunk(engine: Engine, version: str, windows: Windows, chunk: Due) -> None:
    first, end = chunk[0][0], chunk[-1][0] + DAY
    with engine.connect() as conn:
        symbols = symbols_between(conn, first - LONGEST, end)
    parts = [
        _sums(engine, version, windows, symbols[at : at + SYMBOLS], first, end)
        for at in range(0, len(symbols), SYMBOLS)
    ]
    whole = pd.concat(parts).groupby(level=["day", "factor", "other"]).sum()
    for day, n in chunk:
        of_day = whole[whole.index.get_level_values("day") == day].droplevel("day")
        with engine.begin() as conn:
            save_factor_day(conn, version, day, n, of_day)


def _sums(
    engine: Engine,
    version: str,
    windows: Windows,
    symbols: Sequence[str],
    first: datetime,
    end: datetime,
) -> pd.DataFrame:
    """Sums over some symbols of the days from ``first`` to before ``end``."""
    since = first - LONGEST
    # A return is measured in units of what the history before its bar was like.
    history = timedelta(hours=windows.history) + 2 * HOUR
    with engine.connect() as conn:
        frame = load_frame(conn, symbols, since - history, end - timedelta(microseconds=1))
        measured = load_measured(conn, version, symbols, since, end - timedelta(microseconds=1))
    sums = factor_sums(frame.join(measured), windows)
    days = sums.index.get_level_values("day")
    return sums[(days >= first) & (days < end)]
