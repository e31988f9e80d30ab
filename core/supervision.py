"""A command of ours as a process beside the server: started again when it fails, never left over.

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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from core.settings import ROOT

PAUSES = (5.0, 30.0, 120.0)
GRACE_SECONDS = 10.0
_logger = logging.getLogger(__name__)


@asynccontextmanager
async def beside(arguments: Sequence[str]) -> AsyncIterator[None]:
    """Run `python -m core` with ``arguments`` for as long as the block lasts, then stop it."""
    task = asyncio.create_task(keep_running(arguments))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def keep_running(arguments: Sequence[str], pauses: Sequence[float] = PAUSES) -> bool:
    """Run the command until it ends well; after a failure again, once for each of the ``pauses``.

    Whether it ended well.
    """
    for pause in (*pauses, None):
        code = await _run(arguments)
        if code == 0:
            return True
        what = f"`python -m core {' '.join(arguments)}` ended with code {code}"
        if pause is None:
            _logger.error("%s and is given up; start it by hand to see why.", what)
        else:
            _logger.warning("%s and is started again in %.0f s.", what, pause)
            await asyncio.sleep(pause)
    return False


def command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs `python -m core` with ``arguments`` and ends with its parent."""
    return [sys.executable, "-m", "core.supervision", *arguments]


async def _run(arguments: Sequence[str]) -> int:
    process = await asyncio.create_subprocess_exec(
        *command(arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
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
