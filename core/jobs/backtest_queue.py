"""Runs of profiles as durable workflows, on a queue of their own: one at a time in each worker.

What is asked for is a row that waits; any worker puts it into the queue, once. A run whose worker is
gone is begun anew by another.
"""

from __future__ import annotations

from collections.abc import Collection

from dbos import DBOS, SetWorkflowID

from core.jobs.backtests import Backtests
from core.store.backtests import hand_back, load_running, load_waiting

BACKTESTS = "backtests"
_FLOW = "backtest"
_UNFINISHED = ["PENDING", "ENQUEUED"]


class BacktestQueue:
    """The queue as this process sees it; made before DBOS is launched, and opened after."""

    def __init__(self, backtests: Backtests) -> None:
        @DBOS.workflow(name=_FLOW)
        def run(run_id: str) -> None:
            DBOS.run_step({"name": "run"}, backtests.run, run_id)

        self._run, self._backtests = run, backtests

    def open(self, poll_seconds: float) -> None:
        DBOS.register_queue(BACKTESTS, worker_concurrency=1, polling_interval_sec=poll_seconds)

    def enqueue_waiting(self) -> list[str]:
        """Put what waits into the queue, however many workers do so at once; the ids of new ones."""
        with self._backtests.engine.connect() as conn:
            waiting = load_waiting(conn)
        new = []
        for run_id, since in waiting:
            # A run that was handed back waits anew, under another name.
            name = f"{_FLOW} {run_id} {since.isoformat()}"
            if not DBOS.list_workflows(workflow_ids=[name], limit=1, load_input=False):
                with SetWorkflowID(name):
                    DBOS.enqueue_workflow(BACKTESTS, self._run, run_id)
                new.append(run_id)
        return new

    def take_up_stranded(self, alive: Collection[str]) -> list[str]:
        """Have runs wait again whose worker is gone and whose workflow is not: as after a database
        that was away when one wanted to say how it ended."""
        backtests, stranded = self._backtests, []
        with backtests.engine.begin() as conn:
            for run_id, worker in load_running(conn):
                if worker not in alive and not DBOS.list_workflows(
                    workflow_id_prefix=f"{_FLOW} {run_id} ",
                    status=_UNFINISHED,
                    limit=1,
                    load_input=False,
                ):
                    hand_back(conn, run_id, worker, backtests.clock())
                    stranded.append(run_id)
        return stranded
