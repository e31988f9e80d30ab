"""What waits to be sent and for what, and what an administrator does about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import streamlit as st

from core.errors import CryptoSatXError
from core.store.waiting import Waiting
from core.ui.alerts import channel_actions
from core.ui.alerts.called import called
from core.ui.alerts.listing import Bit, Column, Group, Listed, Row, ago, bit, draw_list, muted
from core.ui.alerts.personal import load_waiting
from core.ui.alerts.words import plain
from core.ui.formats import Clock, count, duration, number

SHOWN = 50
# A worker looks several times a second: what is due for longer is taken by none.
TAKEN_WITHIN = timedelta(minutes=1)
_NAMED = 6
_ROUND, _SAID, _REFUSED = "_waiting_round", "_waiting_said", "_waiting_refused"
_COLUMNS = (
    Column("Rule", "its severity and name"),
    Column("Markets", "what the message is about"),
    Column("Channel"),
    Column("Waits", "since the message was made"),
    Column("For what"),
)


def draw_waiting(channel: int | None, waiting: int, clock: Clock, now: datetime) -> None:
    """The oldest that wait for a channel, or for all."""
    if said := st.session_state.pop(_SAID, ""):
        st.toast(said)
    if refused := st.session_state.pop(_REFUSED, ""):
        st.error(plain(refused), icon=":material/error:")
    if not waiting:
        st.caption("Nothing waits: what is made goes out within a second.")
        return
    found = load_waiting(channel, SHOWN)
    st.markdown(f"**Waiting**, {count(waiting, 'message')}")
    bar = st.container(horizontal=True, gap="small", key="alerts_waiting_bar")
    ticked = draw_list(
        Listed(
            "Messages that wait to be sent",
            _COLUMNS,
            [Group("all", [_row(one, clock, now) for one in found])],
            round=int(st.session_state.get(_ROUND, 0)),
            most=SHOWN,
        ),
        key="alerts_waiting",
    )
    with bar:
        _draw_bar(found, [int(key) for key in ticked])
    if waiting > len(found):
        st.caption(f"The oldest {len(found)} of {number(waiting)}.")


def _row(one: Waiting, clock: Clock, now: datetime) -> Row:
    rule = bit(one.rule or one.title, "", one.title, shape=one.severity)
    more = len(one.symbols) - _NAMED
    named: list[Bit] = [", ".join(one.symbols[:_NAMED])] if one.symbols else [muted("–")]
    return Row(
        str(one.id),
        (
            [rule],
            [*named, muted(f"and {more} more")] if more > 0 else named,
            [called(one.channel, one.owner)],
            [ago(one.made_at, now, clock)],
            why_cell(one, clock, now),
        ),
        tick="" if one.reason == "sending" else f"message {one.id} to {one.channel}",
    )


def why_cell(one: Waiting, clock: Clock, now: datetime) -> list[Bit]:
    """What it waits for, with what was said at the last try."""
    said: list[Bit] = [_why(one, clock, now)]
    if one.last_error and one.reason != "due":
        said.append(muted(one.last_error))
    return said


def _why(one: Waiting, clock: Clock, now: datetime) -> str:
    match one.reason:
        case "off":
            return "the channel is switched off"
        case "sending":
            return f"it is being sent, try {number(one.attempts)}"
        case "quiet":
            return f"held back by quiet hours until {clock.stamp(one.until)}"
        case "retry":
            return f"retry {number(one.attempts)} at {clock.second(one.until)}"
        case "rate":
            most = f"{number(one.per_minute)} a minute"
            return f"rate limit of {most}, goes on at {clock.second(one.until)}"
        case "behind":
            return "one before it goes first"
    due = timedelta(0) if one.until is None else now - one.until
    if due > TAKEN_WITHIN:
        return f"due for {duration(due)}, and no worker takes it"
    return "it is sent next"


def _draw_bar(found: Sequence[Waiting], ticked: Sequence[int]) -> None:
    retried = [one.id for one in found if one.id in ticked and one.reason == "retry"]
    n = len(ticked)
    st.button(
        f"Send {len(retried)} now" if retried else "Send now",
        icon=":material/send:",
        disabled=not retried,
        key="waiting_send",
        help="What failed and waits for its next try is tried at once.",
        on_click=_do,
        args=(lambda: channel_actions.send_now(retried), "tried at once"),
    )
    with st.popover(f"Drop {n}" if n else "Drop", disabled=not n, key="waiting_drop"):
        st.markdown(f"{count(n, 'message')} will never be sent. That is noted in Changes.")
        st.button(
            "Drop for good",
            type="primary",
            key="waiting_drop_all",
            on_click=_do,
            args=(lambda: channel_actions.drop(ticked), "dropped"),
        )


def _do(work: Callable[[], int], done: str) -> None:
    """Do something, and have the page say at its next run what came of it."""
    try:
        n = work()
    except CryptoSatXError as error:
        st.session_state[_REFUSED] = str(error)
        return
    st.session_state[_ROUND] = int(st.session_state.get(_ROUND, 0)) + 1
    st.session_state[_SAID] = f"{count(n, 'message')} {done}."
