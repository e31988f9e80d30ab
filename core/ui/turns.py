"""Runs of pages take turns: a server process works at few of them at once, in the order they came.

Python runs one thread at a time. Where many runs compete for it, each takes as long as all of them, and
the thread that sends what they have drawn waits for its share between every two messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, local
from time import monotonic

# While one waits for the database another can draw.
AT_ONCE = 2
# Whoever takes longer waits for something else, and keeps nobody from working meanwhile.
LONGEST_SECONDS = 1.0


class Turns:
    """So many at once, the first to come first; who has worked for ``longest`` seconds does not count.

    A thread that has its turn may ask again: it is the same turn.
    """

    def __init__(self, at_once: int = AT_ONCE, longest: float = LONGEST_SECONDS) -> None:
        self._at_once, self._longest = at_once, longest
        self._lock = Lock()
        self._waiting: deque[Event] = deque()
        self._begun: dict[object, float] = {}
        self._mine = local()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, and have it until the end of the block."""
        if getattr(self._mine, "has", False):
            yield
            return
        turn = self._wait()
        self._mine.has = True
        try:
            yield
        finally:
            self._mine.has = False
            with self._lock:
                del self._begun[turn]
                self._call_next()

    def _wait(self) -> Event:
        turn = Event()
        with self._lock:
            self._waiting.append(turn)
            self._call_next()
        while not turn.wait(self._longest / 4):
            with self._lock:
                self._call_next()
        return turn

    def _call_next(self) -> None:
        now = monotonic()
        working = sum(now - begun < self._longest for begun in self._begun.values())
        while self._waiting and working < self._at_once:
            turn = self._waiting.popleft()
            self._begun[turn] = now
            turn.set()
            working += 1


TURNS = Turns()
