"""Parts of a page that are drawn again when they would look different, and not before.

To run a part every few seconds on every open page would take the server most of its time. So the browser
asks an address for a mark of what each part is drawn from, and has those run whose mark has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import monotonic

import streamlit as st
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.errors import StoreError
from core.instance import instance
from core.ui.browser import SESSION_COOKIE
from core.ui.page_runs import latest_run
from core.ui.session import drawn_for, reader_of_token

ADDRESS = "/session/marks"
EVERY_SECONDS, KEPT_SECONDS = 5.0, 1.0
# Where all open pages are to be drawn anew, they come one after another within these seconds.
SPREAD_SECONDS = 8.0

# What a part is drawn from, as of now, whoever looks: equal values are drawn alike. None: not known.
State = Callable[[datetime], object]

_WATCH = st.components.v2.component(
    "cryptosatx_watch", js=(Path(__file__).parent / "watched.js").read_text(encoding="utf-8")
)
_states: dict[str, State] = {}
_for_all: set[str] = set()
# By name: of which store, when it was begun by the clock that only goes on, and the mark.
_marks: dict[str, tuple[Engine, float, str | None]] = {}


def watched(name: str, *, for_all: bool = False) -> Callable[[State], State]:
    """A decorator: there is something to watch by this name; ``for_all`` by strangers too."""

    def decorate(state: State) -> State:
        _states[name] = state
        if for_all:
            _for_all.add(name)
        return state

    return decorate


@contextmanager
def watch(*names: str, spread: str = "") -> Iterator[None]:
    """Around what a part of the page draws: have the part run again when one of ``names`` has changed,
    or who looks; ``spread`` is the one at which every open page does."""
    # Before anything is drawn: what changes meanwhile is seen at the next look.
    marks = marks_of(names)
    yield
    _WATCH(
        key=f"watch {' '.join(names)}",
        data={
            "run": latest_run(),
            "marks": marks,
            "address": ADDRESS,
            "every": EVERY_SECONDS,
            "spread": {spread: SPREAD_SECONDS},
        },
        on_changed_change=lambda: None,
    )


def marks_of(names: Iterable[str]) -> dict[str, str | None]:
    """The marks as of now, of whom this page is drawn for and of each name."""
    return {"reader": mark((drawn_for(),)), **{name: mark_now(name) for name in names}}


def serve_marks(request: Request) -> Response:
    """The marks that are asked for, of those that whoever asks may know; null where one is not known."""
    known, reader = reader_of_token(request.cookies.get(SESSION_COOKIE))
    told: dict[str, str | None] = {"reader": mark((reader,)) if known else None}
    for name in request.query_params.get("of", "").split(",")[:10]:
        if name in _states and (reader is not None or name in _for_all):
            told[name] = mark_now(name)
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


def mark_now(name: str) -> str | None:
    """The mark of one that is watched, made at most every `KEPT_SECONDS` for all who ask."""
    here, known = instance(), _marks.get(name)
    if known is None or known[0] is not here.engine or monotonic() - known[1] >= KEPT_SECONDS:
        began = monotonic()
        try:
            made = mark(_states[name](datetime.now(UTC)))
        except StoreError:
            made = None
        known = _marks[name] = here.engine, began, made
    return known[2]


def mark(state: object) -> str | None:
    """A few characters that are others where the state is another.

    >>> mark(("live", 3)) == mark(("live", 3)), mark(("live", 3)) == mark(("live", 4)), mark(None)
    (True, False, None)
    """
    return None if state is None else sha256(repr(state).encode()).hexdigest()[:12]
