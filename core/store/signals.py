"""Saving and loading what the pipeline makes. A stored row is never changed.

What is loaded has the pipeline's column names, so its pure functions run on it. Where a profile
was changed and run again over the past, a bar has rows of several versions of that profile; the
one recorded first is what was said at the time, and the one that is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import Connection, Select, Subquery, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import StoreError
from core.market.frame import INDEX, NAMES
from core.signals import Profile
from core.store import contents, ledger, rows
from core.store.bulk import floats, insert_all, insert_new, texts, times
from core.store.reading import among, between, moments, numbers, raw, read_columns, words
from core.store.tables import bars, measurements, outcomes, profiles, replays, signals
from core.store.tallies import keep_signals, keep_tallies

_RETURNS = ("entry_price", "exit_price", "gross_return", "net_return", "long_net_return")
_IN_R = ("barrier_r", "mae_r", "mfe_r")
_HISTORY = ("last_price", *rows.NUMBERS, "conviction")
_HISTORY_WORDS = (*rows.WORDS, "profile_version")


def save_bars(conn: Connection, frame: pd.DataFrame) -> int:
    """Store the market columns of a frame; how many bars were new."""
    market = frame.reindex(columns=list(NAMES))
    return insert_new(
        conn,
        bars,
        {
            "symbol": frame.index.get_level_values("symbol").tolist(),
            "time": times(conn, frame.index.get_level_values("time")),
            **{name: floats(market[name], name) for name in NAMES},
        },
    )


def save_profile(conn: Connection, profile: Profile, at: datetime) -> None:
    """Store a profile under its name and version, once."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(profiles)
    conn.execute(
        insert.values(
            name=profile.name,
            version=profile.version,
            body=profile.model_dump(mode="json"),
            created_at=at,
        ).on_conflict_do_nothing()
    )


def save_signals(
    conn: Connection,
    planned: pd.DataFrame,
    ages: pd.DataFrame,
    profile: Profile,
    recorded_at: datetime,
) -> int:
    """Store every row of a planned frame, those without a signal too; how many were new.

    ``ages`` is over the same index, hours per source. The profile must have been saved.
    """
    return insert_signals(conn, rows.make_ready(conn, planned, ages, profile, recorded_at), profile)


def save_each(
    conn: Connection,
    made: Sequence[tuple[Profile, pd.DataFrame]],
    ages: pd.DataFrame,
    recorded_at: datetime,
) -> int:
    """`save_signals` of several profiles at once, in order; ``ages`` has the rows of all.

    A statement takes longer to begin than a bar's rows of a profile.
    """
    return _insert(
        conn,
        [
            (rows.make_ready(conn, planned, ages.loc[planned.index], profile, recorded_at), profile)
            for profile, planned in made
        ],
    )


def insert_signals(conn: Connection, ready: rows.Ready, profile: Profile) -> int:
    """`save_signals` for rows that were made ready before."""
    return _insert(conn, [(ready, profile)])


def _insert(conn: Connection, several: Sequence[tuple[rows.Ready, Profile]]) -> int:
    ledger.hold(conn)
    fresh = [_only_new(conn, ready, profile) for ready, profile in several if len(ready.index)]
    fresh = [one for one in fresh if len(one.index)]
    if not fresh:
        return 0
    new = fresh[0] if len(fresh) == 1 else rows.joined(fresh)
    measured_at = _measure(conn, new)
    first = ledger.next_id(conn, signals, contents.SIGNAL)
    ids = range(first, first + len(new.index))
    insert_all(conn, signals, {"id": ids, **new.signals})
    ledger.spend_ids(conn, signals, ids[-1])
    keep_signals(conn, ids[0], ids[-1])
    of_signals = contents.signal_contents(new.signals, new.measured, measured_at)
    ledger.append(conn, contents.SIGNAL, list(zip(ids, of_signals, strict=True)))
    return len(ids)


def _only_new(conn: Connection, ready: rows.Ready, profile: Profile) -> rows.Ready:
    """A signal that is stored stays with its own numbers; nobody would refer to these."""
    stored, _ = _stored(conn, ready.index, profile)
    return ready.only(stored.get_indexer(ready.index) < 0) if len(stored) else ready


def _measure(conn: Connection, new: rows.Ready) -> list[str | datetime]:
    """Store what no profile has stored, once; when each row's measurement was recorded."""
    known = read_columns(conn, _in_range(conn, measurements, ["digest", "recorded_at"], new.index))
    recorded = dict(zip(known["digest"], known["recorded_at"], strict=True))
    measured: list[str] = new.measurements["digest"]
    # To leave to the database what it has takes longer.
    first = {digest: row for row, digest in reversed(list(enumerate(measured)))}
    unknown = [
        digest not in recorded and first[digest] == row for row, digest in enumerate(measured)
    ]
    insert_all(conn, measurements, new.only(np.array(unknown)).measurements)
    own: list[str] = new.measurements["recorded_at"]
    return [recorded.get(digest, at) for digest, at in zip(measured, own, strict=True)]


def save_outcomes(
    conn: Connection, resolved: pd.DataFrame, profile: Profile, recorded_at: datetime
) -> int:
    """Store outcomes of stored signals; how many were new."""
    if resolved.empty:
        return 0
    ledger.hold(conn)
    ordered = resolved.assign(signal_id=_signal_ids(conn, resolved.index, profile))
    ordered = ordered.reset_index("horizon").sort_values(["signal_id", "horizon"])
    ordered = ordered[~_has_outcome(conn, resolved.index, profile, ordered)]
    if ordered.empty:
        return 0
    columns = {
        "signal_id": ordered["signal_id"].tolist(),
        "horizon": ordered["horizon"].tolist(),
        "entry_at": times(conn, pd.DatetimeIndex(ordered["entry_at"])),
        "exit_at": times(conn, pd.DatetimeIndex(ordered["exit_at"])),
        **{name: floats(ordered[name], name) for name in (*_RETURNS, "r_multiple", *_IN_R)},
        "barrier": texts(ordered["barrier"]),
        "traded": ordered["traded"].tolist(),
        "funding_assumed": ordered["funding_assumed"].tolist(),
        "recorded_at": times(conn, pd.DatetimeIndex([recorded_at])) * len(ordered),
    }
    insert_all(conn, outcomes, columns)
    kinds = [contents.OUTCOME + horizon for horizon in columns["horizon"]]
    ledger.chain(conn, kinds, columns["signal_id"], contents.outcome_contents(columns))
    keep_tallies(conn, list(zip(columns["signal_id"], columns["horizon"], strict=True)))
    return len(ordered)


def _has_outcome(
    conn: Connection, index: pd.Index, profile: Profile, wanted: pd.DataFrame
) -> npt.NDArray[np.bool_]:
    """Which rows of ``wanted``, by signal_id and horizon, are stored already."""
    query = (
        _in_range(conn, signals, [], index)
        .with_only_columns(outcomes.c.signal_id, outcomes.c.horizon)
        .join_from(signals, outcomes)
        .where(signals.c.profile_name == profile.name, signals.c.profile_version == profile.version)
    )
    found = read_columns(conn, query)
    if not found["signal_id"]:
        return np.zeros(len(wanted), dtype=bool)
    stored = pd.MultiIndex.from_arrays([found["signal_id"], found["horizon"]])
    keys = pd.MultiIndex.from_frame(wanted[["signal_id", "horizon"]])
    return stored.get_indexer(keys) >= 0


def _signal_ids(conn: Connection, index: pd.Index, profile: Profile) -> npt.NDArray[np.int64]:
    """The id of the stored signal that each outcome belongs to; `StoreError` if one is missing."""
    stored, ids = _stored(conn, index, profile)
    position = stored.get_indexer(pd.MultiIndex.from_arrays(_levels(index)))
    if (position < 0).any():
        symbol, time, _ = index[int(np.argmin(position))]
        raise StoreError(
            f"There is no stored signal of {symbol} at {time}; save signals before their outcomes."
        )
    return ids[position]


def _stored(
    conn: Connection, index: pd.Index, profile: Profile
) -> tuple[pd.MultiIndex, npt.NDArray[np.int64]]:
    """Symbol and time of a profile's stored signals in the range of ``index``, and their ids."""
    query = _in_range(conn, signals, ["id", "symbol", "time"], index).where(
        signals.c.profile_name == profile.name, signals.c.profile_version == profile.version
    )
    found = read_columns(conn, query)
    stored = pd.MultiIndex.from_arrays([found["symbol"], moments(found["time"], "time")])
    return stored, np.array(found["id"], dtype=np.int64)


def _in_range(conn: Connection, table: Table, names: list[str], index: pd.Index) -> Select[Any]:
    """Columns of a table's rows of the symbols, and between the times, of ``index``."""
    symbols, at = _levels(index)
    query = select(*raw(table, *names)).where(among(conn, table.c.symbol, symbols.unique()))
    return between(query, table, at.min().to_pydatetime(), at.max().to_pydatetime())


def _levels(index: pd.Index) -> list[pd.Index]:
    return [index.get_level_values(name) for name in INDEX]


def load_newest(conn: Connection, profile_name: str, last_id: int | None = None) -> pd.DataFrame:
    """The newest stored row of every symbol: planned columns and age_<source>.

    With ``last_id`` as it was when the signal of that id was the last one that was stored.
    """
    newest = _newest_times(profile_name, last_id)
    query = rows.whole_rows().join(
        newest, (newest.c.symbol == signals.c.symbol) & (newest.c.time == signals.c.time)
    )
    if last_id is not None:
        query = query.where(signals.c.id <= last_id)
    found = _load_rows(conn, query.where(signals.c.profile_name == profile_name))
    return found.sort_index()


def last_signal_id(conn: Connection) -> int:
    """The id of the signal that was stored last, 0 where there is none."""
    return conn.scalar(select(func.max(signals.c.id))) or 0


def _newest_times(profile_name: str, last_id: int | None = None) -> Subquery:
    """Symbol and time of the newest row of every symbol, by one step in the key per symbol.

    Grouping would read every row of the profile.
    """
    until = [] if last_id is None else [signals.c.id <= last_id]
    of_profile = select(func.min(signals.c.symbol)).where(signals.c.profile_name == profile_name)
    symbols = of_profile.with_only_columns(func.min(signals.c.symbol).label("symbol")).cte(
        "symbols", recursive=True
    )
    following = of_profile.where(signals.c.symbol > symbols.c.symbol).correlate(symbols)
    symbols = symbols.union_all(
        select(following.scalar_subquery()).where(symbols.c.symbol.is_not(None))
    )
    time = (
        select(func.max(signals.c.time))
        .where(signals.c.profile_name == profile_name, signals.c.symbol == symbols.c.symbol, *until)
        .correlate(symbols)
        .scalar_subquery()
    )
    return (
        select(symbols.c.symbol, time.label("time")).where(symbols.c.symbol.is_not(None)).subquery()
    )


def load_symbols(conn: Connection, profile_name: str) -> list[str]:
    """The symbols of which a profile has rows, sorted."""
    return sorted(conn.scalars(select(_newest_times(profile_name).c.symbol)))


def load_signal(
    conn: Connection, symbol: str, profile_name: str, time: datetime, version: str | None = None
) -> pd.Series | None:
    """The row of one bar as it was, by column name; its name is (symbol, time). None if not stored.

    Without a ``version`` of the profile it is the one recorded first.
    """
    query = rows.whole_rows().where(
        signals.c.profile_name == profile_name,
        signals.c.symbol == symbol,
        signals.c.time == time,
        *([] if version is None else [signals.c.profile_version == version]),
    )
    found = _load_rows(conn, query)
    return None if found.empty else found.iloc[0]


def _load_rows(conn: Connection, query: Select[Any]) -> pd.DataFrame:
    found = rows.from_columns(read_columns(conn, query.order_by(signals.c.id)))
    return found[~found.index.duplicated()]


def load_history(
    conn: Connection,
    symbol: str,
    profile_name: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> pd.DataFrame:
    """The scalar columns of every row of a symbol, from ``start`` to ``end`` (both included).

    Index time; last_price, score, coverage, agreement, direction, multiplier, conviction, verdict,
    risk_mode, no_signal and profile_version.
    """
    query = select(*raw(signals, "time", *_HISTORY, *_HISTORY_WORDS)).where(
        signals.c.profile_name == profile_name, signals.c.symbol == symbol
    )
    found = read_columns(
        conn, between(query, signals, start, end).order_by(signals.c.time, signals.c.id)
    )
    frame = pd.DataFrame(
        {
            **{name: numbers(found[name]) for name in _HISTORY},
            **{name: words(found[name]) for name in _HISTORY_WORDS},
        }
    )
    frame.index = moments(found["time"], "time")
    return frame[~frame.index.duplicated()]


def last_times(
    conn: Connection,
    symbol: str,
    profile_name: str | None,
    *,
    limit: int,
    before: datetime | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[datetime]:
    """Up to ``limit`` times of a symbol's signals, or of its bars without a profile, the newest first."""
    table = bars if profile_name is None else signals
    query = select(table.c.time).where(table.c.symbol == symbol)
    if profile_name is not None:
        query = query.where(signals.c.profile_name == profile_name).distinct()
    if before is not None:
        query = query.where(table.c.time < before)
    query = between(query, table, start, end).order_by(table.c.time.desc()).limit(limit)
    return list(conn.scalars(query))


def load_bars(
    conn: Connection, symbol: str, start: datetime | None = None, end: datetime | None = None
) -> pd.DataFrame:
    """The market columns of a symbol from ``start`` to ``end`` (both included); index time."""
    query = select(*raw(bars, "time", *NAMES)).where(bars.c.symbol == symbol)
    found = read_columns(conn, between(query, bars, start, end).order_by(bars.c.time))
    return pd.DataFrame(
        {name: numbers(found[name]) for name in NAMES}, index=moments(found["time"], "time")
    )


def load_closes(conn: Connection, hours: float, through: datetime | None = None) -> pd.DataFrame:
    """Closes of the newest bar, or of that of ``through``, and of the ``hours`` before it, time by
    symbol."""
    span = market_range(conn)
    last = through or (None if span is None else span[1])
    since = None if last is None else last - timedelta(hours=hours)
    found = read_columns(
        conn, between(select(*raw(bars, "symbol", "time", "close")), bars, since, through)
    )
    index = pd.MultiIndex.from_arrays(
        [found["symbol"], moments(found["time"], "time")], names=list(INDEX)
    )
    return pd.Series(numbers(found["close"]), index=index).unstack("symbol").sort_index()


def load_progress(conn: Connection) -> list[dict[str, Any]]:
    """The rows of `tables.replays`, the one touched last first."""
    query = select(replays).order_by(replays.c.updated_at.desc(), replays.c.key)
    return [dict(row) for row in conn.execute(query).mappings()]


def market_range(conn: Connection) -> tuple[datetime, datetime] | None:
    """Time of the first and of the last stored bar, None where there is none."""
    # Asked for one at a time, each is a step in the index; together they would read all of it.
    first = conn.scalar(select(func.min(bars.c.time)))
    last = conn.scalar(select(func.max(bars.c.time)))
    return None if first is None or last is None else (first, last)
