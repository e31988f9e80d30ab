"""The parts of a worker's rounds: how long each takes, what is said in it, and its span."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from time import perf_counter
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from core.observing.context import bound
from core.observing.instruments import PART_FAILURES, PART_SECONDS
from core.observing.spans import shared_parent, span


class _Worked(Protocol):
    @property
    def worker(self) -> str: ...


P = ParamSpec("P")
R = TypeVar("R")
W = TypeVar("W", bound=_Worked)
Part = Callable[Concatenate[W, datetime, P], R]


def part(name: str) -> Callable[[Part[W, P, R]], Part[W, P, R]]:
    """Watches a part of the round of a bar, which is its first argument.

    The parts of one bar are one trace, whichever worker does them.
    """

    def watched(work: Part[W, P, R]) -> Part[W, P, R]:
        seconds, failures = PART_SECONDS.labels(name), PART_FAILURES.labels(name)

        @wraps(work)
        def run(self: W, bar: datetime, /, *args: P.args, **kwargs: P.kwargs) -> R:
            job = f"round {bar.isoformat()}"
            began = perf_counter()
            with bound(job=job, worker=self.worker), span(name, parent=shared_parent(job)):
                try:
                    return work(self, bar, *args, **kwargs)
                except BaseException:
                    failures.inc()
                    raise
                finally:
                    seconds.observe(perf_counter() - began)

        return run

    return watched
