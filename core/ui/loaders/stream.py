"""Liquidations as they are reported, and the streams they come from.

What is asked for every second is not copied for each reader: nobody may change it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd
import streamlit as st
from pandas.api.types import union_categoricals

from core.market.liquidation_sums import settled_before
from core.store import liquidation_reading, liquidations
from core.ui.loaders.kept import KEPT_SECONDS, State, address, reading, state_now

# What may change every second, what a late event changes, and what is long past.
FRESH_SECONDS, SETTLED_SECONDS, PAST_SECONDS = 1, 120, 6 * 3600


def load_liquidation_sums(start: datetime, now: datetime, step: timedelta) -> pd.DataFrame:
    """Sums per slot, symbol and venue from ``start`` on; see `core.market.liquidation_sums`.

    What was settled is asked for seldom and summed up by the database, the last minutes every second.
    """
    settled = settled_before(now)
    fresh = _minutes(address(), settled)
    fresh = fresh.assign(slot=fresh["slot"].dt.floor(step))
    if settled > start:
        fresh = _one_after_another([_settled(address(), start, settled, step), fresh])
    return fresh[fresh["slot"] >= start]


def load_liquidation_past(
    start: datetime, end: datetime, step: timedelta, venues: tuple[str, ...]
) -> pd.DataFrame:
    """Sums of both sides over a long past, slot by symbol; NaN where nothing was reported."""
    return _whole_past(address(), start, end, step, venues)


@st.cache_resource(ttl=PAST_SECONDS, max_entries=8, show_spinner=False)
def _whole_past(
    address: str, start: datetime, end: datetime, step: timedelta, venues: tuple[str, ...]
) -> pd.DataFrame:
    """Day by day, because all but the first and the last day stay the same while time goes on."""
    days = pd.date_range(start, end, freq="D", normalize=True, inclusive="neither")
    bounds = sorted({start, *(day.to_pydatetime() for day in days if start < day < end), end})
    return pd.concat(
        [_past(address, first, last, step, venues) for first, last in pairwise(bounds)]
    )


def load_liquidation_pairs(now: datetime) -> list[tuple[str, str]]:
    """Symbol and venue of everything reported in the last seven days, sorted."""
    fresh = _minutes(address(), settled_before(now))
    newest = zip(fresh["symbol"].tolist(), fresh["venue"].tolist(), strict=True)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return sorted({*_pairs(address(), day - timedelta(days=7)), *newest})


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
    found = _events(address(), settled, None, *asked)
    if settled > start and (largest or len(found) < limit):
        before = _settled_events(address(), start, settled, *asked)
        found = pd.concat([found, before], ignore_index=True) if len(found) else before
    order = ["usd" if largest else "occurred_at", "identity"]
    found = found.drop_duplicates(["venue", "identity"])
    return found.sort_values(order, ascending=False, ignore_index=True).head(limit)


def load_streams() -> pd.DataFrame:
    """Every stream as it was last noted, and ``live_since``; index venue."""
    return _streams(address())


def load_stream_gaps(start: datetime) -> pd.DataFrame:
    """Stored gaps that last until ``start`` or longer."""
    return _gaps(address(), start)


def load_first_known() -> pd.Series:
    """When each stream was first followed; index venue."""
    return _first_known(address())


def load_bar_totals(start: datetime, end: datetime) -> pd.DataFrame:
    """Liquidations as the bars after ``start`` up to ``end`` know them."""
    return _bar_totals(state_now(), start, end)


def _one_after_another(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several frames; names stay categories, which are added up much faster than texts."""
    names = {
        column: union_categoricals([part[column] for part in parts])
        for column in ("symbol", "venue")
    }
    others = pd.concat([part.drop(columns=list(names)) for part in parts], ignore_index=True)
    return others.assign(**names)


@st.cache_resource(ttl=FRESH_SECONDS, max_entries=8, show_spinner=False)
def _minutes(address: str, start: datetime) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return liquidation_reading.load_sums(conn, start)


@st.cache_resource(ttl=SETTLED_SECONDS, max_entries=16, show_spinner=False)
def _settled(address: str, start: datetime, end: datetime, step: timedelta) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return liquidation_reading.load_sums(conn, start, end, step)


@st.cache_resource(ttl=PAST_SECONDS, max_entries=64, show_spinner=False)
def _past(
    address: str,  # noqa: ARG001
    start: datetime,
    end: datetime,
    step: timedelta,
    venues: tuple[str, ...],
) -> pd.DataFrame:
    with reading() as conn:
        return liquidation_reading.load_past(conn, start, end, step, venues)


@st.cache_resource(ttl=SETTLED_SECONDS, max_entries=4, show_spinner=False)
def _pairs(address: str, start: datetime) -> list[tuple[str, str]]:  # noqa: ARG001
    with reading() as conn:
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
    with reading() as conn:
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


@st.cache_resource(ttl=FRESH_SECONDS, max_entries=64, show_spinner=False)
def _events(address: str, *asked: Any) -> pd.DataFrame:  # noqa: ARG001
    return _ask_events(*asked)


@st.cache_resource(ttl=SETTLED_SECONDS, max_entries=64, show_spinner=False)
def _settled_events(address: str, *asked: Any) -> pd.DataFrame:  # noqa: ARG001
    return _ask_events(*asked)


@st.cache_resource(ttl=FRESH_SECONDS, max_entries=4, show_spinner=False)
def _streams(address: str) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        found = liquidations.load_streams(conn)
        return found.assign(live_since=liquidation_reading.load_live_since(conn))


@st.cache_resource(ttl=FRESH_SECONDS, max_entries=16, show_spinner=False)
def _gaps(address: str, start: datetime) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return liquidations.load_gaps(conn, start)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=4, show_spinner=False)
def _first_known(address: str) -> pd.Series:  # noqa: ARG001
    with reading() as conn:
        return liquidation_reading.load_first_known(conn)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=16, show_spinner=False)
def _bar_totals(state: State, start: datetime, end: datetime) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return liquidation_reading.load_bar_totals(conn, start, end)
