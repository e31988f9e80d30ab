"""Whether the databases answer, and how the live one is being filled: one question for all readers.

Asked in a thread, so that a page waits for a database that hangs for a moment only. What was said
last is kept with its time; a failure is a state that the next question ends, not an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import StoreError
from core.instance import instance
from core.market.choice import ACCOUNTS
from core.store.vitals import Vitals, check_answers, load_vitals

EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 3.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """What is known: ``known_at`` is when the database last answered, ``away_since`` is None while
    it does. ``vitals`` are of a live market, as they were last read.
    """

    vitals: Vitals | None = None
    known_at: datetime | None = None
    away_since: datetime | None = None


class Pulse:
    """Reads by ``ask`` at most every `EVERY_SECONDS`, one question at a time."""

    def __init__(self, ask: Callable[[], Vitals | None]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._reading = Reading()
        self._began = -EVERY_SECONDS
        self._answered = Event()
        self._answered.set()

    def read(self) -> Reading:
        """The newest reading; waits for one under way, but not for one that hangs."""
        with self._lock:
            if self._answered.is_set() and monotonic() - self._began >= EVERY_SECONDS:
                self._began = monotonic()
                self._answered.clear()
                Thread(target=self._question, name="pulse", daemon=True).start()
            patience = self._began + PATIENCE_SECONDS - monotonic()
        if not self._answered.wait(max(0.0, patience)):
            self._note_away("it takes too long")
        return self._reading

    def _question(self) -> None:
        try:
            vitals = self._ask()
        except (SQLAlchemyError, StoreError) as error:
            self._note_away(str(error))
        else:
            self._note(vitals)
        finally:
            self._answered.set()

    def _note(self, vitals: Vitals | None) -> None:
        with self._lock:
            if self._reading.away_since is not None:
                _logger.warning("The database answers again.")
            self._reading = Reading(vitals, datetime.now(UTC))

    def _note_away(self, reason: str) -> None:
        with self._lock:
            if self._reading.away_since is None:
                _logger.warning("The database does not answer: %s", reason)
                self._reading = replace(self._reading, away_since=datetime.now(UTC))


_pulses: dict[tuple[Engine, str], Pulse] = {}
_making = Lock()


def read_pulse() -> Reading:
    """How the market's database is now, at most seconds old."""
    here = instance()
    return _pulse(here.engine, here.market.kind).read()


def read_accounts() -> Reading:
    """The same of the database of people, without which nobody is known."""
    here = instance()
    kind = here.market.kind if here.accounts is here.engine else ACCOUNTS
    return _pulse(here.accounts, kind).read()


def away_now() -> Reading | None:
    """What is known of a database that does not answer; None while all do."""
    return next((one for one in (read_pulse(), read_accounts()) if one.away_since), None)


def newest_round() -> datetime | None:
    """The newest bar of a live market that everything has been done for, as it was last known."""
    vitals = read_pulse().vitals
    return None if vitals is None else vitals.done_bar


def _pulse(engine: Engine, kind: str) -> Pulse:
    with _making:
        if (engine, kind) not in _pulses:
            _pulses[engine, kind] = Pulse(lambda: _ask(engine, live=kind == "live"))
        return _pulses[engine, kind]


def _ask(engine: Engine, *, live: bool) -> Vitals | None:
    place = engine.url.database
    if engine.dialect.name == "sqlite" and place and not Path(place).is_file():
        # To connect would make an empty one in its place.
        engine.dispose()
        raise StoreError(f"{place} is not there.")
    try:
        with engine.connect() as conn:
            check_answers(conn)
            return load_vitals(conn, datetime.now(UTC)) if live else None
    except SQLAlchemyError:
        engine.dispose()  # Connections may lead to what is no longer there.
        raise
