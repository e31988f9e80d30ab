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
from sqlalchemy import Connection, Select, and_, select

from core.accuracy.tallies import DAY, RULES
from core.alerts.names import Statistic
from core.market.frame import INDEX
from core.store.measures import AGES, MEASURED
from core.store.reading import between, moments, numbers, raw, read_columns, words
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
# What is stored this much later was filled in from a past, and says nothing of the worker.
_LIVE = timedelta(hours=2)


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
        frame = frame[frame.index.get_level_values("time") >= pd.Timestamp(start)]
    return _with_statistics(conn, frame, profile_name, columns)


def load_stored_bars(conn: Connection, after: datetime, until: datetime) -> list[datetime]:
    """The closes of stored bars after a moment up to another, of whatever market, in order."""
    query = select(bars.c.time).where(bars.c.time > after, bars.c.time <= until)
    return list(conn.scalars(query.distinct().order_by(bars.c.time)))


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
        signals.c.symbol.in_(sorted(symbols)),
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
        LAG: np.where(lag <= _LIVE.total_seconds(), lag, np.nan),
        MODEL: words(found["said"]).where(answered, None).to_numpy(),
    }
    return pd.DataFrame(content, index=index)[~index.duplicated()]


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
