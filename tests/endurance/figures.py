"""What the long runs print, and how long they are."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

import psutil


def length(name: str, usual: float) -> float:
    """How long or how often, from the environment or as usual."""
    return float(os.environ.get(name, usual))


def say(*sentences: str) -> None:
    """Print figures, which are what these tests are for."""
    print("", *sentences, sep="\n", flush=True)  # noqa: T201


def memory_mb(pid: int) -> float:
    """Resident memory of a process and all it started; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in [process, *process.children(True)]) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


class Sampled:
    """Calls functions every ``seconds`` in a thread, and keeps what they said, by name."""

    def __init__(self, seconds: float, asked: Mapping[str, Callable[[], object]]) -> None:
        self.found: dict[str, list[object]] = {name: [] for name in asked}
        self.failed: list[Exception] = []
        self._seconds, self._asked = seconds, asked
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampled", daemon=True)

    def __enter__(self) -> Sampled:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            for name, ask in self._asked.items():
                try:
                    self.found[name].append(ask())
                except Exception as error:  # noqa: BLE001 - asked again, and shown by the test
                    self.failed.append(error)


def wait_for(
    what: Callable[[], object],
    seconds: float,
    said: str = "it took too long",
    look_seconds: float = 0.1,
) -> float:
    """How many seconds it took until it was so; it is looked every ``look_seconds``."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, said
        time.sleep(look_seconds)
    return time.monotonic() - began
