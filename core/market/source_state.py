"""What is known of a source: how it is doing, and whether it may be asked now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from core.errors import SourceError, SourceRefused, SourceUnavailable
from core.market.breaker import Breaker, Phase
from core.market.budgets import Budgets, BudgetUse

_TROUBLE_SECONDS = 3600.0
Standing = Literal["working", "failing", "left alone", "not asked yet", "no key", "unknown"]


@dataclass(frozen=True)
class SourceState:
    """How a source is doing, for people: times are UTC, ``last_failure`` is a sentence.

    ``left_alone_seconds`` is how long it will not be asked, ``cached_seconds`` the age of the oldest
    reply that is kept. ``troubles`` are the failures of the last hour that nothing good of the same
    path has followed, by path. ``remarks`` are what was left out or mended in the last hour, by path.
    """

    source: str
    requests: int = 0
    failures: int = 0
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure: str = ""
    latency_seconds: float | None = None
    breaker: Phase = "closed"
    left_alone_seconds: float = 0.0
    budgets: tuple[BudgetUse, ...] = ()
    cached_seconds: float | None = None
    troubles: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether it has answered, and the last thing heard of every path was good."""
        return self.last_success_at is not None and not self.troubles


def standing(noted: Mapping[str, Any], left_alone: timedelta, *, gone: bool) -> Standing:
    """How a source that was asked is doing, in a word, from what a worker noted of its `SourceState`.

    ``left_alone`` is how long still; of a worker that is ``gone`` nobody knows any more.
    """
    if gone:
        return "unknown"
    if left_alone > timedelta(0) or noted["breaker"] == "open":
        return "left alone"
    if noted["troubles"] or noted["last_success_at"] is None:
        return "failing"
    return "working"


class Watched:
    """A source as the client sees it; ``now`` is the clock of what people read."""

    def __init__(
        self, source: str, budgets: Budgets, breaker: Breaker, now: Callable[[], datetime]
    ) -> None:
        self.source, self.budgets = source, budgets
        self.secrets: set[str] = set()
        self._breaker, self._now = breaker, now
        self._left_alone_until = 0.0
        self._state = SourceState(source)
        self._troubles: dict[str, tuple[float, str]] = {}
        self._remarks: dict[str, tuple[float, str]] = {}

    def hide(self, words: str) -> str:
        """Words that may come from outside, without the keys that were sent there."""
        for secret in self.secrets:
            words = words.replace(secret, "***")
        return words

    def refuse_early(self) -> None:
        """Raise where asking is known to be useless or forbidden."""
        left = self._left_alone_until - time.monotonic()
        if left > 0:
            raise SourceRefused(
                f"{self.source} asked to be left alone for another {left:.0f} s.", retry_after=left
            )
        if self._breaker.phase(time.monotonic()) == "open":
            raise self._too_many_failures()

    def admit(self) -> None:
        """Claim the right to ask once; pair it with one of succeed, fail, answer or give_up."""
        self.refuse_early()
        if not self._breaker.admit(time.monotonic()):
            raise self._too_many_failures()
        self._state = replace(self._state, requests=self._state.requests + 1)

    def succeed(self, path: str, latency: float) -> None:
        self._breaker.succeed()
        self._troubles.pop(path, None)
        self._state = replace(self._state, last_success_at=self._now(), latency_seconds=latency)

    def fail(self, path: str, error: SourceError) -> None:
        """It did not answer as it should."""
        self._breaker.fail(time.monotonic())
        self.note(path, error)

    def answer(self, path: str, error: SourceError) -> None:
        """It is there, but this one question was wrong."""
        self._breaker.succeed()
        self.note(path, error)

    def give_up(self) -> None:
        self._breaker.give_up_trial()

    def note(self, path: str, error: SourceError) -> None:
        """Write a failure down."""
        said = self.hide(str(error))
        self._troubles[path] = (time.monotonic(), said)
        self._state = replace(
            self._state,
            failures=self._state.failures + 1,
            last_failure_at=self._now(),
            last_failure=said,
        )

    def remark(self, path: str, words: str) -> None:
        """Write down what was odd about a reply that could be used."""
        self._remarks[path] = (time.monotonic(), self.hide(words))

    def leave_alone(self, seconds: float) -> None:
        self._left_alone_until = max(self._left_alone_until, time.monotonic() + seconds)

    def state(self, cached_seconds: float | None) -> SourceState:
        now = time.monotonic()
        left = max(self._left_alone_until - now, self._breaker.seconds_left(now), 0.0)
        return replace(
            self._state,
            breaker=self._breaker.phase(now),
            left_alone_seconds=left,
            budgets=self.budgets.use(),
            cached_seconds=cached_seconds,
            troubles=_recent(self._troubles, now),
            remarks=_recent(self._remarks, now),
        )

    def _too_many_failures(self) -> SourceUnavailable:
        left = self._breaker.seconds_left(time.monotonic())
        return SourceUnavailable(
            f"{self.source} failed {self._breaker.failures} times in a row and is left alone for {left:.0f} s: "
            f"{self._state.last_failure}"
        )


def _recent(noted: Mapping[str, tuple[float, str]], now: float) -> dict[str, str]:
    return {path: words for path, (at, words) in noted.items() if now - at < _TROUBLE_SECONDS}
