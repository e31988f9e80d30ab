"""Messages for administrators: what waits and why, what was given up, and every try to send."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from core.accounts import Person
from core.errors import CryptoSatXError
from core.store.sent import Attempt, Dead
from core.ui import loaders
from core.ui.alerts import channel_actions
from core.ui.alerts.called import called
from core.ui.alerts.listing import Bit, Column, Group, Listed, Row, bit, draw_list, muted
from core.ui.alerts.personal import load_attempts, load_dead, load_queues
from core.ui.alerts.waiting import draw_waiting
from core.ui.alerts.words import plain
from core.ui.controls import reader_clock
from core.ui.formats import DASH, Clock, count, number
from core.ui.session import renewed, require_user

SHOWN = 50
REFRESH_SECONDS = 2.5
_ROUND, _SAID = "_dead_round", "_dead_said"
_DEAD = (
    Column("Message", "its severity and title"),
    Column("Channel"),
    Column("Made", "when the bar was judged"),
    Column("Tries", number=True),
    Column("Why it was given up"),
)
_TRIES = (
    Column("When"),
    Column("Channel"),
    Column("Message"),
    Column("What came of it"),
    Column("Took, ms", "until the receiver answered, or did not", number=True),
)


def draw_deliveries(_: Person) -> None:
    """What waits for a channel or for all, dead letters and the log of tries, renewed by itself."""
    require_user("admin")
    named = {one.channel_id: one for one in loaders.count_deliveries()}
    channel = st.selectbox(
        "Channel",
        list(named),
        index=None,
        format_func=lambda key: called(named[key].channel, named[key].owner),
        key="deliveries_channel",
        placeholder="All channels",
        label_visibility="collapsed",
        width=280,
    )

    def draw() -> None:
        _draw_live(channel)

    renewed(REFRESH_SECONDS)(draw)()


def _draw_live(channel: int | None) -> None:
    clock, now = reader_clock(), datetime.now(UTC)
    wanted = [one for one in loaders.count_deliveries() if channel in (None, one.channel_id)]
    ids = {one.channel_id for one in wanted}
    queues = [one for key, one in load_queues().items() if key in ids]
    waiting, quiet = sum(one.waiting for one in queues), sum(one.quiet for one in queues)
    dead, sent = sum(one.dead for one in wanted), sum(one.sent for one in wanted)
    held = f" ({number(quiet)} until quiet hours end)" if quiet else ""
    st.markdown(
        f"#### {number(waiting)} waiting{held}, {number(sent)} sent in 24 h, "
        f"{count(dead, 'message')} given up"
    )
    if said := st.session_state.pop(_SAID, ""):
        st.toast(said, icon=":material/send:")
    draw_waiting(channel, waiting, clock, now)
    if dead:
        _draw_dead(channel, dead, clock)
    else:
        st.caption(
            "Nothing was given up: a message is tried for a day, and then kept here to be sent again."
        )
    _draw_tries(load_attempts(channel, SHOWN), clock)


def _draw_dead(channel: int | None, dead: int, clock: Clock) -> None:
    found = load_dead(channel, SHOWN)
    rows = [_dead_row(one, clock) for one in found]
    st.markdown(f"**Given up**, {count(dead, 'message')}")
    bar = st.container(horizontal=True, gap="small")
    ticked = draw_list(
        Listed(
            "Messages that were given up",
            _DEAD,
            [Group("all", rows)],
            round=int(st.session_state.get(_ROUND, 0)),
            most=SHOWN,
        ),
        key="alerts_dead",
    )
    with bar:
        again = st.button(
            f"Send {len(ticked)} again" if ticked else "Send again",
            icon=":material/send:",
            disabled=not ticked,
            key="dead_some",
        )
        everything = st.button(
            f"Send all {number(dead)} again",
            disabled=channel is None,
            key="dead_all",
            help="Choose a channel first." if channel is None else None,
        )
    if dead > len(found):
        st.caption(f"The newest {len(found)} of {number(dead)}.")
    if again:
        _resend(ids=[int(key) for key in ticked])
    elif everything and channel is not None:
        _resend(channel_id=channel)


def _dead_row(one: Dead, clock: Clock) -> Row:
    return Row(
        str(one.id),
        (
            [bit(one.title, "", one.severity, shape=one.severity)],
            [called(one.channel, one.owner)],
            [bit(clock.stamp(one.made_at), "nowrap")],
            [number(one.attempts)],
            [one.last_error or DASH],
        ),
        tick=f"message {one.id}",
    )


def _draw_tries(found: Sequence[Attempt], clock: Clock) -> None:
    if not found:
        st.caption("Nothing has been sent yet.")
        return
    st.markdown(f"**Every try to send**, the newest {len(found)}")
    rows = [
        Row(
            str(one.id),
            (
                [bit(clock.stamp(one.started_at), "nowrap", clock.second(one.started_at))],
                [called(one.channel, one.owner)],
                [one.title],
                _came_of(one),
                [DASH if one.took_ms is None else number(one.took_ms)],
            ),
        )
        for one in found
    ]
    draw_list(
        Listed("Every try to send", _TRIES, [Group("all", rows)], most=SHOWN), key="alerts_tries"
    )
    st.caption(
        f"Times in {clock.label}. What was sent is kept for 30 days, what was given up for 90."
    )


def _came_of(one: Attempt) -> list[Bit]:
    word = {True: "arrived", False: "failed", None: "not known"}[one.succeeded]
    return [bit(word, "strong" if one.succeeded is False else ""), muted(one.message)]


def _resend(*, ids: list[int] | None = None, channel_id: int | None = None) -> None:
    try:
        n = channel_actions.resend(ids=ids, channel_id=channel_id)
    except CryptoSatXError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.session_state[_ROUND] = int(st.session_state.get(_ROUND, 0)) + 1
    st.session_state[_SAID] = f"{count(n, 'message')} will be sent again."
    st.rerun()
