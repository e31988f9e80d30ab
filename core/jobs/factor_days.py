"""What factors had to do with each other and with what came after, summed day by day.

A day is summed when it is over: then the longest horizon of every bar whose return ends on it has
ended. It is summed anew when bars of it have come since. Done twice it is the same, so workers need
not agree who does it; the one that asks the sources does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Engine

from core.accuracy.factors import factor_sums
from core.signals.profile import Windows
from core.store.due import LONGEST, load_frame
from core.store.factor_days import (
    DAY,
    bars_summed,
    days_to_sum,
    load_measured,
    load_sums,
    load_windows,
    outdated,
    save_factor_day,
    stored_versions,
    summed_days,
    symbols_between,
)

# Bars come this late at most, when the past of a market is asked for.
LATE = timedelta(days=35)
# So much is in memory at a time: a history, and these days and symbols.
DAYS, SYMBOLS = 10, 100
HOUR = timedelta(hours=1)
# The close of a bar has the machine to itself: nothing is begun around the full hour.
BUSY_BEFORE, BUSY_AFTER = timedelta(minutes=2), timedelta(minutes=6)

_WRONG = "The sums behind the factors"

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
            due = days_to_sum(conn, version, start, newest, _reach(windows))
        # The newest first: the day whose bars came late is saved last, so nothing is forgotten.
        for chunk in reversed(list(_chunks(due))):
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
        whole = _sums_of_all(conn, version, windows, first, end)
    for day, n in reversed(chunk):
        of_day = whole[whole.index.get_level_values("day") == day].droplevel("day")
        with engine.begin() as conn:
            save_factor_day(conn, version, day, n, of_day)


def _sums_of_all(
    conn: Connection, version: str, windows: Windows, first: datetime, end: datetime
) -> pd.DataFrame:
    symbols = symbols_between(conn, first - LONGEST, end)
    parts = [
        _sums(conn, version, windows, symbols[at : at + SYMBOLS], first, end)
        for at in range(0, len(symbols), SYMBOLS)
    ]
    return pd.concat(parts).groupby(level=["day", "factor", "other"]).sum()


def check_factor_days(
    conn: Connection, progress: Callable[[int, int], None] = lambda *_: None
) -> str | None:
    """The first day whose stored sums do not follow from bars and measurements, in words.

    Days that are not summed yet, or have other bars since and will be summed anew, are fine. So
    many days are in memory at a time as when they are summed. ``progress`` is told how many of how
    many days are done.
    """
    every = load_windows(conn)
    summed = {version: summed_days(conn, version) for version in stored_versions(conn)}
    total, done = sum(map(len, summed.values())), 0
    for version, days in summed.items():
        if version not in every:
            return f"{_WRONG} of windows {version}, which no stored profile has, are there"
        bars = bars_summed(conn, min(days), max(days))
        if (lost := _lost_day(days, bars)) is not None:
            return f"{_WRONG} on {lost:%Y-%m-%d} are missing (windows {version})"
        for chunk in _chunks(sorted(days.items())):
            again = outdated(days, bars, _reach(every[version]))
            fault = _check_chunk(conn, version, every[version], chunk, bars, again)
            if fault is not None:
                return fault
            done += len(chunk)
            progress(done, total)
    return None


def _lost_day(days: dict[datetime, int], bars: dict[datetime, int]) -> datetime | None:
    """A day that is not summed, although days before it and the one after it are as they were."""
    for day, n in sorted(days.items())[1:]:
        before = day - DAY
        if before not in days and bars.get(before) and bars.get(day) == n:
            return before
    return None


def _check_chunk(
    conn: Connection,
    version: str,
    windows: Windows,
    chunk: Due,
    bars: dict[datetime, int],
    again: set[datetime],
) -> str | None:
    first, end = chunk[0][0], chunk[-1][0] + DAY
    stored = load_sums(conn, version, first, end)
    for day, n in chunk:
        if n > bars.get(day, 0):
            return f"{_WRONG} on {day:%Y-%m-%d} are of {n:,} bars: there are {bars.get(day, 0):,}"
    if all(day in again for day, _ in chunk):
        return None
    computed = _sums_of_all(conn, version, windows, first, end)
    for day, _ in chunk:
        if day in again:
            continue
        one, other = (
            table[table.index.get_level_values("day") == day].droplevel("day")
            for table in (stored, computed)
        )
        a, b = one.align(other, join="outer")
        same = np.isclose(a.to_numpy(), b.to_numpy(), rtol=1e-9, atol=1e-9).all(axis=1)
        if not same.all():
            factor, of = a.index[int(np.argmin(same))]
            return (
                f"{_WRONG} on {day:%Y-%m-%d} do not follow from what is stored: {factor} with {of} "
                f"(windows {version})"
            )
    return None


def _reach(windows: Windows) -> timedelta:
    """How long after its day a bar is part of what others are measured by."""
    return timedelta(hours=windows.history) + LONGEST + DAY


def _sums(
    conn: Connection,
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
    frame = load_frame(conn, symbols, since - history, end - timedelta(microseconds=1))
    measured = load_measured(conn, version, symbols, since, end - timedelta(microseconds=1))
    sums = factor_sums(frame.join(measured), windows)
    days = sums.index.get_level_values("day")
    return sums[(days >= first) & (days < end)]
