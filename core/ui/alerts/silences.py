"""The silences that hold, will hold and have ended, and the form for another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from core.accounts import Person
from core.errors import CryptoSatXError
from core.store.alerts.silences import StoredSilence
from core.ui import loaders
from core.ui.alerts import actions
from core.ui.alerts.listing import Action, Bit, Column, Group, Listed, Row, bit, draw_list, muted
from core.ui.alerts.silence_form import draw_form
from core.ui.alerts.words import plain
from core.ui.controls import reader_clock
from core.ui.formats import Clock, duration

_KEY, _REFUSED = "alerts_silences", "_silences_refused"
_COLUMNS = (
    Column("Matches", "all of these"),
    Column("Reason"),
    Column("By"),
    Column("From"),
    Column("Until"),
)


def draw_silences(person: Person) -> None:
    """Running and coming ones first, the form beside them, then those that have ended."""
    left, right = st.columns([3, 2], gap="large")
    with right:
        draw_form(person)
    with left:
        _draw_lists(person)


def _draw_lists(person: Person) -> None:
    now, clock = datetime.now(UTC), reader_clock()
    if refused := st.session_state.pop(_REFUSED, ""):
        st.error(plain(refused), icon=":material/error:")
    stored = loaders.load_silences()
    groups = listed(stored, now, clock, writes=not person.guest)
    if not groups:
        with st.container(border=True, key="alerts_no_silence", horizontal_alignment="center"):
            st.markdown(":material/notifications_active: **Nothing is silenced**")
            st.markdown(
                "A silence keeps messages back for a while, as during maintenance. What fires goes on "
                "being shown, and its end is not told either while the silence holds."
            )
        return
    actions_ = {"end": Action("End now", "Tell again from the next bar on")}
    draw_list(
        Listed("Silences", _COLUMNS, groups, actions_ if not person.guest else {}),
        key=_KEY,
        on_act=lambda _, key: _end(key),
    )
    st.caption(
        f"Times in {clock.label}. Silences that ended more than 30 days ago are in the log of changes."
    )


def listed(
    stored: Sequence[StoredSilence], now: datetime, clock: Clock, *, writes: bool
) -> list[Group]:
    """Silences by whether they hold."""
    holds = [one for one in stored if one.silence.starts_at <= now < one.silence.ends_at]
    coming = [one for one in stored if one.silence.starts_at > now]
    ended = [one for one in stored if one.silence.ends_at <= now]
    parts = (("now", "Holding now", holds), ("later", "To come", coming), ("over", "Ended", ended))
    return [
        Group(
            key,
            [_row(one, now, clock, ends=writes and key != "over") for one in each],
            [bit(title, "strong"), muted(str(len(each)))],
        )
        for key, title, each in parts
        if each
    ]


def _row(one: StoredSilence, now: datetime, clock: Clock, *, ends: bool) -> Row:
    silence = one.silence
    until: list[Bit] = [bit(clock.stamp(silence.ends_at), "nowrap")]
    if silence.starts_at <= now < silence.ends_at:
        until.append(muted(f"{duration(silence.ends_at - now)} left"))
    return Row(
        str(one.id),
        (
            [bit(" and ".join(str(each) for each in silence.matchers), "code")],
            [silence.reason],
            [silence.author],
            [bit(clock.stamp(silence.starts_at), "nowrap")],
            until,
        ),
        acts=("end",) if ends else (),
    )


def _end(key: str) -> None:
    try:
        actions.end_silence(int(key))
    except CryptoSatXError as error:
        st.session_state[_REFUSED] = str(error)
