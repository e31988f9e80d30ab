"""Sums of factors per day: which days are to be summed, from what, and that they are kept once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, case, delete, func, select, type_coerce
from sqlalchemy.types import NullType

from core.signals import FACTORS, Profile, parse_profile
from core.signals.profile import Windows
from core.store import ledger
from core.store.bulk import floats, insert_all, times
from core.store.due import LONGEST
from core.store.reading import between, moments, numbers, raw, read_columns
from core.store.tables import bars, factor_days, measurements, profiles

DAY = timedelta(days=1)
SUMS = ("n", "sum_product", "sum_factor_squared", "sum_other_squared")
# A row of its own says of a day from how many bars it was summed: with other bars it is summed anew.
WHOLE_DAY = ""


def load_windows(conn: Connection) -> dict[str, Windows]:
    """The windows of every stored profile, by their version."""
    bodies = conn.scalars(select(profiles.c.body).order_by(profiles.c.created_at))
    found: list[Profile] = [parse_profile(body) for body in bodies]
    return {profile.windows_version: profile.windows for profile in found}


def days_to_sum(
    conn: Connection, windows_version: str, start: datetime, newest: datetime, reach: timedelta
) -> list[tuple[datetime, int]]:
    """Days from ``start`` on that are over and not summed yet, or are `outdated`, oldest first.

    With each the number of bars that its sums are made of: its own, and those before it whose
    longest horizon ends on it.
    """
    first = _midnight(start)
    counted = _count_bars(conn, first - LONGEST, _midnight(newest))
    query = select(factor_days.c.day, factor_days.c.n).where(
        factor_days.c.windows_version == windows_version,
        factor_days.c.factor == WHOLE_DAY,
        factor_days.c.day >= first,
    )
    summed = {row[0]: row[1] for row in conn.execute(query)}
    now = {day: counted.get(day, 0) + counted.get(day - LONGEST, 0) for day in summed}
    again = outdated(summed, now, reach)
    due, day = [], first
    while day + DAY <= newest:
        n = counted.get(day, 0) + counted.get(day - LONGEST, 0)
        if n and (day not in summed or day in again):
            due.append((day, n))
        day += DAY
    return due


def outdated(
    summed: Mapping[datetime, int], now: Mapping[datetime, int], reach: timedelta
) -> set[datetime]:
    """Summed days that have other bars now, and those after them that a bar reaches as history."""
    changed = [day for day, n in summed.items() if now.get(day, 0) != n]
    return {day for day in summed if any(one <= day <= one + reach for one in changed)}


def load_measured(
    conn: Connection, windows_version: str, symbols: Sequence[str], start: datetime, end: datetime
) -> pd.DataFrame:
    """The factors of these symbols from ``start`` to ``end`` (both included) as they were first
    recorded; index (symbol, time), columns factor_<name>."""
    names = [f"factor_{name}" for name in FACTORS]
    query = select(*raw(measurements, "symbol", "time", *names)).where(
        measurements.c.symbol.in_(list(symbols)),
        measurements.c.windows_version == windows_version,
    )
    order = (measurements.c.recorded_at, measurements.c.digest)
    found = read_columns(conn, between(query, measurements, start, end).order_by(*order))
    index = pd.MultiIndex.from_arrays(
        [found["symbol"], moments(found["time"], "time")], names=["symbol", "time"]
    )
    frame = pd.DataFrame({name: numbers(found[name]) for name in names}, index=index)
    return frame[~frame.index.duplicated()]


def save_factor_day(
    conn: Connection, windows_version: str, day: datetime, bars_used: int, sums: pd.DataFrame
) -> None:
    """Put a day's sums (index factor, other; columns `SUMS`) in place of those that are there."""
    ledger.hold(conn)
    conn.execute(
        delete(factor_days).where(
            factor_days.c.windows_version == windows_version, factor_days.c.day == day
        )
    )
    count = len(sums) + 1
    columns = {
        "windows_version": [windows_version] * count,
        "day": times(conn, pd.DatetimeIndex([day])) * count,
        "factor": [WHOLE_DAY, *sums.index.get_level_values("factor")],
        "other": [WHOLE_DAY, *sums.index.get_level_values("other")],
        "n": [bars_used, *(int(n) for n in sums["n"])],
        **{name: [0.0, *floats(sums[name], name)] for name in SUMS[1:]},
    }
    insert_all(conn, factor_days, columns)


def stored_versions(conn: Connection) -> list[str]:
    """The versions of windows of which a day is summed."""
    return sorted(conn.scalars(select(factor_days.c.windows_version).distinct()))


def summed_days(conn: Connection, windows_version: str) -> dict[datetime, int]:
    """Every day that has sums, and of how many bars it says they are; 0 where it does not say."""
    n = func.max(case((factor_days.c.factor == WHOLE_DAY, factor_days.c.n), else_=0))
    query = select(factor_days.c.day, n).where(factor_days.c.windows_version == windows_version)
    return {row[0]: row[1] for row in conn.execute(query.group_by(factor_days.c.day))}


def bars_summed(conn: Connection, start: datetime, end: datetime) -> dict[datetime, int]:
    """Of how many bars the sums of each day from ``start`` to ``end`` would be made now."""
    counted = _count_bars(conn, start - LONGEST, end + DAY)
    days = {*counted, *(day + LONGEST for day in counted)}
    return {day: counted.get(day, 0) + counted.get(day - LONGEST, 0) for day in sorted(days)}


def load_sums(
    conn: Connection, windows_version: str, start: datetime, end: datetime
) -> pd.DataFrame:
    """Stored sums of the days from ``start`` to before ``end``; index (day, factor, other)."""
    keys = ("day", "factor", "other")
    query = select(*raw(factor_days, *keys, *SUMS)).where(
        factor_days.c.windows_version == windows_version,
        factor_days.c.factor != WHOLE_DAY,
        factor_days.c.day >= start,
        factor_days.c.day < end,
    )
    found = read_columns(conn, query)
    index = pd.MultiIndex.from_arrays(
        [moments(found["day"], "day"), found["factor"], found["other"]], names=list(keys)
    )
    return pd.DataFrame({name: numbers(found[name]) for name in SUMS}, index=index)


def forget_days(conn: Connection) -> None:
    """Delete all sums, so that they are made anew."""
    ledger.hold(conn)
    conn.execute(delete(factor_days))


def symbols_between(conn: Connection, start: datetime, end: datetime) -> list[str]:
    """The symbols that have a bar from ``start`` to before ``end``."""
    query = select(bars.c.symbol).distinct().where(bars.c.time >= start, bars.c.time < end)
    return sorted(conn.scalars(query))


def _count_bars(conn: Connection, start: datetime, end: datetime) -> dict[datetime, int]:
    """How many bars there are on each day."""
    if conn.dialect.name == "sqlite":
        day = func.substr(type_coerce(bars.c.time, NullType()), 1, 10)
    else:
        day = func.to_char(func.timezone("UTC", bars.c.time), "YYYY-MM-DD")
    within = (bars.c.time >= start, bars.c.time < end)
    query = select(day.label("day"), func.count()).where(*within).group_by(day)
    return {
        datetime.fromisoformat(f"{row[0]}T00:00:00+00:00"): row[1] for row in conn.execute(query)
    }


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)
