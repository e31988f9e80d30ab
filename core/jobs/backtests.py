"""A profile over a history, as a job: in parts of some symbols, between which it can be stopped.

Every symbol is decided and resolved by its own bars alone, so the parts add up to the whole.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from core.accuracy.tallies import regroup
from core.backtest import decide
from core.backtest.walk import Parted, Split, folds, part, split, together
from core.errors import BacktestError, CryptoSatXError
from core.jobs.round import newest_bar
from core.market import recording
from core.market.choice import Market
from core.market.demo import write_demo
from core.market.histories import find_history
from core.outcomes import HORIZONS, Costs, resolve
from core.settings import Settings
from core.signals import Profile
from core.store import backtests as store
from core.store.due import load_frame
from core.store.rounds import is_done
from core.store.signals import market_range
from core.store.tables import bars

# About a fifth of a second each.
PART_ROWS = 6_000
# Nothing is begun so shortly before a bar closes, nor until its round is done, at most so long.
BEFORE_CLOSE, AFTER_CLOSE = timedelta(seconds=3), timedelta(minutes=2)
_WAIT_SECONDS = 0.5
_logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The run is no longer this worker's: it was cancelled, or another has taken it."""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Backtests:
    """Runs what was asked for. ``clock`` is the time on the wall; ``follows`` is whether rounds of
    a live market go first, by ``market_clock``."""

    engine: Engine
    settings: Settings
    market: Market
    worker: str
    clock: Callable[[], datetime] = now
    market_clock: Callable[[], datetime] = now
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, run_id: str) -> None:
        """Do a run from its beginning; how it ended is in the database.

        One that was cancelled, or is taken from this worker, is left as it is; where the worker is
        asked to end, it waits for another.
        """
        with self.engine.begin() as conn:
            if not store.begin(conn, run_id, self.worker, self.clock()):
                return
            run = store.load_run(conn, run_id)
        assert run is not None
        try:
            self._do(run)
        except Stopped:
            return
        except (CryptoSatXError, SQLAlchemyError) as error:
            self._fail(run_id, str(error))
        except Exception as error:
            _logger.exception("The backtest %s failed.", run_id)
            self._fail(
                run_id, f"A fault of the program ({type(error).__name__}); the server's log has it."
            )

    def _fail(self, run_id: str, message: str) -> None:
        with self.engine.begin() as conn:
            store.fail(conn, run_id, self.worker, message, self.clock())

    def _do(self, run: store.Run) -> None:
        history = self._history(run.asked)
        of = history.split
        parts: list[Parted] = []
        counts: list[pd.Series] = []
        digest, done = hashlib.sha256(), 0
        for frame, symbols in history.parts:
            self._go_on(run.id, done / history.symbols, f"{done} of {history.symbols} markets")
            done += symbols
            if not _has_bars(frame, of):
                continue
            outcomes, counted = _work(frame, run.asked.profile, of)
            parts.append(part(outcomes, of))
            counts.append(counted)
            digest.update(_digest(frame))
        if not parts:
            raise BacktestError("These markets have no bars in that period: choose another.")
        self._go_on(run.id, 1.0, "adding up")
        shown = together([one.shown for one in parts])
        held_back = together([one.held_back for one in parts])
        counted = pd.concat(counts, axis=1).sum(axis=1)
        about = {
            "first_day": f"{of.start:%Y-%m-%d}",
            "held_back_from": f"{of.held_back_from:%Y-%m-%d}",
            "end": f"{of.end:%Y-%m-%d}",
            "symbols": history.names,
        }
        result = {
            "headline": _headline(shown),
            "tallies": store.dump_tallies(shown),
            "counts": {name: int(value) for name, value in counted.items()}
            | {"purged": sum(one.purged for one in parts)},
            "folds": [[f"{a:%Y-%m-%d}", f"{b:%Y-%m-%d}"] for a, b in folds(of)],
            "costs": Costs().model_dump(mode="json"),
            **about,
        }
        with self.engine.begin() as conn:
            store.finish(
                conn,
                run.id,
                self.worker,
                result=result,
                held_back={"tallies": store.dump_tallies(held_back), **about},
                history_digest=digest.hexdigest(),
                held_back_from=of.held_back_from.to_pydatetime(),
                at=self.clock(),
            )

    def _go_on(self, run_id: str, fraction: float, stage: str) -> None:
        """Note how far it is, after rounds that are due; `Stopped` where it is not to go on."""
        while True:
            due, ending = self._round_is_due(), self.stopping.is_set()
            said = "the newest bar goes first" if due else stage
            with self.engine.begin() as conn:
                ours = store.advance(conn, run_id, self.worker, fraction, said, self.clock())
                if ending:
                    store.hand_back(conn, run_id, self.worker, self.clock())
            if ending or not ours:
                raise Stopped
            if not due:
                return
            self.stopping.wait(_WAIT_SECONDS)

    def _round_is_due(self) -> bool:
        """Whether a bar of the live market closes soon, or has closed and is not worked through."""
        if self.market.kind != "live":
            return False
        moment = self.market_clock()
        if newest_bar(moment + BEFORE_CLOSE) > newest_bar(moment):
            return True
        bar = newest_bar(moment)
        if moment - bar > AFTER_CLOSE:
            return False
        with self.engine.connect() as conn:
            return not is_done(conn, bar)

    def _history(self, asked: store.Asked) -> _Bars:
        history = find_history(self.settings, self.market, asked.history)
        if history.market is None:
            return _stored(self.engine, asked)
        path = history.market.path
        assert path is not None
        if history.market.kind == "demo" and not path.is_dir():
            write_demo(path)
        return _recorded(recording.load(path, asked.symbols), asked)


@dataclass(frozen=True)
class _Bars:
    """Bars of a history in parts: a market frame and how many symbols are in it."""

    parts: Iterator[tuple[pd.DataFrame, int]]
    names: list[str]
    split: Split

    @property
    def symbols(self) -> int:
        return len(self.names)


def _stored(engine: Engine, asked: store.Asked) -> _Bars:
    with engine.connect() as conn:
        span = market_range(conn)
        known = sorted(conn.scalars(select(bars.c.symbol).distinct()))
    if span is None:
        raise BacktestError(
            "No bars are stored yet: wait until the market has been worked through."
        )
    names = _chosen(known, asked)
    of = _split(pd.Timestamp(span[0]), pd.Timestamp(span[1]), asked)
    start = of.start - pd.Timedelta(hours=asked.profile.windows.reach_hours)
    many = _at_once((of.end - max(start, pd.Timestamp(span[0]))) // pd.Timedelta(hours=1))

    def read() -> Iterator[tuple[pd.DataFrame, int]]:
        for at in range(0, len(names), many):
            some = names[at : at + many]
            with engine.connect() as conn:
                yield load_frame(conn, some, start, of.end), len(some)

    return _Bars(read(), names, of)


def _recorded(frame: pd.DataFrame, asked: store.Asked) -> _Bars:
    symbols = frame.index.get_level_values("symbol")
    times = pd.DatetimeIndex(frame.index.get_level_values("time"))
    names = _chosen(sorted(symbols.unique()), asked)
    of = _split(times.min(), times.max(), asked)
    start = of.start - pd.Timedelta(hours=asked.profile.windows.reach_hours)
    frame = frame[(times >= start) & (times < of.end + pd.Timedelta(hours=1))]
    many = _at_once(len(frame) / max(len(names), 1))

    def read() -> Iterator[tuple[pd.DataFrame, int]]:
        for at in range(0, len(names), many):
            some = names[at : at + many]
            yield frame[frame.index.get_level_values("symbol").isin(some)], len(some)

    return _Bars(read(), names, of)


def _chosen(known: Sequence[str], asked: store.Asked) -> list[str]:
    if asked.symbols is None:
        return list(known)
    unknown = sorted(set(asked.symbols) - set(known))
    if unknown:
        raise BacktestError(
            f"This history has no {', '.join(unknown[:5])}: choose among its {len(known)} markets."
        )
    if not asked.symbols:
        raise BacktestError("Choose at least one market.")
    return sorted(asked.symbols)


def _split(first: pd.Timestamp, last: pd.Timestamp, asked: store.Asked) -> Split:
    ends = [None if day is None else pd.Timestamp(day) for day in (asked.start, asked.end)]
    of = split(first, last, *ends)
    if of.shown_days < 1:
        raise BacktestError(
            f"Nothing of this period can be shown: the days of this history go from "
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, and those from {of.held_back_from:%Y-%m-%d} on "
            "are held back. Choose a period that begins earlier."
        )
    return of


def _at_once(rows_each: float) -> int:
    return max(1, int(PART_ROWS // max(rows_each, 1)))


def _has_bars(frame: pd.DataFrame, of: Split) -> bool:
    times = pd.DatetimeIndex(frame.index.get_level_values("time"))
    return bool(((times >= of.start) & (times < of.end)).any())


def _work(frame: pd.DataFrame, profile: Profile, of: Split) -> tuple[pd.DataFrame, pd.Series]:
    """Outcomes of the days of a run, and what was counted in those that are shown."""
    planned = decide(frame, profile, since=of.start)
    times = pd.DatetimeIndex(planned.index.get_level_values("time"))
    planned = planned[times < of.end]
    shown = planned[pd.DatetimeIndex(planned.index.get_level_values("time")) < of.held_back_from]
    direction = shown["direction"].to_numpy(dtype=np.float64)
    counted = {
        "bars": len(shown),
        "no_signal": int(np.isnan(direction).sum()),
        "neutral": int((direction == 0).sum()),
        "long": int((direction == 1).sum()),
        "short": int((direction == -1).sum()),
    }
    return resolve(planned, frame, HORIZONS), pd.Series(counted)


def _digest(frame: pd.DataFrame) -> bytes:
    hashed: Any = pd.util.hash_pandas_object(frame.reset_index(), index=False)
    return hashlib.sha256(hashed.to_numpy().tobytes()).digest()


def _headline(shown: pd.DataFrame) -> str:
    """What the trades came to, short enough for a list."""
    if shown.empty or not shown.index.get_level_values("traded").any():
        return "no trades"
    traded = shown[shown.index.get_level_values("traded").astype(bool)]
    trades = regroup(traded, ["horizon"])[["n", "n_r", "sum_r"]]
    rows = {str(horizon): row for horizon, *row in trades.itertuples()}
    said = [
        f"{rows[horizon][2] / rows[horizon][1]:+.2f} R at {horizon.removesuffix('h')} h"
        for horizon in HORIZONS
        if horizon in rows and rows[horizon][1]
    ]
    count = int(trades["n"].max())
    return f"{count:,} trades: {', '.join(said)} each".replace("-", "−") if said else "no trades"
