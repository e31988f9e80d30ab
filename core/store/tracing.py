"""Where a stored signal comes from, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, func, select

from core.market.files import FILES, HOUR_US, UNIVERSE, Source
from core.market.held import venue_rank
from core.signals import Profile, parse_profile
from core.store.reading import numbers, raw, read_columns, words
from core.store.tables import observed, outcomes, profiles, signals

_OUTCOME = ("net_return", "gross_return", "r_multiple", "barrier_r")


@dataclass(frozen=True)
class Origin:
    """The profile that made a signal, as it was then, and when the signal was stored."""

    profile: Profile
    version: str
    recorded_at: datetime


@dataclass(frozen=True)
class Provenance:
    """Whose value a bar showed, when that was published, and when it was seen here."""

    venue: str
    published_at: datetime
    seen_at: datetime


def load_provenance(
    conn: Connection, symbol: str, time: datetime, recorded_at: datetime
) -> dict[str, Provenance]:
    """Where the values of a live market's bar come from, by source; of ``recorded_at`` or before.

    Empty where nothing was observed, as on a recording, or where it was dropped as old.
    """
    found = {}
    for source in FILES.values():
        if source is not UNIVERSE:
            row = _newest(conn, source, symbol, time, recorded_at)
            if row is not None:
                found[source.name] = row
    return found


def _newest(
    conn: Connection, source: Source, symbol: str, time: datetime, recorded_at: datetime
) -> Provenance | None:
    """The newest row of the venue that counts, of those that were there."""
    table = observed[source.file]
    known_at = table.c[source.known_at]
    reach = timedelta(hours=16 * source.step_hours)
    query = select(table.c.venue, known_at, table.c.seen_at).where(
        known_at.between(time - reach, time), table.c.seen_at <= recorded_at
    )
    if source.per_symbol:
        query = query.where(table.c.symbol == symbol)
    if source.name == "candles":
        query = query.where(table.c.open_at == time - timedelta(microseconds=HOUR_US))
    rows = conn.execute(query.order_by(known_at)).all()
    if not rows:
        return None
    venue = min((row.venue for row in rows), key=venue_rank)
    return Provenance(*[tuple(row) for row in rows if row.venue == venue][-1])


def load_origin(conn: Connection, symbol: str, profile_name: str, time: datetime) -> Origin | None:
    """Where the row of `core.store.signals.load_signal` comes from; None if it is not stored."""
    query = (
        select(signals.c.profile_version, signals.c.recorded_at, profiles.c.body)
        .join_from(signals, profiles)
        .where(
            signals.c.profile_name == profile_name,
            signals.c.symbol == symbol,
            signals.c.time == time,
        )
        .order_by(signals.c.id)
    )
    row = conn.execute(query).first()
    return (
        None
        if row is None
        else Origin(parse_profile(row.body), row.profile_version, row.recorded_at)
    )


def load_stored_profile(conn: Connection, name: str, version: str) -> Profile | None:
    """One version of a profile, as it was; None if there is no such one."""
    body = conn.scalar(
        select(profiles.c.body).where(profiles.c.name == name, profiles.c.version == version)
    )
    return None if body is None else parse_profile(body)


def load_outcomes_of(
    conn: Connection, symbol: str, profile_name: str, time: datetime
) -> pd.DataFrame:
    """The finished outcomes of one signal; index horizon, columns of `core.outcomes.resolve`.

    Has net_return, gross_return, r_multiple, barrier_r, barrier and traded.
    """
    first = select(func.min(signals.c.id)).where(
        signals.c.profile_name == profile_name,
        signals.c.symbol == symbol,
        signals.c.time == time,
    )
    query = select(*raw(outcomes, "horizon", "barrier", "traded", *_OUTCOME)).where(
        outcomes.c.signal_id == first.scalar_subquery()
    )
    found = read_columns(conn, query)
    return pd.DataFrame(
        {
            **{name: numbers(found[name]) for name in _OUTCOME},
            "barrier": words(found["barrier"]).to_numpy(),
            "traded": [bool(value) for value in found["traded"]],
        },
        index=pd.Index(found["horizon"], name="horizon", dtype=object),
    )
