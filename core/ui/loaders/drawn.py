"""What is drawn alike for everybody who asks for the same: made once, and put on their pages again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from core.ui.loaders.kept import KEPT_SECONDS, State, state_now

P = ParamSpec("P")


def drawn_once(draw: Callable[P, None]) -> Callable[P, None]:
    """A decorator: what ``draw`` puts on the page follows from its arguments and the store alone.

    Nothing in it may be a person's, and nothing that is chosen or pressed. For tables, which take long
    to be made ready for the browser.
    """
    name = f"{draw.__module__}.{draw.__qualname__}"

    @wraps(draw)
    def draw_again(*args: P.args, **named: P.kwargs) -> None:
        _drawn(state_now(), name, lambda: draw(*args, **named), args, named)

    return draw_again


@st.cache_resource(ttl=KEPT_SECONDS, max_entries=128, show_spinner=False)
def _drawn(state: State, name: str, _draw: Callable[[], None], args: object, named: object) -> None:  # noqa: ARG001
    _draw()
