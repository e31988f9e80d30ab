"""A replay as the reader sees it: how far, how long still, and what to do when it failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import streamlit as st

from core.errors import StoreError
from core.ui import loaders
from core.ui.formats import count, duration, percent
from core.ui.session import redraw, renewed

POLL_SECONDS = 1.5
SILENT_AFTER = timedelta(minutes=2)
_PACE, _STAGE = "_replay_pace", "_replay_stage"


@dataclass(frozen=True)
class Standing:
    """Where the replays of a store stand; ``fraction`` is of the rows of all those under way."""

    state: Literal["none", "running", "silent", "failed", "done"]
    fraction: float = 0.0
    source: str = ""
    message: str = ""
    rows_left: int = 0
    silent_for: timedelta = timedelta(0)


def standing(replays: Sequence[Mapping[str, Any]], now: datetime) -> Standing:
    """What the rows of `core.store.signals.load_progress` come to.

    A replay that has said nothing for two minutes is silent: its process may have died.
    """
    if not replays:
        return Standing("none")
    open_ones = [row for row in replays if row["state"] in ("waiting", "running")]
    failed = [row for row in replays if row["state"] == "failed"]
    if not open_ones:
        newest = replays[0]
        if not failed or newest["state"] != "failed":
            return Standing("done", 1.0, newest["source"])
        return Standing("failed", source=newest["source"], message=newest["message"] or "")
    since = min(row["started_at"] for row in open_ones) - timedelta(seconds=5)
    together = [row for row in replays if row["started_at"] >= since]
    total = sum(row["rows_total"] for row in together)
    done = sum(row["rows_done"] for row in together)
    silent_for = now - max(row["updated_at"] for row in together)
    return Standing(
        "silent" if silent_for > SILENT_AFTER else "running",
        done / total if total else 0.0,
        open_ones[0]["source"],
        rows_left=total - done,
        silent_for=silent_for,
    )


def remaining(seen: Sequence[tuple[datetime, float]]) -> timedelta | None:
    """Time left at the pace seen so far; None until something has moved.

    >>> start = datetime(2025, 10, 1, tzinfo=UTC)
    >>> remaining([(start, 0.2), (start + timedelta(seconds=10), 0.4)])
    datetime.timedelta(seconds=30)
    """
    (began, from_fraction), (now, fraction) = seen[0], seen[-1]
    if fraction <= from_fraction:
        return None
    return (now - began) * ((1 - fraction) / (fraction - from_fraction))


def draw_replays() -> None:
    """Progress that renews itself while a replay runs; nothing where none does."""
    try:
        replays = loaders.load_progress()
    except StoreError:
        return  # The header says that the database does not answer.
    if not replays:
        _await_first()
    if standing(replays, datetime.now(UTC)).state in ("none", "done"):
        st.session_state.pop(_PACE, None)
        return
    st.session_state[_STAGE] = _stage(replays)
    _progress()


def is_running() -> bool:
    """Whether rows of the past are still being added."""
    return standing(loaders.load_progress(), datetime.now(UTC)).state == "running"


def _stage(replays: Sequence[Mapping[str, Any]]) -> tuple[bool, int]:
    """What a page shows depends on this: whether there are rows at all, and which profiles end."""
    return any(row["rows_done"] for row in replays), sum(row["state"] == "done" for row in replays)


@renewed(POLL_SECONDS)
def _await_first() -> None:
    """A page may be opened before the replay beside the server has begun."""
    try:
        if loaders.load_progress():
            redraw()
    except StoreError:
        return


@renewed(POLL_SECONDS)
def _progress() -> None:
    try:
        now, replays = datetime.now(UTC), loaders.load_progress()
    except StoreError:
        return
    at = standing(replays, now)
    if at.state in ("none", "done") or _stage(replays) != st.session_state[_STAGE]:
        redraw()
    elif at.state == "failed":
        st.error(
            f"Replaying stopped: {at.message} What is shown is what was stored before; "
            "an administrator can start it again with `python -m core replay`.",
            icon=":material/error:",
        )
    elif at.state == "silent":
        st.warning(
            f"Replaying {at.source} has stood still at {percent(at.fraction, 0)} for "
            f"{duration(at.silent_for)}. It goes on from there when the server is started again.",
            icon=":material/hourglass_disabled:",
        )
    else:
        st.progress(at.fraction, text=_words(at, now))


def _words(at: Standing, now: datetime) -> str:
    seen: list[tuple[datetime, float]] = st.session_state.setdefault(_PACE, [])
    seen.append((now, at.fraction))
    del seen[1:-1]
    left = remaining(seen)
    estimate = f"about {duration(left)} left" if left else "estimating the time left"
    return (
        f"Working through the past of the {at.source.lower()}: {percent(at.fraction, 0)}, {estimate}. "
        f"{count(at.rows_left, 'row')} to go; pages fill as it goes on."
    )
