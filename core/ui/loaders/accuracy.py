"""The record of the verdicts: sums per day, and the single signals behind them a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd
import streamlit as st

from core.accuracy.tallies import COLUMNS
from core.signals import Profile
from core.store import ledger, record, record_lists, signals, tracing
from core.store.record import Filters, Unfinished
from core.ui.loaders.kept import KEPT_SECONDS, State, address, own, reading, state_now

_HEAD_SECONDS = 2


def load_record_options(profile_name: str) -> pd.DataFrame:
    """The cells that a profile has tallies of; see `core.store.record.load_options`."""
    options = _options(state_now())
    return options[options["profile_name"] == profile_name]


def load_symbols(profile_name: str) -> list[str]:
    """The symbols of which a profile has rows, sorted."""
    return _symbols(state_now(), profile_name)


def load_stored_profile(name: str, version: str) -> Profile | None:
    """One version of a profile, as it was; None if there is no such one."""
    return _stored_profile(address(), name, version)


def load_tallies(
    filters: Filters, by: Sequence[str], columns: Sequence[str] = COLUMNS
) -> pd.DataFrame:
    """Sums per cell of ``by`` and day; see `core.store.record.load_tallies`."""
    return own(_tallies(state_now(), filters, tuple(by), tuple(columns)))


def load_totals(filters: Filters, by: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Sums per cell of ``by`` over all days; see `core.store.record.load_totals`."""
    return own(_totals(state_now(), filters, tuple(by), tuple(columns)))


def load_settled(filters: Filters) -> Filters:
    """The filters with the version of the profile that they mean, "" where it has none."""
    return _settled(state_now(), filters)


def load_signals_behind(filters: Filters, limit: int, offset: int = 0) -> pd.DataFrame:
    """The outcomes that the filters leave, the newest first."""
    return own(_signals(state_now(), filters, limit, offset))


def load_unfinished(filters: Filters) -> dict[str, Unfinished]:
    """How many outcomes are not finished: pending and overdue, by horizon."""
    return _unfinished(state_now(), filters)


def load_pairs(filters: Filters) -> pd.DataFrame:
    """How often the rules and the model of the filters said what; columns rules, model, n."""
    return own(_pairs(state_now(), filters))


def load_disagreements(filters: Filters, limit: int, offset: int = 0) -> pd.DataFrame:
    """Signals of which the rules and the model said different things, the newest first."""
    return own(_disagreements(state_now(), filters, limit, offset))


def load_factor_days(windows_version: str, start: date | None, end: date | None) -> pd.DataFrame:
    """Sums per day of what factors had to do with each other and with what came after."""
    return own(_factor_days(state_now(), windows_version, start, end))


def load_head() -> tuple[int, bytes]:
    """Length of the ledger and its newest hash; at most two seconds old."""
    return _head(address())


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=4, show_spinner=False)
def _options(state: State) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return record.load_options(conn)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=12, show_spinner=False)
def _symbols(state: State, profile_name: str) -> list[str]:  # noqa: ARG001
    with reading() as conn:
        return signals.load_symbols(conn, profile_name)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=16, show_spinner=False)
def _stored_profile(address: str, name: str, version: str) -> Profile | None:  # noqa: ARG001
    with reading() as conn:
        return tracing.load_stored_profile(conn, name, version)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _settled(state: State, filters: Filters) -> Filters:  # noqa: ARG001
    with reading() as conn:
        return record.settled(conn, filters)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _tallies(
    state: State,  # noqa: ARG001
    filters: Filters,
    by: tuple[str, ...],
    columns: tuple[str, ...],
) -> pd.DataFrame:
    with reading() as conn:
        return record.load_tallies(conn, filters, by, columns)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _totals(
    state: State,  # noqa: ARG001
    filters: Filters,
    by: tuple[str, ...],
    columns: tuple[str, ...],
) -> pd.DataFrame:
    with reading() as conn:
        return record.load_totals(conn, filters, by, columns)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _signals(state: State, filters: Filters, limit: int, offset: int) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return record_lists.list_signals(conn, filters, limit, offset)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _unfinished(state: State, filters: Filters) -> dict[str, Unfinished]:  # noqa: ARG001
    with reading() as conn:
        return record.count_unfinished(conn, filters)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=32, show_spinner=False)
def _pairs(state: State, filters: Filters) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return record.load_pairs(conn, filters)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=32, show_spinner=False)
def _disagreements(state: State, filters: Filters, limit: int, offset: int) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return record_lists.list_disagreements(conn, filters, limit, offset)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=16, show_spinner=False)
def _factor_days(
    state: State,  # noqa: ARG001
    windows_version: str,
    start: date | None,
    end: date | None,
) -> pd.DataFrame:
    with reading() as conn:
        return record.load_factor_days(conn, windows_version, start, end)


@st.cache_data(ttl=_HEAD_SECONDS, max_entries=4, show_spinner=False)
def _head(address: str) -> tuple[int, bytes]:  # noqa: ARG001
    with reading() as conn:
        return ledger.head(conn)
