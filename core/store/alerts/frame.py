"""The frame that alert rules look at: everything a bar measured and what a profile made of it.

What came after a bar closed is not in its row. A model answers, and the worker's lag is known, some time
after the close: both stand in the row of the bar that closed next. So a rule sees on history what it
would have seen at the time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, and_, func, select

from core.accuracy.tallies import DAY, RULES
from core.alerts.names import Statistic
from core.market.frame import INDEX
from core.store.measures import AGES, MEASURED
from core.store.reading import among, between, moments, numbers, raw, read_columns, words
from core.store.record import Filters, load_tallies
from core.store.tables import bars, measurements, signals, verdicts

OF_SIGNAL = (
    "score",
    "coverage",
    "agreement",
    "direction",
    "conviction",
    "risk_points",
    "multiplier",
    "verdict",
    "risk_mode",
)
LAG, MODEL = "worker_lag", "model_verdict"
AFTERWARDS = (LAG, MODEL)
_WORDS = ("verdict", "risk_mode")
_TRADES = ("CONFIRM", "DOWNSIZE")
_BAR = timedelta(hours=1)
# A worker that stored nothing for longer than this is not followed back to when it did.
_AWAY = timedelta(days=7)


def load_alert_frame(
    conn: Connection,
    profile_name: str,
    columns: Collection[str],
    *,
    start: datetime,
    end: datetime,
    symbols: Sequence[str] = (),
) -> pd.DataFrame:
    """Rows from ``start`` to ``end``, both included, with those of ``columns`` that there can be.

    Index (symbol, time), sorted. Where several versions of the profile have decided a bar the one
    counts that did so first.
    """
    asked = [name for name in (*MEASURED, *AGES, *OF_SIGNAL) if name in columns]
    later = [name for name in AFTERWARDS if name in columns]
    query = _rows(profile_name, asked, symbols)
    query = between(query, signals, start - (_BAR if later else timedelta()), end)
    found = read_columns(conn, query.order_by(signals.c.symbol, signals.c.time, signals.c.id))
    index = pd.MultiIndex.from_arrays(
        [words(found["symbol"]).astype("str"), moments(found["time"], "time")], names=list(INDEX)
    )
    content: dict[str, Any] = {
        name: words(found[name]).to_numpy() if name in _WORDS else numbers(found[name])
        for name in asked
    }
    frame = pd.DataFrame(content, index=index)
    frame = frame[~index.duplicated()]
    if later:
        after = _afterwards(conn, profile_name, start, end, symbols)
        frame = frame.join(after[later]) if len(after) else frame.assign(**dict.fromkeys(later))
        if LAG in later:
            frame[LAG] = _lag(conn, profile_name, frame[LAG].astype(np.float64))
        frame = frame[frame.index.get_level_values("time") >= pd.Timestamp(start)]
    return _with_statistics(conn, frame, profile_name, columns)


def load_hours(conn: Connection, after: datetime, until: datetime) -> list[datetime]:
    """The closes of bars after a moment up to the last that is stored until another, in order.

    An hour of which nothing is stored is among them: of it nothing is known, of whatever market.
    """
    query = select(bars.c.time).where(bars.c.time > after, bars.c.time <= until)
    stored = list(conn.scalars(query.distinct().order_by(bars.c.time)))
    if not stored:
        return []
    first = after.replace(minute=0, second=0, microsecond=0) + _BAR
    between = [first + n * _BAR for n in range((stored[-1] - first) // _BAR + 1)]
    return sorted({*stored, *between})


def load_late(
    conn: Connection,
    profile_name: str,
    symbols: Collection[str],
    judged_at: datetime,
    *,
    after: datetime,
    until: datetime,
) -> dict[str, list[datetime]]:
    """By market the bars after a moment up to another that were stored after ``judged_at``."""
    if not symbols:
        return {}
    query = select(signals.c.symbol, signals.c.time).where(
        signals.c.profile_name == profile_name,
        among(conn, signals.c.symbol, symbols),
        signals.c.time > after,
        signals.c.time <= until,
        signals.c.recorded_at > judged_at,
    )
    found: dict[str, list[datetime]] = {}
    for symbol, time in conn.execute(query):
        found.setdefault(symbol, []).append(time)
    return found


def load_symbols_since(conn: Connection, since: datetime) -> frozenset[str]:
    """The markets that have had a bar since then."""
    return frozenset(conn.scalars(select(bars.c.symbol).where(bars.c.time >= since).distinct()))


def _rows(profile_name: str, asked: Sequence[str], symbols: Sequence[str]) -> Select[Any]:
    measured = [name for name in asked if name not in OF_SIGNAL]
    own = [name for name in asked if name in OF_SIGNAL]
    query = select(*raw(signals, *INDEX, *own))
    if measured:
        of_bar = and_(
            measurements.c.symbol == signals.c.symbol,
            measurements.c.time == signals.c.time,
            measurements.c.digest == signals.c.measurement,
        )
        query = query.add_columns(*raw(measurements, *measured)).join_from(
            signals, measurements, of_bar
        )
    query = query.where(signals.c.profile_name == profile_name)
    return query.where(signals.c.symbol.in_(sorted(symbols))) if symbols else query


def _afterwards(
    conn: Connection, profile_name: str, start: datetime, end: datetime, symbols: Sequence[str]
) -> pd.DataFrame:
    """What was known at a bar's close of the bar before it."""
    query = (
        select(*raw(signals, *INDEX, "recorded_at"))
        .add_columns(verdicts.c.verdict.label("said"), *raw(verdicts, "asked_at"))
        .add_columns(raw(verdicts, "recorded_at")[0].label("answered_at"))
        .join_from(signals, verdicts, verdicts.c.signal_id == signals.c.id, isouter=True)
        .where(signals.c.profile_name == profile_name)
    )
    if symbols:
        query = query.where(signals.c.symbol.in_(sorted(symbols)))
    query = between(query, signals, start - _BAR, end - _BAR)
    found = read_columns(conn, query.order_by(signals.c.symbol, signals.c.time, signals.c.id))
    time = moments(found["time"], "time")
    lag = (moments(found["recorded_at"], "recorded_at") - time).total_seconds().to_numpy()
    answered = moments(found["answered_at"], "answered_at") <= time + _BAR
    index = pd.MultiIndex.from_arrays(
        [words(found["symbol"]).astype("str"), time + _BAR], names=list(INDEX)
    )
    content = {
        LAG: np.where(lag <= _BAR.total_seconds(), lag, np.nan),
        MODEL: words(found["said"]).where(answered, None).to_numpy(),
    }
    return pd.DataFrame(content, index=index)[~index.duplicated()]


def _lag(conn: Connection, profile_name: str, own: pd.Series) -> pd.Series:
    """The lag of the bar before where its signal was there at the close of the row's bar (``own``).

    Where it was not, seconds since the close of the first bar of which no market had a signal by then:
    a lag of at least so much, which grows from bar to bar until something is stored. Unknown where the
    worker had stored the bar before for other markets, so that this one had none, and where nothing had
    ever been stored by then: such a past was filled in afterwards, and says nothing of the worker.
    """
    # Rows are added and never changed, so the first one is the one recorded first.
    first_ever = conn.scalar(
        select(signals.c.recorded_at)
        .where(signals.c.profile_name == profile_name)
        .order_by(signals.c.id)
        .limit(1)
    )
    if first_ever is None:
        return own
    times = pd.DatetimeIndex(own.index.get_level_values("time")).as_unit("us")
    asked = times[own.isna().to_numpy() & (times >= pd.Timestamp(first_ever))]
    if not len(asked):
        return own
    query = (
        select(*raw(signals, "time"), func.min(raw(signals, "recorded_at")[0]).label("first"))
        .where(signals.c.profile_name == profile_name)
        .group_by(signals.c.time)
    )
    found = read_columns(conn, between(query, signals, asked.min() - _AWAY, asked.max()))
    stored, first = moments(found["time"], "time"), moments(found["first"], "first")
    order = np.argsort(first.asi8, kind="stable")
    # Of everything that was there at a moment, the newest bar.
    newest = np.maximum.accumulate(stored.asi8[order])
    place = np.searchsorted(first.asi8[order], times.asi8, side="right") - 1
    behind = pd.Series(
        times - pd.DatetimeIndex(newest[np.maximum(place, 0)].view("M8[us]"), tz="UTC") - _BAR,
        index=own.index,
    )
    known = (place >= 0) & (behind > timedelta()).to_numpy()
    return own.where(own.notna(), behind.dt.total_seconds().where(known))


def _with_statistics(
    conn: Connection, frame: pd.DataFrame, profile_name: str, columns: Collection[str]
) -> pd.DataFrame:
    wanted = {name: Statistic.of(name) for name in sorted(columns)}
    asked = {name: one for name, one in wanted.items() if one is not None}
    # A frame without columns is "empty" too, whatever rows it has.
    if not asked or not len(frame):
        return frame
    first = frame.index.get_level_values("time").min()
    reach = timedelta(days=max(one.days for one in asked.values()) + 1)
    filters = Filters(profile_name, judge=RULES, start=(first - reach).date())
    sums = load_tallies(conn, filters, ["verdict", "horizon", "traded"], ("n", "wins"))
    days = pd.DatetimeIndex(frame.index.get_level_values("time")).floor("D")
    return frame.assign(
        **{name: _statistic(sums, one, days).to_numpy() for name, one in asked.items()}
    )


def _statistic(sums: pd.DataFrame, asked: Statistic, days: pd.DatetimeIndex) -> pd.Series:
    """Of the outcomes that ended in the whole days before each day."""
    every = pd.date_range(days.min() - timedelta(days=asked.days), days.max(), freq="D")
    try:
        traded = asked.verdict in _TRADES
        of_cell = sums.xs((asked.verdict, asked.horizon, traded), level=(0, 1, 2))
    except KeyError:
        of_cell = sums.iloc[:0].droplevel([0, 1, 2])
    daily = of_cell.groupby(level=DAY).sum().reindex(every, fill_value=0.0)
    # The day itself is not over.
    totals = daily.rolling(asked.days, min_periods=asked.days).sum().shift(1)
    if asked.measure == "outcome_count":
        return totals["n"].reindex(days)
    return (totals["wins"] / totals["n"].where(totals["n"] > 0)).reindex(days)
