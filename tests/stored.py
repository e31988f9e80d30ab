"""What a database holds after workers were at it, and whether anything is there twice or missing."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import pandas as pd
from sqlalchemy import Connection, Engine, func, select

from core.signals import PROFILE_NAMES
from core.store.alerts.states import StoredEvent
from core.store.liquidations import load_events, load_gaps, load_minutes
from core.store.reading import flags, moments, numbers, raw, read_columns, words
from core.store.rounds import load_rounds
from core.store.tables import alert_events, bars, outcomes, signals

_KEYS = {
    bars: (bars.c.symbol, bars.c.time),
    signals: (signals.c.profile_name, signals.c.symbol, signals.c.time),
    outcomes: (outcomes.c.signal_id, outcomes.c.horizon),
}

_KEPT_OF_SIGNAL = ("direction", "verdict", "risk_mode", "multiplier", "score", "coverage")
_OUTCOME = tuple(column.name for column in outcomes.c if column.name != "recorded_at")
_COLUMNS = (
    *("direction", "verdict", "risk_mode", "multiplier", "score", "coverage", "traded"),
    *("entry_at", "exit_at", "entry_price", "exit_price", "gross_return", "net_return"),
    *("long_net_return", "r_multiple", "barrier", "barrier_r", "mae_r", "mfe_r"),
    *("funding_assumed", "profile_version"),
)
_READ = {
    **dict.fromkeys(("verdict", "risk_mode", "barrier", "profile_version"), words),
    **dict.fromkeys(("traded", "funding_assumed"), flags),
    **dict.fromkeys(("entry_at", "exit_at"), partial(moments, name="at")),
}


def counts(engine: Engine) -> dict[str, tuple[int, int]]:
    """Rows of each table, and how many different keys they have."""
    with engine.connect() as conn:
        return {
            table.name: (
                conn.scalar(select(func.count()).select_from(table)) or 0,
                conn.scalar(
                    select(func.count()).select_from(select(*columns).distinct().subquery())
                )
                or 0,
            )
            for table, columns in _KEYS.items()
        }


def load_outcomes(conn: Connection, profile_name: str) -> pd.DataFrame:
    """Every stored outcome in the columns of `core.outcomes.resolve`, and profile_version.

    Of several versions of the profile that which was recorded first.
    """
    query = (
        select(
            *raw(signals, "symbol", "time", *_KEPT_OF_SIGNAL, "profile_version"),
            *raw(outcomes, *_OUTCOME),
        )
        .join_from(outcomes, signals, signals.c.id == outcomes.c.signal_id)
        .where(signals.c.profile_name == profile_name)
        .order_by(signals.c.symbol, signals.c.time, outcomes.c.horizon, signals.c.id)
    )
    found = read_columns(conn, query)
    frame = pd.DataFrame({name: _READ.get(name, numbers)(found[name]) for name in _COLUMNS})
    keys = [found["symbol"], moments(found["time"], "time"), found["horizon"]]
    frame.index = pd.MultiIndex.from_arrays(keys, names=["symbol", "time", "horizon"])
    return frame[~frame.index.duplicated()]


def rounds_done(engine: Engine) -> pd.DataFrame:
    with engine.connect() as conn:
        found = load_rounds(conn, 1_000)
    return found[found["state"] == "done"]


def newest_bar_of(engine: Engine) -> pd.Timestamp:
    with engine.connect() as conn:
        newest = conn.scalar(select(func.max(bars.c.time)))
    assert newest is not None, "no bar is stored"
    return pd.Timestamp(newest)


def assert_everything_is_there_once(
    engine: Engine, candles: pd.DataFrame, since: pd.Timestamp | None = None
) -> int:
    """Every candle up to the newest bar is a bar, with a signal of every profile; how many bars.

    ``since``: bars up to then were there beforehand, without signals.
    """
    found = counts(engine)
    for rows, different in found.values():
        assert rows == different > 0
    published = candles["published_at"]
    expected = published[published <= newest_bar_of(engine)]
    assert found["bars"][0] == len(expected)
    scored = len(expected) if since is None else int((expected > since).sum())
    assert found["signals"][0] == len(PROFILE_NAMES) * scored
    return scored


def events_of(engine: Engine) -> pd.DataFrame:
    """Every liquidation, having seen to it that each is there once and in the sums of its minute."""
    with engine.connect() as conn:
        events, minutes = load_events(conn, limit=10_000_000), load_minutes(conn)
    assert not events.duplicated(["venue", "identity"]).any()
    sums = events.assign(minute=events["occurred_at"].dt.floor("min")).pivot_table(
        index=["minute", "symbol", "venue"],
        columns="liquidated_side",
        values="usd",
        aggfunc=["sum", "count"],
        fill_value=0,
    )
    kept = minutes.set_index(["minute", "symbol", "venue"]).sort_index()
    assert len(kept) == len(sums)
    for side in ("long", "short"):
        found = kept.reindex(sums.index)
        if side in sums["sum"]:
            pd.testing.assert_series_equal(
                found[f"{side}_usd"], sums["sum"][side].astype(float), check_names=False, rtol=1e-9
            )
            assert (found[f"{side}_count"] == sums["count"][side]).all()
    return events


def inside_a_gap(engine: Engine, missing: pd.DataFrame, slack: pd.Timedelta) -> pd.Series:
    """Whether each event (columns venue and at) lies in a recorded gap, ``slack`` being in flight."""
    with engine.connect() as conn:
        gaps = load_gaps(conn)
    inside = pd.Series(data=False, index=missing.index)
    for gap in gaps.itertuples(index=False):
        ended = pd.Timestamp.max.tz_localize("UTC") if pd.isna(gap.ended_at) else gap.ended_at
        inside |= (
            (missing["venue"] == gap.venue)
            & (missing["at"] >= gap.started_at - slack)
            & (missing["at"] <= (ended if pd.isna(gap.ended_at) else ended + slack))
        )
    return inside


def list_events(
    conn: Connection, start: datetime | None = None, limit: int = 10_000
) -> list[StoredEvent]:
    """What alert rules did, at bars from ``start`` on, the newest first."""
    query = select(alert_events).order_by(alert_events.c.at.desc(), alert_events.c.id.desc())
    if start is not None:
        query = query.where(alert_events.c.at >= start)
    return [StoredEvent(**row) for row in conn.execute(query.limit(limit)).mappings()]
