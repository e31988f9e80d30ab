"""What every loader shares: which store it reads, how far that has come, and how it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from math import inf
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

import pandas as pd
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
    here = address()
    return f"{here} {newest_round()} {_replays.read(here)[1]}"


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


_NOTHING = ("", -inf, (list[dict[str, Any]](), ""))


class _Kept:
    """The replays of a store for a second, with what is the same as long as none has moved.

    `st.cache_data` takes longer to look something up than all else that `state_now` does, of which every
    look into what is kept begins.
    """

    def __init__(self) -> None:
        self._asking = Lock()
        self._found: tuple[str, float, tuple[list[dict[str, Any]], str]] = _NOTHING

    def read(self, address: str) -> tuple[list[dict[str, Any]], str]:
        """The replays, the one touched last first, and how far they are; at most a second old."""
        if (found := self._look_up(address)) is None:
            with self._asking:
                if (found := self._look_up(address)) is None:
                    began = monotonic()
                    with reading() as conn:
                        replays = store.load_progress(conn)
                    parts = [(row["key"], row["state"], row["rows_done"]) for row in replays]
                    found = replays, str(parts)
                    self._found = address, began, found
        return found

    def _look_up(self, address: str) -> tuple[list[dict[str, Any]], str] | None:
        of, began, found = self._found
        return found if of == address and monotonic() - began < 1 else None

    def clear(self) -> None:
        """Ask anew."""
        self._found = _NOTHING


_replays = _Kept()


def load_progress() -> list[dict[str, Any]]:
    """The replays of this store, the one touched last first; at most a second old."""
    return deepcopy(_replays.read(address())[0])
