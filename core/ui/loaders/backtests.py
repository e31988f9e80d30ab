"""Versions of the modes, what is in force, and runs of profiles over histories."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from core.instance import instance
from core.market.choice import Market
from core.market.histories import histories
from core.signals import Schedule
from core.store import backtests as store
from core.store import histories as contents
from core.store import profiles
from core.store.histories import Contents
from core.store.leases import WORKER, load_leases
from core.ui.loaders.kept import KEPT_SECONDS, State, address, reading, state_now

# What a run does and what is in force is told at once; results do not change.
_WATCHED_SECONDS = 1
_LISTED = 50


def load_versions() -> list[profiles.Version]:
    """Every stored version of a mode, the newest first."""
    with reading() as conn:
        return profiles.load_versions(conn)


def load_thresholds(mode: str, history: pd.DataFrame) -> pd.Series:
    """The score from which each bar of a stored history was LONG, by the version that decided it."""
    made = history["profile_version"]
    if made.nunique() == 1 and made.iloc[0] == load_schedule(mode).first.version:
        return pd.Series(load_schedule(mode).first.long_threshold, index=history.index)
    known = {
        version.profile.version: version.profile.long_threshold
        for version in load_versions()
        if version.profile.name == mode
    }
    return made.map(known).astype("float64")


def load_in_force() -> list[profiles.Setting]:
    """Everything that was ever put in force, the setting made last first."""
    with reading() as conn:
        return profiles.load_settings(conn)


def load_schedule(mode: str) -> Schedule:
    """Which version of a mode decides which bar."""
    return _schedule(address(), mode)


def forget_schedules() -> None:
    """Look again after something was put in force here."""
    _schedule.clear()


def load_runs() -> list[store.Run]:
    """The newest runs, the one asked for last first."""
    with reading() as conn:
        return store.load_runs(conn, _LISTED)


def load_run(run_id: str) -> store.Run | None:
    """A run without its results; None where there is none."""
    with reading() as conn:
        return store.load_run(conn, run_id)


def load_result(run_id: str) -> dict[str, Any] | None:
    """What is shown of a run that is done, with its tallies parsed."""
    return _result(address(), run_id)


def load_held_back(run_id: str) -> dict[str, Any] | None:
    """What a run holds back, where a look is noted; else None, and nothing of it is read."""
    with reading() as conn:
        return _parsed(store.load_held_back(conn, run_id))


def load_looks(history: str) -> tuple[list[store.Look], int]:
    """Every look at what a history holds back, and how many runs on it are done."""
    with reading() as conn:
        return store.load_looks(conn, history), store.count_runs(conn, history)


def count_living_workers() -> int:
    """How many workers are alive."""
    with reading() as conn:
        return len(load_leases(conn, WORKER, datetime.now(UTC)))


def load_contents(key: str) -> Contents | None:
    """What a history holds; None where it holds nothing yet. Raises `RecordingError` for a folder that
    cannot be read."""
    here = instance()
    found = {one.key: one for one in histories(here.settings, here.market)}.get(key)
    if found is None:
        return None
    return _stored(state_now()) if found.market is None else _recorded(found.market)


@st.cache_data(ttl=_WATCHED_SECONDS, max_entries=12, show_spinner=False)
def _schedule(address: str, mode: str) -> Schedule:  # noqa: ARG001
    with reading() as conn:
        return profiles.load_schedule(conn, mode)


@st.cache_data(ttl=600, max_entries=16, show_spinner=False)
def _result(address: str, run_id: str) -> dict[str, Any] | None:  # noqa: ARG001
    with reading() as conn:
        return _parsed(store.load_result(conn, run_id))


def _parsed(body: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if body is None else {**body, "tallies": store.parse_tallies(body["tallies"])}


@st.cache_data(ttl=KEPT_SECONDS, max_entries=4, show_spinner=False)
def _stored(state: State) -> Contents | None:  # noqa: ARG001
    with reading() as conn:
        return contents.load_stored(conn)


@st.cache_data(ttl=600, max_entries=16, show_spinner=False)
def _recorded(market: Market) -> Contents | None:
    return contents.load_recorded(market)
