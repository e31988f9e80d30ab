"""Commands of ours as a process beside the server: started again when they fail, never left over.

`python -m core.supervision ...` runs `python -m core ...` in a process that ends with its parent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NoReturn

from core.settings import ROOT

# What comes to an end is tried again after each of these, and then given up.
PAUSES = (5.0, 30.0, 120.0)
# What is to run for ever is never given up: pauses double, and begin anew once it ran steadily.
FIRST_PAUSE, LONGEST_PAUSE, STEADY_SECONDS = 1.0, 20.0, 60.0
GRACE_SECONDS = 10.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """`python -m core` with ``arguments``; ``environment`` is set for it beside the server's own.

    What is ``endless`` runs for as long as the server does, whatever it ends with.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    endless: bool = False

    @property
    def words(self) -> str:
        return f"`python -m core {' '.join(self.arguments)}`"


class Beside:
    """What runs beside the server: one work at a time, from inside ``async with`` to its end.

    `begin` may be called from any thread; what ran before is stopped first.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._newest: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Beside:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop = None
        if self._newest is not None:
            self._newest.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def begin(self, work: Work) -> None:
        """Run this from now on, in place of what runs."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._replace, work)

    def _replace(self, work: Work) -> None:
        if self._loop is None:
            return  # The server ends.
        before = self._newest
        if before is not None:
            before.cancel()
        self._newest = self._loop.create_task(self._follow(before, work))
        self._tasks.add(self._newest)
        self._newest.add_done_callback(self._tasks.discard)

    async def _follow(self, before: asyncio.Task[None] | None, work: Work) -> None:
        if before is not None:
            # Not awaited by itself: to be cancelled here must not cut its stopping short.
            await asyncio.wait({before})
        await keep_running(work)


async def keep_running(work: Work, pauses: Sequence[float] = PAUSES) -> bool:
    """Run the work until it ends well; after a failure again, once for each of the ``pauses``.

    Whether it ended well. What is endless is started again until this is cancelled.
    """
    if work.endless:
        await _keep_for_ever(work)
    for pause in (*pauses, None):
        code = await _run(work)
        if code == 0:
            return True
        if pause is None:
            _logger.error(
                "%s ended with code %d and is given up; start it by hand to see why.",
                work.words,
                code,
            )
        else:
            await _pause(work, code, pause)
    return False


async def _keep_for_ever(work: Work) -> NoReturn:
    pause = 0.0
    while True:
        began = time.monotonic()
        code = await _run(work)
        pause = next_pause(pause, ran_seconds=time.monotonic() - began)
        await _pause(work, code, pause)


def next_pause(before: float, *, ran_seconds: float) -> float:
    """Seconds to wait before endless work is started again; ``before`` is the wait of last time.

    >>> [next_pause(pause, ran_seconds=3) for pause in (0, 1, 8, 16)], next_pause(20, ran_seconds=90)
    ([1.0, 2, 16, 20.0], 1.0)
    """
    if before == 0 or ran_seconds >= STEADY_SECONDS:
        return FIRST_PAUSE
    return min(2 * before, LONGEST_PAUSE)


async def _pause(work: Work, code: int, seconds: float) -> None:
    words = "%s ended with code %d and is started again in %.0f s."
    _logger.warning(words, work.words, code, seconds)
    await asyncio.sleep(seconds)


def command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs `python -m core` with ``arguments`` and ends with its parent."""
    return [sys.executable, "-m", "core.supervision", *arguments]


async def _run(work: Work) -> int:
    try:
        process = await asyncio.create_subprocess_exec(
            *command(work.arguments),
            cwd=ROOT,
            env={**os.environ, **work.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        _logger.exception("%s could not be started.", work.words)
        return os.EX_OSERR
    try:
        return await process.wait()
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def end_with_parent(every_seconds: float = 1.0) -> None:
    """Have this process asked to end as soon as the one that started it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("core", run_name="__main__", alter_sys=True)
