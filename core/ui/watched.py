"""Parts of a page that are drawn again when they would look different, and not before.

To run a part every few seconds on every open page would take the server most of its time. So the browser
asks an address for a mark of what each part is drawn from, and has those run whose mark has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.errors import StoreError
from core.ui.browser import SESSION_COOKIE
from core.ui.session import drawn_for, reader_of_token

ADDRESS = "/session/marks"
EVERY_SECONDS = 5.0
# Where all open pages are to be drawn anew, they come one after another within these seconds.
SPREAD_SECONDS = 8.0

# What a part is drawn from, as of now, whoever looks: equal values are drawn alike. None: not known.
State = Callable[[datetime], object]

_WATCH = st.components.v2.component(
    "cryptosatx_watch", js=(Path(__file__).parent / "watched.js").read_text(encoding="utf-8")
)
_states: dict[str, State] = {}
_for_all: set[str] = set()


def watched(name: str, *, for_all: bool = False) -> Callable[[State], State]:
    """A decorator: there is something to watch by this name; ``for_all`` by strangers too."""

    def decorate(state: State) -> State:
        _states[name] = state
        if for_all:
            _for_all.add(name)
        return state

    return decorate


def watch(*names: str, spread: str = "") -> None:
    """Have the part of the page that calls this run again when one of ``names`` has changed, or who
    looks; ``spread`` is the one at which every open page does."""
    _WATCH(
        key=f"watch {' '.join(names)}",
        data={
            "marks": marks_of(names),
            "address": ADDRESS,
            "every": EVERY_SECONDS,
            "spread": {spread: SPREAD_SECONDS},
        },
        on_changed_change=lambda: None,
    )


def marks_of(names: Iterable[str]) -> dict[str, str | None]:
    """The marks by which this page is drawn, of who looks and of each name."""
    now = datetime.now(UTC)
    return {"reader": mark((drawn_for(),)), **{name: mark_now(name, now) for name in names}}


def serve_marks(request: Request) -> Response:
    """The marks that are asked for, of those that whoever asks may know; null where one is not known."""
    known, reader = reader_of_token(request.cookies.get(SESSION_COOKIE))
    told: dict[str, str | None] = {"reader": mark((reader,)) if known else None}
    now = datetime.now(UTC)
    for name in request.query_params.get("of", "").split(",")[:10]:
        if name in _states and (reader is not None or name in _for_all):
            told[name] = mark_now(name, now)
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


def mark_now(name: str, now: datetime) -> str | None:
    """The mark of one that is watched, as of now."""
    try:
        return mark(_states[name](now))
    except StoreError:
        return None


def mark(state: object) -> str | None:
    """A few characters that are others where the state is another.

    >>> mark(("live", 3)) == mark(("live", 3)), mark(("live", 3)) == mark(("live", 4)), mark(None)
    (True, False, None)
    """
    return None if state is None else sha256(repr(state).encode()).hexdigest()[:12]
