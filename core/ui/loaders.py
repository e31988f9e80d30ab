"""The only cache: what the store holds, the same for everyone, kept for seconds.

Nothing about a person goes in here. A failing database raises `StoreError`, and what is raised is
not kept, so the next reader asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd
import streamlit as st
from pandas.api.types import union_categoricals
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from core.errors import StoreError
from core.market.liquidation_sums import settled_before
from core.store import liquidation_reading, liquidations, tracing
from core.store import signals as store
from core.store.bookkeeping import Work, load_work
from core.store.operation import Operation
from core.store.operation import load_operation as read_operation
from core.store.published import Published, load_all_published
from core.store.system import About
from core.store.system import load_about as read_about
from core.ui.instance import instance
from core.ui.pulse import newest_round, read_pulse

KEPT_SECONDS = 30
# What an operator watches; what takes long to count is kept for longer.
WATCHED_SECONDS, COUNTED_SECONDS = 2, 60
# Of a stream: what may change every second, what a late event changes, and what is long past.
FRESH_SECONDS, SETTLED_SECONDS, PAST_SECONDS = 1, 120, 6 * 3600

# Which store, and how far its replays and rounds are: what was kept of an earlier state is not shown
# again.
State = tuple[str, tuple[tuple[str, str, int], ...]]


def load_newest(profile_name: str) -> pd.DataFrame:
    """The newest stored row of every symbol; see `core.store.signals.load_newest`."""
    return _newest(_state(), profile_name)


def load_closes(hours: int = 24) -> pd.DataFrame:
    """Closes of the newest bar and of the ``hours`` before it, time by symbol."""
    return _closes(_state(), hours)


def load_history(symbol: str, profile_name: str) -> pd.DataFrame:
    """The scalar columns of every stored row of a symbol, by time."""
    return _history(_state(), symbol, profile_name)


def load_signal(symbol: str, profile_name: str, time: datetime) -> pd.Series | None:
    """One stored row, whole; None where there is none."""
    return _signal(_state(), symbol, profile_name, time)


def load_bars(
    symbol: str, start: datetime | None = None, end: datetime | None = None
) -> pd.DataFrame:
    """The market columns of a symbol's bars, by time."""
    return _bars(_state(), symbol, start, end)


def load_outcomes(profile_name: str) -> pd.DataFrame:
    """Every stored outcome of a profile."""
    return _outcomes(_state(), profile_name)


def load_origin(symbol: str, profile_name: str, time: datetime) -> tracing.Origin | None:
    """The profile that made a stored row, and when it was stored."""
    return _origin(_state(), symbol, profile_name, time)


def load_provenance(
    symbol: str, time: datetime, recorded_at: datetime
) -> dict[str, tracing.Provenance]:
    """Where the values of a bar come from, by source, as far as they were observed here."""
    return _provenance(_state(), symbol, time, recorded_at)


def load_outcomes_of(symbol: str, profile_name: str, time: datetime) -> pd.DataFrame:
    """What became of one signal, by horizon; only what is finished."""
    return _outcomes_of(_state(), symbol, profile_name, time)


def load_directions_since(profile_name: str, since: datetime) -> pd.DataFrame:
    """Direction of every signal after ``since`` that has one, by symbol and time."""
    return _directions(_state(), profile_name, since)


def load_span() -> tuple[datetime, datetime] | None:
    """Time of the first and of the last stored bar."""
    return _span(_state())


def load_progress() -> list[dict[str, Any]]:
    """The replays of this store, the one touched last first; at most a second old."""
    return _progress(_address())


def load_operation() -> Operation:
    """Sources, workers, rounds and streams as they are now; at most two seconds old."""
    return _operation(_address())


def load_published(expected: tuple[tuple[str, str], ...]) -> Published:
    """What was published of late; see `core.store.published.load_all_published`."""
    return _published(_address(), expected)


def load_about() -> About:
    """What the database holds; counted anew when a replay has gone on, or after a minute."""
    return _about(_state())


def load_pieces_of_work() -> list[Work]:
    """What waits, runs or ended in an error among the workers' jobs."""
    return _work(_address())


def load_liquidation_sums(start: datetime, now: datetime, step: timedelta) -> pd.DataFrame:
    """Sums per slot, symbol and venue from ``start`` on; see `core.market.liquidation_sums`.

    What was settled is asked for seldom and summed up by the database, the last minutes every second.
    """
    settled = settled_before(now)
    fresh = _minutes(_address(), settled)
    fresh = fresh.assign(slot=fresh["slot"].dt.floor(step))
    if settled > start:
        fresh = _one_after_another([_settled(_address(), start, settled, step), fresh])
    return fresh[fresh["slot"] >= start]


def load_liquidation_past(
    start: datetime, end: datetime, step: timedelta, venues: tuple[str, ...]
) -> pd.DataFrame:
    """Sums of both sides over a long past, slot by symbol; NaN where nothing was reported.

    Day by day, because all but the first and the last day stay the same while time goes on.
    """
    days = pd.date_range(start, end, freq="D", normalize=True, inclusive="neither")
    bounds = sorted({start, *(day.to_pydatetime() for day in days if start < day < end), end})
    return pd.concat(
        [_past(_address(), first, last, step, venues) for first, last in pairwise(bounds)]
    )


def load_liquidation_pairs(now: datetime) -> list[tuple[str, str]]:
    """Symbol and venue of everything reported in the last seven days, sorted."""
    fresh = _minutes(_address(), settled_before(now))
    newest = zip(fresh["symbol"].tolist(), fresh["venue"].tolist(), strict=True)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return sorted({*_pairs(_address(), day - timedelta(days=7)), *newest})


def load_liquidations(
    start: datetime,
    now: datetime,
    venues: tuple[str, ...],
    symbols: tuple[str, ...] = (),
    *,
    limit: int,
    least_usd: float = 0.0,
    largest: bool = False,
) -> pd.DataFrame:
    """Up to ``limit`` single events since ``start``, the newest first, or the largest."""
    settled = max(settled_before(now), start)
    asked = (venues, symbols, limit, least_usd, largest)
    found = _events(_address(), settled, None, *asked)
    if settled > start and (largest or len(found) < limit):
        before = _settled_events(_address(), start, settled, *asked)
        found = pd.concat([found, before], ignore_index=True) if len(found) else before
    order = ["usd" if largest else "occurred_at", "identity"]
    found = found.drop_duplicates(["venue", "identity"])
    return found.sort_values(order, ascending=False, ignore_index=True).head(limit)


def load_streams() -> pd.DataFrame:
    """Every stream as it was last noted, and ``live_since``; index venue."""
    return _streams(_address())


def load_stream_gaps(start: datetime) -> pd.DataFrame:
    """Stored gaps that last until ``start`` or longer."""
    return _gaps(_address(), start)


def load_first_known() -> pd.Series:
    """When each stream was first followed; index venue."""
    return _first_known(_address())


def load_bar_totals(start: datetime, end: datetime) -> pd.DataFrame:
    """Liquidations as the bars after ``start`` up to ``end`` know them."""
    return _bar_totals(_state(), start, end)


def _one_after_another(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several frames; names stay categories, which are added up much faster than texts."""
    names = {
        column: union_categoricals([part[column] for part in parts])
        for column in ("symbol", "venue")
    }
    others = pd.concat([part.drop(columns=list(names)) for part in parts], ignore_index=True)
    return others.assign(**names)


def _address() -> str:
    return str(instance().engine.url)


def _state() -> State:
    replays = _progress(_address())
    parts = [(row["key"], row["state"], row["rows_done"]) for row in replays]
    return _address(), (*parts, ("round", str(newest_round()), 0))


@contextmanager
def _reading() -> Iterator[Connection]:
    sentence = (
        "The database does not answer. Nothing on this page is known until it does: "
        "try again, and see the server's log if it stays so."
    )
    if read_pulse().away_since is not None:
        raise StoreError(sentence)  # To ask it would only keep the reader waiting.
    try:
        with instance().engine.connect() as conn:
            yield conn
    except SQLAlchemyError as error:
        raise StoreError(sentence) from error


# The first argument only tells stores and their states apart.


@st.cache_data(ttl=1, max_entries=8, show_spinner=False)
def _progress(address: str) -> list[dict[str, Any]]:  # noqa: ARG001
    with _reading() as conn:
        return store.load_progress(conn)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=12, show_spinner=False)
def _newest(state: State, profile_name: str) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return store.load_newest(conn, profile_name)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=4, show_spinner=False)
def _closes(state: State, hours: int) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return store.load_closes(conn, hours)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _history(state: State, symbol: str, profile_name: str) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return store.load_history(conn, symbol, profile_name)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _signal(
    state: State,  # noqa: ARG001
    symbol: str,
    profile_name: str,
    time: datetime,
) -> pd.Series | None:
    with _reading() as conn:
        return store.load_signal(conn, symbol, profile_name, time)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _bars(
    state: State,  # noqa: ARG001
    symbol: str,
    start: datetime | None,
    end: datetime | None,
) -> pd.DataFrame:
    with _reading() as conn:
        return store.load_bars(conn, symbol, start, end)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=6, show_spinner=False)
def _outcomes(state: State, profile_name: str) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return store.load_outcomes(conn, profile_name)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=8, show_spinner=False)
def _span(state: State) -> tuple[datetime, datetime] | None:  # noqa: ARG001
    with _reading() as conn:
        return store.market_range(conn)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _origin(
    state: State,  # noqa: ARG001
    symbol: str,
    profile_name: str,
    time: datetime,
) -> tracing.Origin | None:
    with _reading() as conn:
        return tracing.load_origin(conn, symbol, profile_name, time)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _provenance(
    state: State,  # noqa: ARG001
    symbol: str,
    time: datetime,
    recorded_at: datetime,
) -> dict[str, tracing.Provenance]:
    with _reading() as conn:
        return tracing.load_provenance(conn, symbol, time, recorded_at)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _outcomes_of(
    state: State,  # noqa: ARG001
    symbol: str,
    profile_name: str,
    time: datetime,
) -> pd.DataFrame:
    with _reading() as conn:
        return tracing.load_outcomes_of(conn, symbol, profile_name, time)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=12, show_spinner=False)
def _directions(state: State, profile_name: str, since: datetime) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return tracing.load_directions_since(conn, profile_name, since)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _operation(address: str) -> Operation:  # noqa: ARG001
    with _reading() as conn:
        return read_operation(conn, datetime.now(UTC))


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _work(address: str) -> list[Work]:  # noqa: ARG001
    with _reading() as conn:
        return load_work(conn)


@st.cache_data(ttl=COUNTED_SECONDS, max_entries=4, show_spinner=False)
def _published(address: str, expected: tuple[tuple[str, str], ...]) -> Published:  # noqa: ARG001
    with _reading() as conn:
        return load_all_published(conn, expected, datetime.now(UTC))


@st.cache_data(ttl=COUNTED_SECONDS, max_entries=4, show_spinner=False)
def _about(state: State) -> About:  # noqa: ARG001
    with _reading() as conn:
        return read_about(conn)


@st.cache_data(ttl=FRESH_SECONDS, max_entries=8, show_spinner=False)
def _minutes(address: str, start: datetime) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return liquidation_reading.load_sums(conn, start)


@st.cache_data(ttl=SETTLED_SECONDS, max_entries=16, show_spinner=False)
def _settled(address: str, start: datetime, end: datetime, step: timedelta) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return liquidation_reading.load_sums(conn, start, end, step)


@st.cache_data(ttl=PAST_SECONDS, max_entries=64, show_spinner=False)
def _past(
    address: str,  # noqa: ARG001
    start: datetime,
    end: datetime,
    step: timedelta,
    venues: tuple[str, ...],
) -> pd.DataFrame:
    with _reading() as conn:
        return liquidation_reading.load_past(conn, start, end, step, venues)


@st.cache_data(ttl=SETTLED_SECONDS, max_entries=4, show_spinner=False)
def _pairs(address: str, start: datetime) -> list[tuple[str, str]]:  # noqa: ARG001
    with _reading() as conn:
        return liquidation_reading.load_pairs(conn, start)


def _ask_events(
    start: datetime,
    end: datetime | None,
    venues: tuple[str, ...],
    symbols: tuple[str, ...],
    limit: int,
    least_usd: float,
    largest: bool,
) -> pd.DataFrame:
    with _reading() as conn:
        return liquidations.load_events(
            conn,
            limit=limit,
            start=start,
            end=end,
            venues=venues,
            symbols=symbols or None,
            least_usd=least_usd,
            largest=largest,
        )


@st.cache_data(ttl=FRESH_SECONDS, max_entries=64, show_spinner=False)
def _events(address: str, *asked: Any) -> pd.DataFrame:  # noqa: ARG001
    return _ask_events(*asked)


@st.cache_data(ttl=SETTLED_SECONDS, max_entries=64, show_spinner=False)
def _settled_events(address: str, *asked: Any) -> pd.DataFrame:  # noqa: ARG001
    return _ask_events(*asked)


@st.cache_data(ttl=FRESH_SECONDS, max_entries=4, show_spinner=False)
def _streams(address: str) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        found = liquidations.load_streams(conn)
        return found.assign(live_since=liquidation_reading.load_live_since(conn))


@st.cache_data(ttl=FRESH_SECONDS, max_entries=16, show_spinner=False)
def _gaps(address: str, start: datetime) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return liquidations.load_gaps(conn, start)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=4, show_spinner=False)
def _first_known(address: str) -> pd.Series:  # noqa: ARG001
    with _reading() as conn:
        return liquidation_reading.load_first_known(conn)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=16, show_spinner=False)
def _bar_totals(state: State, start: datetime, end: datetime) -> pd.DataFrame:  # noqa: ARG001
    with _reading() as conn:
        return liquidation_reading.load_bar_totals(conn, start, end)
