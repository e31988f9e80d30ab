"""Times of a market that pass faster than ours; worlds and workers are given the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.live_market import FastClock

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class CloseClock:
    """Around the close of a bar a second is a second, and what lies between two closes is left out.

    ``first`` closes at ``began`` (Unix time) and the next one ``seconds`` later.
    """

    first: datetime
    began: float
    seconds: float

    def __call__(self) -> datetime:
        hours, passed = divmod(time.time() - self.began, self.seconds)
        if passed >= self.seconds / 2:
            passed += 3600 - self.seconds
        return self.first + timedelta(hours=hours, seconds=passed)


def clock_as(options: dict[str, object]) -> Clock:
    """The clock that `options_of` wrote down."""
    kind = {"FastClock": FastClock, "CloseClock": CloseClock}[str(options["kind"])]
    first = datetime.fromisoformat(str(options["first"]))
    return kind(first, float(str(options["began"])), float(str(options["seconds"])))


def options_of(clock: FastClock | CloseClock) -> dict[str, object]:
    """A clock in words, for another process."""
    told = {"began": clock.began, "seconds": clock.seconds, "first": clock.first.isoformat()}
    return {"kind": type(clock).__name__, **told}
