"""Backtests of rules that are being written, in the background of this server.

One thread does them, one after the other, so that the page and the worker keep their processor. Each
is found again under what it is of: a page that is drawn again, or by somebody else, starts no second.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Lock
from typing import Literal

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.alerts.history import RuleHistory
from core.errors import Cancelled, CryptoSatXError, RuleError
from core.store.alerts.trials import Asked, run

_logger = logging.getLogger(__name__)

MOST_WAITING, MOST_KEPT = 8, 24
State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass
class Trial:
    """One backtest and how far it is."""

    asked: Asked
    state: State = "waiting"
    fraction: float = 0.0
    history: RuleHistory | None = None
    message: str = ""
    seconds: float = 0.0
    stop: Event = field(default_factory=Event)

    @property
    def under_way(self) -> bool:
        return self.state in ("waiting", "running")


class Trials:
    """The trials of this server, the ones looked at last kept."""

    def __init__(self) -> None:
        self._kept: dict[str, Trial] = {}
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rule-trial")

    def find(self, asked: Asked) -> Trial | None:
        """The trial of this, if it was asked for and is still kept."""
        with self._lock:
            return self._touched(asked.key)

    def ask(self, engine: Engine, asked: Asked) -> Trial:
        """Have it done; one that waits, runs or is done already is given back.

        Raises `RuleError` where too many wait.
        """
        with self._lock:
            found = self._touched(asked.key)
            if found is not None and (found.under_way or found.state == "done"):
                return found
            if sum(trial.under_way for trial in self._kept.values()) >= MOST_WAITING:
                raise RuleError(
                    f"{MOST_WAITING} backtests of rules wait already.",
                    hint="Wait for one to end, or cancel one.",
                )
            trial = self._kept[asked.key] = Trial(asked)
            self._drop_old()
        self._pool.submit(_do, engine, trial)
        return trial

    def cancel(self, asked: Asked) -> None:
        """Have it end without a result."""
        trial = self.find(asked)
        if trial is not None and trial.under_way:
            trial.stop.set()
            if trial.state == "waiting":
                trial.state = "cancelled"

    def wait(self) -> None:
        """Until everything that was asked for before has ended."""
        self._pool.submit(lambda: None).result()

    def _touched(self, key: str) -> Trial | None:
        trial = self._kept.pop(key, None)
        if trial is not None:
            self._kept[key] = trial
        return trial

    def _drop_old(self) -> None:
        for key in [key for key, trial in self._kept.items() if not trial.under_way]:
            if len(self._kept) <= MOST_KEPT:
                return
            del self._kept[key]


TRIALS = Trials()


def _do(engine: Engine, trial: Trial) -> None:
    if trial.stop.is_set():
        trial.state = "cancelled"
        return
    trial.state, began = "running", datetime.now(UTC)
    try:
        history = run(
            engine,
            trial.asked,
            progress=lambda share: setattr(trial, "fraction", share),
            cancelled=trial.stop.is_set,
        )
    except Cancelled:
        trial.state = "cancelled"
    except CryptoSatXError as error:
        trial.message, trial.state = str(error), "failed"
    except SQLAlchemyError:
        _logger.exception("A backtest of a rule could not read the database.")
        trial.message, trial.state = "The database did not answer while it was read.", "failed"
    except Exception:  # the top of a thread: whatever it was, the page must not wait for ever
        _logger.exception("A backtest of a rule failed.")
        trial.message, trial.state = "It failed; the server's log says why.", "failed"
    else:
        trial.history, trial.seconds = history, (datetime.now(UTC) - began).total_seconds()
        trial.fraction, trial.state = 1.0, "done"
