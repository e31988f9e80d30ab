"""Callbacks of widgets, called when a reader changes something and at no other time."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from streamlit.runtime.scriptrunner import get_script_run_ctx

_Given = ParamSpec("_Given")


def of_page(act: Callable[_Given, None]) -> Callable[_Given, None]:
    """A callback of a widget that stands in no part which renews itself.

    A run of such a part brings along all that the browser holds at that moment, also of widgets that
    have gone and of an address that was left, which it has not heard yet. Streamlit takes that for a
    change and calls back once more; there is nothing to do then.
    """

    @wraps(act)
    def changed(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        run = get_script_run_ctx()
        if run is None or not run.fragment_ids_this_run:
            act(*args, **kwargs)

    return changed
