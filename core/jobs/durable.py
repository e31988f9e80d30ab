"""Rounds as durable workflows: shared between workers, taken up again when one dies.

DBOS keeps which parts of a round are done. Its tables are bookkeeping, not results; where they lie
is told by `core.store.bookkeeping`. A worker is alive while it holds the lease of its name; the work
of one that is not is handed to the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from core.errors import CryptoSatXError
from core.jobs.backtest_queue import BacktestQueue
from core.jobs.backtests import Backtests
from core.jobs.round import Jobs
from core.store.bookkeeping import bookkeeping_url
from core.store.leases import WORKER, drop_lease, load_leases, take_lease

APP = "cryptosatx"
# Work that was begun by one version must be finished by the next, so all share this; it changes
# only when the parts of a round do.
VERSION = "4"
PARTS, OPINIONS = "parts", "opinions"
LEADER = "sources"
ALIVE = timedelta(seconds=15)
KEPT = timedelta(days=3)
ROUND = "round"
# Nobody waits for a moment more or less before a backtest or a model is begun, and to ask the database
# for them takes the time of who judges a bar: that is done so many times more seldom than for parts.
_SELDOM = 5
_logger = logging.getLogger(__name__)
_UNFINISHED = ["PENDING", "ENQUEUED"]


class Rounds:
    """The workflows of this process; there can be one at a time, see `durable_rounds`."""

    backtests: BacktestQueue | None = None

    def __init__(self, jobs: Jobs) -> None:
        @DBOS.workflow(name="decide")
        def decide(bar: str, number: int, of: int) -> list[int]:
            return list(DBOS.run_step({"name": "decide"}, jobs.decide, _time(bar), number, of))

        @DBOS.workflow(name="resolve")
        def resolve(bar: str, number: int, of: int) -> list[int]:
            return [DBOS.run_step({"name": "resolve"}, jobs.resolve, _time(bar), number, of)]

        @DBOS.workflow(name="ask")
        def ask(bar: str) -> int:
            return DBOS.run_step({"name": "ask"}, jobs.ask, _time(bar))

        @DBOS.workflow(name=ROUND)
        def round_(bar: str) -> None:
            _run_round(jobs, decide, ask, resolve, bar)

        self._round = round_

    def request(self, bar: datetime, attempt: datetime) -> bool:
        """Begin the round of a bar in this process, once per ``attempt``; False while one is under way."""
        if DBOS.list_workflows(
            workflow_id_prefix=f"{ROUND} ", status=_UNFINISHED, limit=1, load_input=False
        ):
            return False
        name = f"{ROUND} {bar.isoformat()} at {attempt.isoformat()} by {DBOS.executor_id}"
        with SetWorkflowID(name):
            DBOS.start_workflow(self._round, bar.isoformat())
        return True

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is under way in this process, at most so long; whether nothing is."""
        give_up = monotonic() + seconds
        while DBOS.list_workflows(
            executor_id=DBOS.executor_id, status="PENDING", limit=1, load_input=False
        ):
            if monotonic() > give_up:
                return False
            sleep(0.05)
        return True


Part = Callable[[str, int, int], list[int]]


def _run_round(
    jobs: Jobs, decide: Part, ask: Callable[[str], int], resolve: Part, bar_text: str
) -> None:
    bar = _time(bar_text)
    if not DBOS.run_step({"name": "begin"}, jobs.begin, bar):
        return
    try:
        new, waiting = DBOS.run_step({"name": "collect"}, jobs.collect, bar)
        parts = DBOS.run_step({"name": "parts"}, jobs.parts)
        if parts == 1:  # Who is alone begins at once: to be handed the work takes a while.
            bars, signals = DBOS.run_step({"name": "decide"}, jobs.decide, bar, 0, 1)
        else:
            bars, signals = _in_batches(parts, decide, bar_text)
        _alert(jobs, bar)
        if jobs.opinions is not None:
            # On a queue of its own and not waited for: a model takes as long as it takes. Also where
            # no signal is new: whoever stored them may have died before it came to this.
            DBOS.enqueue_workflow(OPINIONS, ask, bar_text)
        if waiting:
            DBOS.run_step({"name": "pause"}, jobs.pause, bar, waiting)
            return
        (outcomes,) = _in_batches(parts, resolve, bar_text)
    except (CryptoSatXError, SQLAlchemyError) as error:
        # Asked for again a little later, under another name: this attempt has ended.
        DBOS.run_step({"name": "fail"}, jobs.end, bar, str(error))
        return
    counts = {"new_observations": new, "new_bars": bars}
    counts |= {"new_signals": signals, "new_outcomes": outcomes}
    DBOS.run_step({"name": "end"}, jobs.end, bar, None, **counts)


def _alert(jobs: Jobs, bar: datetime) -> None:
    """Judge the alert rules. Where that fails signals and outcomes go on, and the next bar judges what
    this one did not."""
    try:
        DBOS.run_step({"name": "alert"}, jobs.alert, bar)
    except Exception:
        _logger.exception("The alert rules could not be judged at %s; the next bar makes up.", bar)


def _in_batches(parts: int, part: Part, bar: str) -> list[int]:
    """Have a part done for every batch, by whichever workers are free; the sums of their counts."""
    begun = [DBOS.enqueue_workflow(PARTS, part, bar, number, parts) for number in range(parts)]
    done = [one.get_result(polling_interval_sec=0.05) for one in begun]
    return [sum(counts) for counts in zip(*done, strict=True)]


@contextmanager
def durable_rounds(
    jobs: Jobs, poll_seconds: float = 0.1, backtests: Backtests | None = None
) -> Iterator[Rounds]:
    """Take part in the rounds and backtests of a database until the block ends."""
    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS(
        config=DBOSConfig(
            name=APP,
            system_database_url=bookkeeping_url(jobs.engine),
            application_version=VERSION,
            executor_id=jobs.worker,
            log_level="WARNING",
            sys_db_pool_size=5,
        )
    )
    try:
        rounds = Rounds(jobs)
        rounds.backtests = None if backtests is None else BacktestQueue(backtests)
        DBOS.launch()
        DBOS.register_queue(PARTS, worker_concurrency=2, polling_interval_sec=poll_seconds)
        seldom = _SELDOM * poll_seconds
        if rounds.backtests is not None:
            rounds.backtests.open(seldom)
        DBOS.register_queue(OPINIONS, worker_concurrency=1, polling_interval_sec=seldom)
        yield rounds
    finally:
        DBOS.destroy(destroy_registry=True)


def stay_alive(engine: Engine, worker: str) -> None:
    """Say that this worker lives; to be called a few times within `ALIVE`."""
    with engine.begin() as conn:
        take_lease(conn, WORKER + worker, worker, _now(), ALIVE)


def lead(engine: Engine, worker: str) -> bool:
    """Whether this worker is the one that asks the sources and begins rounds, from now on or still."""
    with engine.begin() as conn:
        return take_lease(conn, LEADER, worker, _now(), ALIVE)


def say_goodbye(engine: Engine, worker: str) -> None:
    """Have this worker's unfinished work handed on at once."""
    with engine.begin() as conn:
        drop_lease(conn, WORKER + worker, worker)
        drop_lease(conn, LEADER, worker)


def living(engine: Engine) -> set[str]:
    """The workers that are alive."""
    with engine.connect() as conn:
        return set(load_leases(conn, WORKER, _now()).values())


def adopt_orphans(engine: Engine, worker: str) -> list[str]:
    """Hand on what workers had begun that are no longer alive; the ids of the workflows.

    Batches are done by whoever is free. A round is not: it is begun anew where the sources are
    asked, and finds in the database what was done.
    """
    with engine.begin() as conn:
        if not take_lease(conn, "adoption", worker, _now(), ALIVE):
            return []
        alive = {worker, *load_leases(conn, WORKER, _now()).values()}
    orphans = [
        flow
        for flow in DBOS.list_workflows(status="PENDING", load_input=False)
        if flow.executor_id not in alive
    ]
    for flow in orphans:
        if flow.name == ROUND:
            DBOS.cancel_workflow(flow.workflow_id)
        else:
            DBOS.resume_workflow(flow.workflow_id, queue_name=flow.queue_name)
    with engine.begin() as conn:
        drop_lease(conn, "adoption", worker)
    return [flow.workflow_id for flow in orphans]


def forget_finished(now: datetime) -> int:
    """Delete DBOS's notes of workflows that ended `KEPT` ago; how many."""
    old = DBOS.list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
        completed_before=(now - KEPT).isoformat(),
        load_input=False,
        load_output=False,
    )
    if old:
        DBOS.delete_workflows([flow.workflow_id for flow in old])
    return len(old)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _now() -> datetime:
    """Leases run by the clock on the wall, whatever time the market is in."""
    return datetime.now(UTC)
