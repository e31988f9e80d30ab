"""What is made of what was loaded, once for everybody who asks for the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import streamlit as st

from core.ui.loaders.kept import State, state_now

# On top of what the loaders keep.
_KEPT_SECONDS = 10
P = ParamSpec("P")
R = TypeVar("R")


def shared(make: Callable[P, R]) -> Callable[P, R]:
    """A decorator: what was made of equal arguments over the same store, as far as it
    has come, is the same object for everyone.

    Nobody may change it, and it must follow from the arguments and the store alone: whatever differs
    between readers (their clock, their colours) is an argument, and nothing that is a person's. A
    moment among the arguments comes from `moment`, or nobody would ask for the same twice.
    """

    @wraps(make)
    def read(*args: P.args, **named: P.kwargs) -> R:
        said = (args, tuple(sorted(named.items())))
        hash(said)  # What cannot be hashed may be changed, and its words may not say all of it.
        found: R = _made(
            state_now(),
            f"{make.__module__}.{make.__qualname__}",
            repr(said),
            lambda: make(*args, **named),
        )
        return found

    return read


def moment(now: datetime, every: float) -> datetime:
    """The last of the moments that are ``every`` seconds apart, at which all readers look together.

    >>> from datetime import UTC
    >>> moment(datetime(2025, 10, 1, 12, 0, 3, 500, tzinfo=UTC), 2).second
    2
    """
    step = timedelta(seconds=every)
    return now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % step


@st.cache_resource(ttl=_KEPT_SECONDS, max_entries=512, show_spinner=False)
def _made(state: State, name: str, said: str, _make: Callable[[], Any]) -> Any:  # noqa: ARG001
    return _make()
