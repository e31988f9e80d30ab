"""Bars, signals and outcomes."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from core.store import signals as store
from core.store import tracing
from core.store.coins import load_coins as read_coins
from core.ui.loaders.kept import KEPT_SECONDS, State, own, reading, state_now


def load_newest(profile_name: str) -> pd.DataFrame:
    """The newest stored row of every symbol; see `core.store.signals.load_newest`."""
    return own(_newest(state_now(), profile_name))


def load_closes(hours: int = 24) -> pd.DataFrame:
    """Closes of the newest bar and of the ``hours`` before it, time by symbol."""
    return own(_closes(state_now(), hours))


def load_history(symbol: str, profile_name: str) -> pd.DataFrame:
    """The scalar columns of every stored row of a symbol, by time."""
    return own(_history(state_now(), symbol, profile_name))


def load_signal(
    symbol: str, profile_name: str, time: datetime, version: str | None = None
) -> pd.Series | None:
    """One stored row, whole; None where there is none. Without a version the one recorded first."""
    return _signal(state_now(), symbol, profile_name, time, version)


def load_bars(
    symbol: str, start: datetime | None = None, end: datetime | None = None
) -> pd.DataFrame:
    """The market columns of a symbol's bars, by time."""
    return own(_bars(state_now(), symbol, start, end))


def load_origin(
    symbol: str, profile_name: str, time: datetime, version: str | None = None
) -> tracing.Origin | None:
    """The profile that made a stored row, when it was stored, and its entry in the ledger."""
    return _origin(state_now(), symbol, profile_name, time, version)


def load_provenance(
    symbol: str, time: datetime, recorded_at: datetime
) -> dict[str, tracing.Provenance]:
    """Where the values of a bar come from, by source, as far as they were observed here."""
    return _provenance(state_now(), symbol, time, recorded_at)


def load_outcomes_of(
    symbol: str, profile_name: str, time: datetime, version: str | None = None
) -> pd.DataFrame:
    """What became of one signal, by horizon; only what is finished."""
    return own(_outcomes_of(state_now(), symbol, profile_name, time, version))


def load_coins() -> pd.DataFrame:
    """Which coin each market is; see `core.store.coins.load_coins`."""
    return own(_coins(state_now()))


def load_span() -> tuple[datetime, datetime] | None:
    """Time of the first and of the last stored bar."""
    return _span(state_now())


# The first argument only tells stores and their states apart.


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=12, show_spinner=False)
def _newest(state: State, profile_name: str) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return store.load_newest(conn, profile_name)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=4, show_spinner=False)
def _closes(state: State, hours: int) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return store.load_closes(conn, hours)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _history(state: State, symbol: str, profile_name: str) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return store.load_history(conn, symbol, profile_name)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _signal(
    state: State,  # noqa: ARG001
    symbol: str,
    profile_name: str,
    time: datetime,
    version: str | None,
) -> pd.Series | None:
    with reading() as conn:
        return store.load_signal(conn, symbol, profile_name, time, version)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _bars(
    state: State,  # noqa: ARG001
    symbol: str,
    start: datetime | None,
    end: datetime | None,
) -> pd.DataFrame:
    with reading() as conn:
        return store.load_bars(conn, symbol, start, end)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=4, show_spinner=False)
def _coins(state: State) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return read_coins(conn)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=8, show_spinner=False)
def _span(state: State) -> tuple[datetime, datetime] | None:  # noqa: ARG001
    with reading() as conn:
        return store.market_range(conn)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _origin(
    state: State,  # noqa: ARG001
    symbol: str,
    profile_name: str,
    time: datetime,
    version: str | None,
) -> tracing.Origin | None:
    with reading() as conn:
        return tracing.load_origin(conn, symbol, profile_name, time, version)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _provenance(
    state: State,  # noqa: ARG001
    symbol: str,
    time: datetime,
    recorded_at: datetime,
) -> dict[str, tracing.Provenance]:
    with reading() as conn:
        return tracing.load_provenance(conn, symbol, time, recorded_at)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _outcomes_of(
    state: State,  # noqa: ARG001
    symbol: str,
    profile_name: str,
    time: datetime,
    version: str | None,
) -> pd.DataFrame:
    with reading() as conn:
        return tracing.load_outcomes_of(conn, symbol, profile_name, time, version)
