"""Verdicts of a language model: which signals it is asked about, by whom, and what it said.

A signal is claimed before it is asked about, with what the asking may take at worst of the day's budget,
so that all workers together ask once and never pass a limit. A stored verdict is never changed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, and_, case, func, select, update

from core.market.frame import INDEX
from core.store import database, ledger, rows
from core.store.reading import moments, numbers, raw, read_columns, words
from core.store.tables import bars, questions, signals, verdicts
from core.store.tallies import keep_verdict_tallies

# A bar that is older than this is no longer asked about: the first outcome is known after an hour.
STALE = timedelta(minutes=30)
FAILURES = (
    "timed_out",
    "refused",
    "cut_off",
    "invalid",
    "failed",
    "unavailable",
    "over_budget",
    "lost",
)
_LOCK = 7_267_283_003
# Columns that only the verdict has whose signal the model was asked about.
_OF_THE_CALL = (
    "attempts",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "latency_ms",
    "question",
    "raw_reply",
)
_DAY = timedelta(days=1)
# A median of so many says enough.
_LATENCIES = 2_000


@dataclass(frozen=True)
class Asked:
    """Which model is asked, and where (an address without credentials).

    ``prompt_version`` is of all that is asked: see `core.verdicts.model.version`.
    """

    endpoint: str
    model: str
    prompt_version: str
    temperature: float | None


@dataclass(frozen=True)
class Opinion:
    """What became of a question, for `save_verdicts`; ``reasons`` are pairs of factor and text."""

    state: str
    verdict: str | None = None
    risk_mode: str | None = None
    multiplier: float | None = None
    reasons: Sequence[tuple[str, str]] = ()
    change_of_mind: str | None = None
    error: str | None = None
    attempts: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    question: str | None = None
    raw_reply: str | None = None


@dataclass(frozen=True)
class Limits:
    """What all workers may take in a UTC day; ``usd`` None is no limit."""

    calls: int
    usd: float | None = None


@dataclass(frozen=True)
class Spent:
    """What a UTC day has taken so far, claims under way at their worst. ``usd`` counts what is known."""

    calls: int
    usd: float


@dataclass(frozen=True)
class Claim:
    """The signals that this worker is to ask about together, the first of which carries the cost;
    ``affordable`` tells whether the budget allows it."""

    signal_ids: tuple[int, ...]
    affordable: bool


def is_fresh(bar: datetime, now: datetime) -> bool:
    """Whether a bar's signals may be asked about at ``now``."""
    return now - bar <= STALE


def load_unasked(
    conn: Connection, bar: datetime, now: datetime, profile_names: Collection[str]
) -> pd.DataFrame:
    """The live signals with a direction, up to a bar, whose bar is new (see `is_fresh`) and that
    nobody has asked about yet.

    Planned columns and age_<source>, index (symbol, time), with signal_id; those of the highest
    conviction first.
    """
    query = (
        rows.whole_rows()
        .add_columns(signals.c.id.label("signal_id"))
        .join(bars, and_(bars.c.symbol == signals.c.symbol, bars.c.time == signals.c.time))
        .outerjoin(questions, questions.c.signal_id == signals.c.id)
        .where(
            # By the bars' own index; that of the signals begins with the symbol.
            bars.c.time >= now - STALE,
            bars.c.time <= bar,
            signals.c.profile_name.in_(sorted(profile_names)),
            signals.c.direction.in_((-1, 1)),
            signals.c.recorded_at <= now,
            questions.c.signal_id.is_(None),
        )
    )
    order = (signals.c.conviction.desc(), signals.c.symbol, signals.c.time, signals.c.id)
    found = read_columns(conn, query.order_by(*order))
    frame = rows.from_columns(found)
    frame["signal_id"] = np.array(found["signal_id"], dtype=np.int64)
    return frame


def claim(
    conn: Connection,
    signal_ids: Sequence[int],
    asked: Asked,
    worker: str,
    now: datetime,
    *,
    limits: Limits,
    worst_usd: float | None,
) -> Claim | None:
    """Claim signals with the same question, and one attempt to ask it; None where others have.

    ``worst_usd`` is what an attempt can cost at most; where a limit of money is set it must be known.
    Where the budget allows no attempt the signals are claimed all the same, so that they can be
    recorded as not asked.
    """
    _hold_budget(conn)
    affordable = _affordable(load_spent(conn, now), limits, worst_usd)
    taken = set(
        conn.scalars(select(questions.c.signal_id).where(questions.c.signal_id.in_(signal_ids)))
    )
    free = [one for one in signal_ids if one not in taken]
    if not free:
        return None
    calls, reserved = (1, worst_usd) if affordable else (0, 0.0)
    for place, signal_id in enumerate(free):
        first = place == 0
        conn.execute(
            questions.insert().values(
                signal_id=signal_id,
                shared_with=None if first else free[0],
                worker=worker,
                calls=calls if first else 0,
                reserved_usd=reserved if first else 0.0,
                claimed_at=now,
                **asdict(asked),
            )
        )
    return Claim(tuple(free), affordable)


def claim_retry(
    conn: Connection, signal_id: int, now: datetime, *, limits: Limits, worst_usd: float | None
) -> bool:
    """Reserve one more attempt for a claimed question; whether the budget allows it."""
    _hold_budget(conn)
    if not _affordable(load_spent(conn, now), limits, worst_usd):
        return False
    more = None if worst_usd is None else questions.c.reserved_usd + worst_usd
    conn.execute(
        update(questions)
        .where(questions.c.signal_id == signal_id)
        .values(calls=questions.c.calls + 1, reserved_usd=more)
    )
    return True


def _affordable(spent: Spent, limits: Limits, worst_usd: float | None) -> bool:
    """Whether the day still allows one attempt.

    >>> limits = Limits(10, 1.0)
    >>> [_affordable(Spent(*one), limits, 0.2) for one in ((9, 0.8), (10, 0.0), (0, 0.9))]
    [True, False, False]
    """
    if spent.calls >= limits.calls:
        return False
    if limits.usd is None:
        return True
    return worst_usd is not None and spent.usd + worst_usd <= limits.usd


def load_spent(conn: Connection, now: datetime) -> Spent:
    """What the UTC day of ``now`` has taken: of a question that ended what it took, and what it may
    take at worst where that is not known or it is still under way."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    ended = verdicts.c.state.is_not(None) & (verdicts.c.state != "lost")
    calls = func.sum(case((ended, verdicts.c.attempts), else_=questions.c.calls))
    reserved = func.coalesce(questions.c.reserved_usd, 0.0)
    # With nothing sent nothing was spent, whatever was reserved.
    known = case((verdicts.c.attempts == 0, 0.0), else_=verdicts.c.cost_usd)
    usd = func.sum(case((ended, func.coalesce(known, reserved)), else_=reserved))
    query = (
        select(func.coalesce(calls, 0), func.coalesce(usd, 0.0))
        .select_from(questions)
        .outerjoin(verdicts, verdicts.c.signal_id == questions.c.signal_id)
        .where(questions.c.claimed_at >= day, questions.c.claimed_at < day + _DAY)
    )
    found = conn.execute(query).one()
    return Spent(int(found[0]), float(found[1]))


def save_verdicts(
    conn: Connection, signal_ids: Sequence[int], opinion: Opinion, now: datetime
) -> list[int]:
    """Store what became of the question about claimed signals; the ids that had no verdict yet.

    Which model it was is in the claim. The first signal's verdict carries what was sent, what came
    back and what it took; the others say whose they share.
    """
    ledger.hold(conn)
    claims = {
        row.signal_id: row
        for row in conn.execute(
            select(questions)
            .outerjoin(verdicts, verdicts.c.signal_id == questions.c.signal_id)
            .where(questions.c.signal_id.in_(signal_ids), verdicts.c.id.is_(None))
        )
    }
    new = [_save(conn, claims[one], opinion, now) for one in signal_ids if one in claims]
    keep_verdict_tallies(conn, new)
    return new


def _save(conn: Connection, claimed: Any, opinion: Opinion, now: datetime) -> int:
    values: dict[str, Any] = {
        "signal_id": claimed.signal_id,
        "shared_with": claimed.shared_with,
        "endpoint": claimed.endpoint,
        "model": claimed.model,
        "prompt_version": claimed.prompt_version,
        "temperature": claimed.temperature,
        **asdict(opinion),
        "reasons": [{"factor": factor, "text": said} for factor, said in opinion.reasons],
        "asked_at": claimed.claimed_at,
        "recorded_at": now,
    }
    if claimed.shared_with is not None:
        values |= {**dict.fromkeys(_OF_THE_CALL), "attempts": 0}
    row_id: int = conn.execute(
        verdicts.insert().values(values).returning(verdicts.c.id)
    ).scalar_one()
    ledger.append(conn, "verdict", [(row_id, ledger.verdict_content(values))])
    return int(claimed.signal_id)


def write_lost(
    conn: Connection,
    living: Collection[str],
    worker: str,
    now: datetime,
    under_way: Collection[int] | None = None,
    since: datetime | None = None,
) -> int:
    """Record claims, by default all there are, whose worker is gone as lost; how many. They are never asked about again.

    A worker's own claims are lost too where it says which are ``under_way`` and they are not.
    """
    ledger.hold(conn)
    open_claims = conn.execute(_open_claims(since)).all()
    gone = [
        row.signal_id
        for row in open_claims
        if (row.worker != worker and row.worker not in living)
        or (row.worker == worker and under_way is not None and row.signal_id not in under_way)
    ]
    lost = Opinion("lost", error="It was asked, and the worker that asked is gone.")
    return len(save_verdicts(conn, gone, lost, now)) if gone else 0


def has_open_claims(conn: Connection, since: datetime | None = None) -> bool:
    """Whether any claim, since a time or at all, has no verdict yet."""
    return conn.execute(_open_claims(since).limit(1)).first() is not None


def _open_claims(since: datetime | None) -> Select[Any]:
    query = (
        select(questions.c.signal_id, questions.c.worker)
        .outerjoin(verdicts, verdicts.c.signal_id == questions.c.signal_id)
        .where(verdicts.c.id.is_(None))
        .order_by(questions.c.signal_id)
    )
    return query if since is None else query.where(questions.c.claimed_at >= since)


def _hold_budget(conn: Connection) -> None:
    """Only one may count what is spent and then spend, until its transaction ends."""
    database.hold(conn, _LOCK)


def load_verdict(conn: Connection, signal_id: int) -> dict[str, Any] | None:
    """The whole row of what a model said of a signal; None where it was not asked or has not said."""
    query = select(verdicts).where(verdicts.c.signal_id == signal_id)
    row = conn.execute(query).mappings().first()
    return None if row is None else dict(row)


def load_verdict_of(
    conn: Connection, symbol: str, profile_name: str, time: datetime, version: str | None = None
) -> dict[str, Any] | None:
    """`load_verdict` of the signal of one bar; without a version of the profile the first one's.

    What the asking took is that of the call also where this signal shares another's.
    """
    first = select(func.min(signals.c.id)).where(
        signals.c.profile_name == profile_name,
        signals.c.symbol == symbol,
        signals.c.time == time,
        *([] if version is None else [signals.c.profile_version == version]),
    )
    signal_id = conn.scalar(first)
    row = None if signal_id is None else load_verdict(conn, signal_id)
    if row is None or row["shared_with"] is None:
        return row
    call = load_verdict(conn, row["shared_with"]) or {}
    return row | {name: call.get(name) for name in _OF_THE_CALL}


def last_verdict_id(conn: Connection) -> int:
    """The id of the verdict that was stored last, 0 where there is none."""
    return conn.scalar(select(func.max(verdicts.c.id))) or 0


def load_verdicts_for(
    conn: Connection, index: pd.Index, profile_name: str, last_id: int | None = None
) -> pd.DataFrame:
    """What a model said of a profile's signals at (symbol, time), over those of ``index`` that have
    a verdict: state, verdict, multiplier, model and prompt_version.

    Where a bar has signals of several versions of the profile, it is of the one recorded first. With
    ``last_id`` as it was when the verdict of that id was the last one that was stored.
    """
    symbols, times = (index.get_level_values(name) for name in INDEX)
    found = _said(conn, profile_name, symbols, times, last_id)
    return found[found.index.isin(index)]


def load_verdicts_of(conn: Connection, symbol: str, profile_name: str) -> pd.DataFrame:
    """`load_verdicts_for` of every signal of a symbol; index time."""
    return _said(conn, profile_name, pd.Index([symbol])).droplevel("symbol")


def _said(
    conn: Connection,
    profile_name: str,
    symbols: pd.Index,
    times: pd.Index | None = None,
    last_id: int | None = None,
) -> pd.DataFrame:
    of_signal = verdicts.c.signal_id == signals.c.id
    if last_id is not None:
        of_signal = and_(of_signal, verdicts.c.id <= last_id)
    query = (
        select(
            *raw(signals, *INDEX),
            *raw(verdicts, "state", "verdict", "multiplier", "model", "prompt_version"),
        )
        .select_from(signals)
        .outerjoin(verdicts, of_signal)
        .where(
            signals.c.profile_name == profile_name,
            signals.c.symbol.in_(symbols.unique().tolist()),
        )
        .order_by(signals.c.id)
    )
    if times is not None:
        # Newest bars have few different times; a range could hold a year of one that is gone.
        query = query.where(signals.c.time.in_([one.to_pydatetime() for one in times.unique()]))
    found = _first_of_bars(read_columns(conn, query))
    frame = pd.DataFrame(
        {
            **{
                name: words(found[name]) for name in ("state", "verdict", "model", "prompt_version")
            },
            "multiplier": numbers(found["multiplier"]),
        }
    )
    frame.index = pd.MultiIndex.from_arrays(
        [found["symbol"], moments(found["time"], "time")], names=list(INDEX)
    )
    return frame


def _first_of_bars(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The rows that were recorded first of their bar, where those have a verdict: mostly few or none."""
    first: dict[tuple[str, Any], int] = {}
    for at, bar in enumerate(zip(found["symbol"], found["time"], strict=True)):
        first.setdefault(bar, at)
    kept = [at for at in first.values() if found["state"][at] is not None]
    return {name: [values[at] for at in kept] for name, values in found.items()}


@dataclass(frozen=True)
class Asking:
    """How asking a model has gone since a time. ``states`` counts questions by how they ended,
    ``signals`` the signals that have a verdict of it, ``calls`` requests with their retries."""

    states: dict[str, int]
    signals: int
    calls: int
    cost_usd: float | None
    latency_ms: float | None


@dataclass(frozen=True)
class Ended:
    """How a question ended, and when it was asked."""

    state: str
    error: str | None
    asked_at: datetime


def load_asking(conn: Connection, since: datetime | None = None) -> Asking:
    """Counts since a time, by default of all that is stored; the latency is a median of answers."""
    inside = verdicts.c.asked_at >= since if since is not None else verdicts.c.id.is_not(None)
    own = verdicts.c.shared_with.is_(None)
    states = conn.execute(
        select(verdicts.c.state, func.count()).where(inside, own).group_by(verdicts.c.state)
    )
    total = conn.execute(
        select(
            func.count(verdicts.c.verdict),
            func.coalesce(func.sum(verdicts.c.attempts), 0),
            func.sum(verdicts.c.cost_usd),
        ).where(inside)
    ).one()
    answered = select(verdicts.c.latency_ms).where(inside, own, verdicts.c.state == "answered")
    newest = conn.scalars(answered.order_by(verdicts.c.asked_at.desc()).limit(_LATENCIES)).all()
    known = [one for one in newest if one is not None]
    return Asking(
        {row[0]: row[1] for row in states},
        int(total[0]),
        int(total[1]),
        None if total[2] is None else float(total[2]),
        float(np.median(known)) if known else None,
    )


def load_last(conn: Connection, *, failed: bool) -> Ended | None:
    """How the newest question ended; with ``failed`` the newest that has no answer."""
    query = select(verdicts.c.state, verdicts.c.error, verdicts.c.asked_at).where(
        verdicts.c.shared_with.is_(None)
    )
    if failed:
        query = query.where(verdicts.c.state != "answered")
    newest = query.order_by(verdicts.c.asked_at.desc(), verdicts.c.id.desc()).limit(1)
    row = conn.execute(newest).first()
    return None if row is None else Ended(row.state, row.error, row.asked_at)
