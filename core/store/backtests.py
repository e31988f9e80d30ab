"""Runs of profiles over histories, and looks at what they hold back.

What is held back is read by `load_held_back` alone, which gives it only where a look is noted.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Row, Select, and_, func, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from core.accuracy.tallies import COUNTS, DAY, SUMS
from core.errors import BacktestError
from core.signals import Profile, parse_profile
from core.store import audit
from core.store.ledger import hold
from core.store.profiles import is_saved
from core.store.tables import backtests, looks

UNDER_WAY = ("waiting", "running")
# Results are kept to so many digits; what a sum of thousands of outcomes means ends long before.
_DIGITS = 10
_SHOWN = tuple(column for column in backtests.c if column.name not in ("result", "held_back"))


@dataclass(frozen=True)
class Asked:
    """What somebody wants run: symbols None is all of them, days are whole and both included."""

    name: str
    history: str
    profile: Profile
    symbols: tuple[str, ...] | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Run:
    """A row of backtests without its results."""

    id: str
    asked: Asked
    state: str
    fraction: float
    stage: str
    message: str | None
    worker: str | None
    history_digest: str | None
    held_back_from: datetime | None
    asked_by: str
    asked_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    headline: str | None = None

    @property
    def under_way(self) -> bool:
        return self.state in UNDER_WAY


@dataclass(frozen=True)
class Look:
    """Who looked at what is held back of a history for a version of a profile, when, in which run."""

    history: str
    profile_name: str
    profile_version: str
    backtest_id: str
    looked_by: str
    looked_at: datetime


def ask(conn: Connection, asked: Asked, by: str, at: datetime) -> str:
    """Have a worker run this; the id of the run."""
    name = " ".join(asked.name.split())
    if not name or len(name) > 128:
        raise BacktestError("Give the run a name of at most 128 letters, to find it again by.")
    if asked.start and asked.end and asked.start > asked.end:
        raise BacktestError("The period ends before it begins: choose a later end.")
    run_id = secrets.token_hex(5)
    conn.execute(
        backtests.insert().values(
            id=run_id,
            name=name,
            history=asked.history,
            profile_name=asked.profile.name,
            profile_version=asked.profile.version,
            body={
                "profile": asked.profile.model_dump(mode="json"),
                "symbols": None if asked.symbols is None else sorted(asked.symbols),
            },
            start_at=asked.start,
            end_at=asked.end,
            state="waiting",
            fraction=0.0,
            stage="waiting for a worker",
            asked_by=by,
            asked_at=at,
            updated_at=at,
        )
    )
    said = {"profile": _called(asked.profile), "history": asked.history}
    _note(conn, run_id, name, "ask", by, at, after=said)
    return run_id


def cancel(conn: Connection, run_id: str, by: str, at: datetime) -> bool:
    """Have a run that waits or runs end without a result; False where it had ended already.

    Whoever works on it sees that between two of its parts.
    """
    cancelled = _change(
        conn,
        run_id,
        backtests.c.state.in_(UNDER_WAY),
        state="cancelled",
        message=f"Cancelled by {by}.",
        updated_at=at,
        finished_at=at,
    )
    if cancelled:
        name = conn.execute(select(backtests.c.name).where(backtests.c.id == run_id)).scalar_one()
        _note(conn, run_id, name, "cancel", by, at)
    return cancelled


def begin(conn: Connection, run_id: str, worker: str, at: datetime) -> bool:
    """Take a run, from its beginning; False where it has ended or was cancelled."""
    return _change(
        conn,
        run_id,
        backtests.c.state.in_(UNDER_WAY),
        state="running",
        worker=worker,
        fraction=0.0,
        stage="reading the history",
        updated_at=at,
    )


def advance(
    conn: Connection, run_id: str, worker: str, fraction: float, stage: str, at: datetime
) -> bool:
    """Note how far a run is; False where it is this worker's no longer, as when it was cancelled."""
    return _change(conn, run_id, _of(worker), fraction=fraction, stage=stage, updated_at=at)


def finish(
    conn: Connection,
    run_id: str,
    worker: str,
    *,
    result: Mapping[str, Any],
    held_back: Mapping[str, Any],
    history_digest: str,
    held_back_from: datetime,
    at: datetime,
) -> bool:
    """Store the results, once; False where the run is this worker's no longer."""
    return _change(
        conn,
        run_id,
        _of(worker),
        state="done",
        fraction=1.0,
        stage="done",
        result=dict(result),
        held_back=dict(held_back),
        history_digest=history_digest,
        held_back_from=held_back_from,
        updated_at=at,
        finished_at=at,
    )


def fail(conn: Connection, run_id: str, worker: str, message: str, at: datetime) -> bool:
    """Note why a run came to nothing."""
    return _change(
        conn,
        run_id,
        _of(worker),
        state="failed",
        message=message,
        updated_at=at,
        finished_at=at,
    )


def hand_back(conn: Connection, run_id: str, worker: str, at: datetime) -> bool:
    """Have a run wait for another worker, from its beginning."""
    return _change(
        conn,
        run_id,
        _of(worker),
        state="waiting",
        worker=None,
        fraction=0.0,
        stage="waiting for a worker",
        updated_at=at,
    )


def _called(profile: Profile) -> str:
    return f"{profile.name} {profile.version[:8]}"


def _note(
    conn: Connection,
    run_id: str,
    name: str,
    action: str,
    by: str,
    at: datetime,
    after: Mapping[str, Any] | None = None,
) -> None:
    audit.note(
        conn,
        at=at,
        by=by,
        action=action,
        subject="backtest",
        subject_id=run_id,
        name=name,
        after=after,
    )


def _of(worker: str) -> ColumnElement[bool]:
    return (backtests.c.state == "running") & (backtests.c.worker == worker)


def _change(conn: Connection, run_id: str, where: ColumnElement[bool], **values: Any) -> bool:
    statement = update(backtests).where(backtests.c.id == run_id, where).values(**values)
    return conn.execute(statement).rowcount == 1


def load_waiting(conn: Connection) -> list[tuple[str, datetime]]:
    """Runs that wait, the oldest first: id and when they began to wait."""
    query = (
        select(backtests.c.id, backtests.c.updated_at)
        .where(backtests.c.state == "waiting")
        .order_by(backtests.c.asked_at, backtests.c.id)
    )
    return [(row.id, row.updated_at) for row in conn.execute(query)]


def load_running(conn: Connection) -> list[tuple[str, str]]:
    """Runs that are worked on: id and worker."""
    query = select(backtests.c.id, backtests.c.worker).where(backtests.c.state == "running")
    return [(row.id, row.worker) for row in conn.execute(query)]


def load_run(conn: Connection, run_id: str) -> Run | None:
    """A run without its results; None where there is none of that id."""
    row = conn.execute(_runs().where(backtests.c.id == run_id)).first()
    return None if row is None else _run(row)


def load_runs(conn: Connection, limit: int, place: tuple[datetime, str] | None = None) -> list[Run]:
    """The newest runs, the one asked for last first; those behind one of this time and id."""
    query = _runs().order_by(backtests.c.asked_at.desc(), backtests.c.id).limit(limit)
    if place is not None:
        at, run_id = place
        same = and_(backtests.c.asked_at == at, backtests.c.id > run_id)
        query = query.where(or_(backtests.c.asked_at < at, same))
    return [_run(row) for row in conn.execute(query)]


def count_runs(conn: Connection, history: str) -> int:
    """How many runs on a history have been finished: as many tries to find something in it."""
    query = select(func.count()).where(backtests.c.history == history, backtests.c.state == "done")
    return conn.scalar(query) or 0


def _runs() -> Select[Any]:
    return select(*_SHOWN, backtests.c.result["headline"].label("headline"))


def _run(row: Row[Any]) -> Run:
    symbols = row.body["symbols"]
    asked = Asked(
        row.name,
        row.history,
        parse_profile(row.body["profile"]),
        None if symbols is None else tuple(symbols),
        row.start_at,
        row.end_at,
    )
    names = (
        *("id", "state", "fraction", "stage", "message", "worker", "history_digest"),
        *("held_back_from", "asked_by", "asked_at", "updated_at", "finished_at"),
    )
    headline = row.headline if isinstance(row.headline, str) else None
    return Run(asked=asked, headline=headline, **{name: getattr(row, name) for name in names})


def load_result(conn: Connection, run_id: str) -> dict[str, Any] | None:
    """What is shown of a run; None while there is none."""
    found: dict[str, Any] | None = conn.scalar(
        select(backtests.c.result).where(backtests.c.id == run_id)
    )
    return found


def load_held_back(conn: Connection, run_id: str) -> dict[str, Any] | None:
    """What a run holds back, where somebody has looked at it; else None."""
    query = (
        select(backtests.c.held_back)
        .join(looks, looks.c.backtest_id == backtests.c.id)
        .where(backtests.c.id == run_id)
    )
    found: dict[str, Any] | None = conn.scalar(query)
    return found


def look(conn: Connection, run_id: str, by: str, at: datetime) -> None:
    """Note that somebody looks at what a run holds back, which from then on can be seen.

    Raises `BacktestError` where nothing is held back, where the profile is not a saved version, and
    where this version has been looked at on this history.
    """
    hold(conn)
    run = load_run(conn, run_id)
    if run is None or run.state != "done":
        raise BacktestError("Only a run that is done holds something back.")
    profile = run.asked.profile
    if not is_saved(conn, profile.name, profile.version):
        raise BacktestError(
            "Save the profile as a version first: a look is at a profile that stays."
        )
    seen = find_look(conn, run.asked.history, profile)
    if seen is not None:
        raise BacktestError(
            f"{seen.looked_by} has looked at this version on this history already, in run "
            f"{seen.backtest_id}: there is one look."
        )
    conn.execute(
        looks.insert().values(
            history=run.asked.history,
            profile_name=profile.name,
            profile_version=profile.version,
            backtest_id=run_id,
            looked_by=by,
            looked_at=at,
        )
    )
    said = {"profile": _called(profile), "history": run.asked.history}
    _note(conn, run_id, run.asked.name, "look", by, at, after=said)


def find_look(conn: Connection, history: str, profile: Profile) -> Look | None:
    """The look at these numbers on a history, whatever mode they were a version of, if there was one."""
    found = [one for one in load_looks(conn, history) if one.profile_version == profile.version]
    return found[0] if found else None


def load_looks(conn: Connection, history: str) -> list[Look]:
    """Every look at what is held back of a history, the first one first."""
    query = (
        select(*(column for column in looks.c if column.name != "id"))
        .where(looks.c.history == history)
        .order_by(looks.c.id)
    )
    return [Look(**row) for row in conn.execute(query).mappings()]


def dump_tallies(tallies: pd.DataFrame) -> dict[str, Any]:
    """Tallies by any keys and day, column by column, as JSON takes them."""
    flat = tallies.reset_index()
    keys = [str(name) for name in tallies.index.names if name != DAY]
    return {
        "keys": keys,
        **{name: flat[name].tolist() for name in keys},
        DAY: [f"{day:%Y-%m-%d}" for day in flat[DAY]],
        **{name: flat[name].astype(np.int64).tolist() for name in COUNTS},
        **{name: [_rounded(value) for value in flat[name]] for name in SUMS},
    }


def parse_tallies(body: Mapping[str, list[Any]]) -> pd.DataFrame:
    """The tallies that `dump_tallies` wrote."""
    keys = [*body["keys"], DAY]
    flat = pd.DataFrame({name: body[name] for name in (*keys, *COUNTS, *SUMS)})
    flat[DAY] = pd.to_datetime(flat[DAY], utc=True).astype("datetime64[us, UTC]")
    return flat.set_index(keys).astype(np.float64)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
