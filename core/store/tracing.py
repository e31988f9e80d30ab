"""Where a stored signal comes from, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import ColumnElement, Connection, and_, func, select

from core.market.files import FILES, HOUR_US, UNIVERSE, Source
from core.market.held import venue_rank
from core.signals import Profile, parse_profile
from core.store.reading import numbers, raw, read_columns, words
from core.store.tables import ledger, observed, outcomes, profiles, signals

_OUTCOME = ("net_return", "gross_return", "r_multiple", "barrier_r")


@dataclass(frozen=True)
class Entry:
    """Where a row stands in the ledger, and the hash of the chain up to it."""

    position: int
    hash: bytes


@dataclass(frozen=True)
class Origin:
    """The profile that made a signal, as it was then, when the signal was stored, and its entry in
    the ledger."""

    profile: Profile
    version: str
    recorded_at: datetime
    entry: Entry | None = None


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


def load_origin(
    conn: Connection, symbol: str, profile_name: str, time: datetime, version: str | None = None
) -> Origin | None:
    """Where the row of `core.store.signals.load_signal` comes from; None if it is not stored."""
    entry = and_(ledger.c.kind == "signal", ledger.c.row_id == signals.c.id)
    query = (
        select(
            signals.c.profile_version,
            signals.c.recorded_at,
            profiles.c.body,
            ledger.c.position,
            ledger.c.hash,
        )
        .select_from(signals.join(profiles).outerjoin(ledger, entry))
        .where(*_of_bar(symbol, profile_name, time, version))
        .order_by(signals.c.id)
    )
    row = conn.execute(query).first()
    if row is None:
        return None
    place = None if row.position is None else Entry(row.position, row.hash)
    return Origin(parse_profile(row.body), row.profile_version, row.recorded_at, place)


def _of_bar(
    symbol: str, profile_name: str, time: datetime, version: str | None
) -> list[ColumnElement[bool]]:
    of_version = [] if version is None else [signals.c.profile_version == version]
    return [
        signals.c.profile_name == profile_name,
        signals.c.symbol == symbol,
        signals.c.time == time,
        *of_version,
    ]


def load_stored_profile(conn: Connection, name: str, version: str) -> Profile | None:
    """One version of a profile, as it was; None if there is no such one."""
    body = conn.scalar(
        select(profiles.c.body).where(profiles.c.name == name, profiles.c.version == version)
    )
    return None if body is None else parse_profile(body)


def load_outcomes_of(
    conn: Connection, symbol: str, profile_name: str, time: datetime, version: str | None = None
) -> pd.DataFrame:
    """The finished outcomes of one signal; index horizon, columns of `core.outcomes.resolve`.

    Has net_return, gross_return, r_multiple, barrier_r, barrier and traded.
    """
    first = select(func.min(signals.c.id)).where(*_of_bar(symbol, profile_name, time, version))
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
