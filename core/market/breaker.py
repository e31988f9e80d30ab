"""A circuit breaker: after some failures in a row a source is left alone for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["closed", "open", "half-open"]


@dataclass
class Breaker:
    """Counts failures in a row. Times are seconds on any clock that only goes forward.

    Opens after ``failures_to_open``; then lets one trial through after ``open_seconds``, twice as
    long each time the trial fails, up to ``longest_seconds``.

    >>> breaker = Breaker(failures_to_open=2, open_seconds=5, longest_seconds=30)
    >>> breaker.fail(now=0), breaker.fail(now=1), breaker.phase(now=1), breaker.phase(now=6)
    (None, None, 'open', 'half-open')
    >>> breaker.admit(now=6), breaker.admit(now=6)
    (True, False)
    """

    failures_to_open: int
    open_seconds: float
    longest_seconds: float
    failures: int = 0
    times_opened: int = 0
    opened_at: float | None = None
    trial_runs: bool = False

    def phase(self, now: float) -> Phase:
        if self.opened_at is None:
            return "closed"
        return "open" if self.seconds_left(now) > 0 else "half-open"

    def seconds_left(self, now: float) -> float:
        """Until a trial is let through; 0 where one would be."""
        if self.opened_at is None:
            return 0.0
        spell = min(self.open_seconds * 2.0 ** (self.times_opened - 1), self.longest_seconds)
        return float(max(0.0, self.opened_at + spell - now))

    def admit(self, now: float) -> bool:
        """Whether a call may go out; half-open, only one until its result is known."""
        phase = self.phase(now)
        if phase == "half-open" and not self.trial_runs:
            self.trial_runs = True
            return True
        return phase == "closed"

    def succeed(self) -> None:
        self.failures = self.times_opened = 0
        self.opened_at, self.trial_runs = None, False

    def fail(self, now: float) -> None:
        self.failures += 1
        failed_trial = self.phase(now) == "half-open" and self.trial_runs
        self.trial_runs = False
        if failed_trial or (self.opened_at is None and self.failures >= self.failures_to_open):
            self.opened_at = now
            self.times_opened += 1

    def give_up_trial(self) -> None:
        """The call that was let through ended without a result, for example cancelled."""
        self.trial_runs = False
