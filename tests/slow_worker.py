"""`python -m core worker` whose backtests take their time: a moment for every market."""

from __future__ import annotations

import sys
import time
from typing import Any

from core.commands import worker
from core.jobs import backtests, durable


def main(seconds: float) -> None:
    from datetime import timedelta

    # A worker that is killed has to be missed sooner than in earnest.
    durable.ALIVE, worker.Worker.tick_seconds = timedelta(seconds=3), 0.1
    plain = backtests._work

    def slowly(*arguments: Any) -> Any:
        time.sleep(seconds)
        return plain(*arguments)

    backtests.PART_ROWS, backtests._work = 1, slowly
    worker.command()


if __name__ == "__main__":
    main(float(sys.argv[1]))
