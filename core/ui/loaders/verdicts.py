"""What a language model said, and how asking it goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from core.store import verdicts as store
from core.ui.loaders.kept import KEPT_SECONDS, State, address, own, reading, state_now
from core.ui.loaders.market import load_newest
from core.ui.loaders.operation import COUNTED_SECONDS, WATCHED_SECONDS

DAY = timedelta(hours=24)


@dataclass(frozen=True)
class ModelRecord:
    """How asking has gone in the last 24 hours and in all, what today has taken, how the newest
    question ended, and the newest that has no answer."""

    day: store.Asking
    ever: store.Asking
    spent: store.Spent
    last: store.Ended | None
    last_failure: store.Ended | None


def load_verdict(
    symbol: str, profile_name: str, time: datetime, version: str | None = None
) -> dict[str, Any] | None:
    """What a model said of one signal, or how asking failed; None where it was not asked."""
    return _verdict(state_now(), symbol, profile_name, time, version)


def load_newest_verdicts(profile_name: str) -> pd.DataFrame:
    """What a model said of the newest signals; see `core.store.verdicts.load_verdicts_for`."""
    return own(_newest_verdicts(state_now(), profile_name))


def load_past_verdicts(symbol: str, profile_name: str) -> pd.DataFrame:
    """What a model said of every signal of a symbol, by time."""
    return own(_past_verdicts(state_now(), symbol, profile_name))


def load_model_record() -> ModelRecord:
    """Counts of the last 24 hours as they are now, and those of all at most a minute old."""
    day, spent, last, last_failure = _model_now(address())
    return ModelRecord(day, _model_ever(address()), spent, last, last_failure)


# The first argument only tells stores and their states apart.


@st.cache_data(ttl=KEPT_SECONDS, max_entries=256, show_spinner=False)
def _verdict(
    state: State,  # noqa: ARG001
    symbol: str,
    profile_name: str,
    time: datetime,
    version: str | None,
) -> dict[str, Any] | None:
    with reading() as conn:
        return store.load_verdict_of(conn, symbol, profile_name, time, version)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=12, show_spinner=False)
def _newest_verdicts(state: State, profile_name: str) -> pd.DataFrame:  # noqa: ARG001
    newest = load_newest(profile_name)
    with reading() as conn:
        return store.load_verdicts_for(conn, newest.index, profile_name)


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=64, show_spinner=False)
def _past_verdicts(state: State, symbol: str, profile_name: str) -> pd.DataFrame:  # noqa: ARG001
    with reading() as conn:
        return store.load_verdicts_of(conn, symbol, profile_name)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _model_now(
    address: str,  # noqa: ARG001
) -> tuple[store.Asking, store.Spent, store.Ended | None, store.Ended | None]:
    now = datetime.now(UTC)
    with reading() as conn:
        return (
            store.load_asking(conn, now - DAY),
            store.load_spent(conn, now),
            store.load_last(conn, failed=False),
            store.load_last(conn, failed=True),
        )


@st.cache_data(ttl=COUNTED_SECONDS, max_entries=4, show_spinner=False)
def _model_ever(address: str) -> store.Asking:  # noqa: ARG001
    with reading() as conn:
        return store.load_asking(conn)
