"""A stand-in world in a process of its own, so that it does not take the time of what it is asked by."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd

from tests.endurance.clocks import CloseClock, clock_as, options_of
from tests.endurance.publishing import VENUES, Publisher
from tests.live_market import FastClock
from tests.world import World


@dataclass
class Outside:
    """What can be asked of a world in another process."""

    pid: int
    endpoints: dict[str, str]
    _pipe: Connection

    def listeners(self) -> dict[str, int]:
        return dict(self._ask("listeners"))

    def requests(self) -> dict[str, int]:
        return dict(self._ask("requests"))

    def peaks(self) -> dict[str, dict[str, tuple[int, int]]]:
        """By source and budget the most spent in its window, and what is allowed."""
        return dict(self._ask("peaks"))

    def published(self) -> int:
        """How many events were sent by now."""
        return int(self._ask("published"))

    def _ask(self, what: str) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()


@contextmanager
def outside(
    folder: Path,
    clock: FastClock | CloseClock,
    *,
    latency_s: float = 0.0,
    rate: float = 0.0,
    venues: tuple[str, ...] = VENUES,
) -> Iterator[Outside]:
    """A world that knows the tables in ``folder``, and publishes ``rate`` liquidations a second."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    options = (str(folder), options_of(clock), latency_s, rate, venues)
    process = spawn.Process(target=_run, args=(there, *options), daemon=True)
    process.start()
    try:
        yield Outside(process.pid or 0, here.recv(), here)
    finally:
        here.send("end")
        process.join(20)
        if process.is_alive():
            process.kill()


def _run(
    pipe: Any,
    folder: str,
    clock: dict[str, object],
    latency_s: float,
    rate: float,
    venues: tuple[str, ...],
) -> None:
    tables = {one.stem: pd.read_parquet(one) for one in Path(folder).iterdir()}
    passing = clock_as(clock)
    with World(tables, passing) as world:
        for source in world.sources.values():
            source.latency_s = latency_s
        symbols = world.market.symbols
        with Publisher(world, passing, symbols, rate, venues) as publisher:
            answers = {
                "listeners": lambda: {name: one.listeners for name, one in world.tapes.items()},
                "requests": lambda: {name: one.requests for name, one in world.sources.items()},
                "peaks": lambda: {name: one.peaks() for name, one in world.sources.items()},
                "published": lambda: len(publisher.sent),
            }
            pipe.send(world.endpoints)
            while (asked := pipe.recv()) != "end":
                pipe.send(answers[asked]())
