"""What is made of what was loaded, once for everybody who asks for the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from threading import Lock
from time import monotonic
from typing import ParamSpec, TypeVar, cast

from core.ui.loaders.kept import state_now

# On top of what the loaders keep.
_KEPT_SECONDS, _MOST_KEPT = 30, 1024
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class _Made:
    value: object
    at: float


# `st.cache_resource` takes longer to look something up than much of it takes to make: it reads the
# signature and hashes every argument by its type, each time.
_made: dict[Hashable, _Made] = {}
_turns: dict[Hashable, Lock] = {}
_changing = Lock()


def shared(make: Callable[P, R]) -> Callable[P, R]:
    """A decorator: what was made of equal arguments over the same store, as far as it
    has come, is the same object for everyone.

    Nobody may change it, and it must follow from the arguments and the store alone: whatever differs
    between readers (their clock, their colours) is an argument, and nothing that is a person's. A
    moment among the arguments comes from `moment`, or nobody would ask for the same twice.
    """

    @wraps(make)
    def read(*args: P.args, **named: P.kwargs) -> R:
        # What cannot be hashed may be changed, and is refused here.
        key = (state_now(), make, args, tuple(sorted(named.items())))
        if (found := _look_up(key)) is None:
            with _turn(key):
                if (found := _look_up(key)) is None:
                    found = _keep(key, make(*args, **named))
        return cast("R", found.value)

    return read


def moment(now: datetime, every: float) -> datetime:
    """The last of the moments that are ``every`` seconds apart, at which all readers look together.

    >>> from datetime import UTC
    >>> moment(datetime(2025, 10, 1, 12, 0, 3, 500, tzinfo=UTC), 2).second
    2
    """
    step = timedelta(seconds=every)
    return now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % step


def _look_up(key: Hashable) -> _Made | None:
    found = _made.get(key)
    return found if found is not None and monotonic() - found.at < _KEPT_SECONDS else None


def _keep(key: Hashable, value: object) -> _Made:
    """Keep it as the newest, and let go of what is too old or has no room."""
    now = monotonic()
    with _changing:
        _made.pop(key, None)
        found = _made[key] = _Made(value, now)
        for oldest in list(_made):
            if len(_made) <= _MOST_KEPT and now - _made[oldest].at < _KEPT_SECONDS:
                break
            del _made[oldest]
    return found


@contextmanager
def _turn(key: Hashable) -> Iterator[None]:
    """Readers who ask for the same at once wait for the first of them, and for nobody else."""
    with _changing:
        turn = _turns.setdefault(key, Lock())
    try:
        with turn:
            yield
    finally:
        with _changing:
            _turns.pop(key, None)
