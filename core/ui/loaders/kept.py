"""What every loader shares: which store it reads, how far that has come, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

import pandas as pd
import streamlit as st
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import StoreError
from core.instance import instance
from core.store import signals as store
from core.ui.pulse import newest_round, read_pulse

KEPT_SECONDS = 30

# Which store, and how far its replays and rounds are: what was kept of an earlier state is not shown
# again. A text, because every use of what is kept is looked up by it.
State = str
Frame = TypeVar("Frame", pd.DataFrame, pd.Series)


def address() -> str:
    """Which store it is."""
    return str(instance().engine.url)


def accounts_address() -> str:
    """Which store of people it is."""
    return str(instance().accounts.url)


def state_now() -> State:
    """Which store, and how far it has come; of its replays at most a second old."""
    return _state(address(), str(newest_round()))


def own(kept: Frame) -> Frame:
    """A kept frame for one reader, who may change it: pandas copies what is shared once it is written
    to. That costs nothing, and unpickling a copy each time would."""
    return kept.copy(deep=False)


@contextmanager
def reading(engine: Engine | None = None) -> Iterator[Connection]:
    """A connection to the market's store, or another one; a failing database raises `StoreError`."""
    sentence = (
        "The database does not answer. Nothing on this page is known until it does: "
        "try again, and see the server's log if it stays so."
    )
    if read_pulse().away_since is not None:
        raise StoreError(sentence)  # To ask it would only keep the reader waiting.
    try:
        with (engine or instance().engine).connect() as conn:
            yield conn
    except SQLAlchemyError as error:
        raise StoreError(sentence) from error


@st.cache_data(ttl=1, max_entries=8, show_spinner=False)
def _progress(address: str) -> list[dict[str, Any]]:  # noqa: ARG001
    with reading() as conn:
        return store.load_progress(conn)


class _Kept:
    """An answer for so many seconds, by what was asked.

    `st.cache_data` takes longer to look one up than all else that `state_now` does, of which every look
    into what is kept begins.
    """

    def __init__(self, ask: Callable[[str, str], State], seconds: float) -> None:
        self._ask, self._seconds = ask, seconds
        self._asking = Lock()
        self._answers: dict[tuple[str, str], tuple[float, State]] = {}

    def __call__(self, *asked: *tuple[str, str]) -> State:
        if (found := self._look_up(asked)) is not None:
            return found
        with self._asking:
            if (found := self._look_up(asked)) is None:
                began, found = monotonic(), self._ask(*asked)
                self.clear()
                self._answers[asked] = began, found
        return found

    def _look_up(self, asked: tuple[str, str]) -> State | None:
        began, found = self._answers.get(asked, (-inf, None))
        return found if monotonic() - began < self._seconds else None

    def clear(self) -> None:
        """Ask anew."""
        self._answers.clear()


def _ask_state(address: str, newest_round: str) -> State:
    with reading() as conn:
        replays = store.load_progress(conn)
    parts = [(row["key"], row["state"], row["rows_done"]) for row in replays]
    return f"{address} {newest_round} {parts}"


_state = _Kept(_ask_state, seconds=1.0)


def load_progress() -> list[dict[str, Any]]:
    """The replays of this store, the one touched last first; at most a second old."""
    return _progress(address())
