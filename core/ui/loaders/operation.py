"""How the machinery is doing, for an operator."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from core.instance import instance
from core.store.backup_state import BackupState, load_backup_state
from core.store.bookkeeping import Work, load_work
from core.store.operation import Operation
from core.store.operation import load_operation as read_operation
from core.store.published import Published, load_all_published
from core.store.system import About
from core.store.system import load_about as read_about
from core.ui.loaders.kept import State, accounts_address, address, reading, state_now

# What an operator watches; what takes long to count is kept for longer.
WATCHED_SECONDS, COUNTED_SECONDS = 2, 60


def load_operation() -> Operation:
    """Sources, workers, rounds and streams as they are now; at most two seconds old."""
    return _operation(address())


def load_published(expected: tuple[tuple[str, str], ...]) -> Published:
    """What was published of late; see `core.store.published.load_all_published`."""
    return _published(address(), expected)


def load_about() -> About:
    """What the database holds; counted anew when a replay has gone on, or after a minute."""
    return _about(state_now())


def load_pieces_of_work() -> list[Work]:
    """What waits, runs or ended in an error among the workers' jobs."""
    return _work(address())


def load_backups() -> BackupState:
    """How backups are doing, of all that this installation holds."""
    return _backups(accounts_address())


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _backups(address: str) -> BackupState:  # noqa: ARG001
    with reading(instance().accounts) as conn:
        return load_backup_state(conn)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _operation(address: str) -> Operation:  # noqa: ARG001
    with reading() as conn:
        return read_operation(conn, datetime.now(UTC))


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _work(address: str) -> list[Work]:  # noqa: ARG001
    with reading() as conn:
        return load_work(conn)


@st.cache_data(ttl=COUNTED_SECONDS, max_entries=4, show_spinner=False)
def _published(address: str, expected: tuple[tuple[str, str], ...]) -> Published:  # noqa: ARG001
    with reading() as conn:
        return load_all_published(conn, expected, datetime.now(UTC))


@st.cache_data(ttl=COUNTED_SECONDS, max_entries=4, show_spinner=False)
def _about(state: State) -> About:  # noqa: ARG001
    with reading() as conn:
        return read_about(conn)
