"""Values in the address of the Accuracy page that mean nothing there: said once, not dropped silently."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import pandas as pd
import streamlit as st

from core.accuracy.record import Place
from core.ui.accuracy_filters import known_values
from core.ui.accuracy_opened import is_page

# Of every page, and said there.
_SHARED = ("mode", "tz", "time", "symbol", "version", "embed", "embed_options")
_MOST_SHOWN = 3
# A page runs again at every choice, and the field of a view that is not open leaves its value be.
_SAID = "misread_address"


def say_misread(options: pd.DataFrame, symbols: Sequence[str], views: Collection[str]) -> None:
    """Name what the address asks for in vain; before the fields, which forget it."""
    values = {**known_values(options, symbols), "view": views, "page": (), "disagreed": ()}
    asked = {key: st.query_params.get_all(key) for key in st.query_params}
    found = misread(asked, values | {"from": (), "to": ()})
    for key in {name for name, _ in found} - {*values, "from", "to"}:
        # What belongs to a field, the field puts right.
        st.query_params.pop(key, None)
    before = st.session_state.get(_SAID, ())
    st.session_state[_SAID] = found
    found = [pair for pair in found if pair not in before]
    if found:
        said = ", ".join(f"{key}={value[:40]}" for key, value in found[:_MOST_SHOWN])
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        st.toast(
            f"Not understood in the address, and left out: `{said.replace('`', '')}`{more}.",
            icon=":material/info:",
            duration="long",
        )


def misread(
    asked: Mapping[str, Sequence[str]], values: Mapping[str, Collection[str]]
) -> list[tuple[str, str]]:
    """The keys and values that nothing here answers to.

    >>> misread({"side": ["Long", "Up"], "judge": ["abc"], "page": ["x"]}, {"side": ["Long"]})
    [('side', 'Up'), ('judge', 'abc'), ('page', 'x')]
    """
    checks: dict[str, Callable[[str], bool]] = {
        "cell": lambda text: Place.parse(text) is not None,
        "page": is_page,
        "disagreed": is_page,
        "from": _is_day,
        "to": _is_day,
    }
    found = []
    for key, texts in asked.items():
        if key in _SHARED:
            continue
        allowed = values.get(key, ())
        check = checks.get(key, lambda text, allowed=allowed: text in allowed)
        found += [(key, text) for text in texts if text and not check(text)]
    return found


def _is_day(text: str) -> bool:
    return not pd.isna(pd.to_datetime(text, format="%Y-%m-%d", errors="coerce"))
