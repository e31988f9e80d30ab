"""Which version of each mode decides now, which will, and who decided that."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import streamlit as st

from core.accounts import Person, may
from core.errors import CryptoSatXError
from core.instance import instance
from core.signals import PROFILE_NAMES, Profile, load_profile
from core.ui import backtest_actions, loaders
from core.ui.backtest_editor import in_force_now
from core.ui.backtest_words import name_of
from core.ui.controls import chosen_mode, reader_clock
from core.ui.formats import count

_HOUR = timedelta(hours=1)


def draw_in_force(person: Person) -> None:
    """What decides, as a list and a history; for an administrator a way to change it."""
    st.subheader("In force", anchor=False)
    st.markdown(
        "A version decides the bars that close from its moment on. Signals of the past keep the version "
        "that made them."
    )
    newest = _newest()
    # The list stands above the form and is drawn after it, so that it holds what the form did.
    listed = st.container()
    if may(person, "admin", write=True):
        _draw_form(newest)
    listed.markdown("\n".join(_words(mode, newest) for mode in PROFILE_NAMES))
    _draw_past()


def _newest() -> datetime | None:
    span = loaders.load_span()
    return None if span is None else span[1]


def next_moment(newest: datetime | None, now: datetime, *, live: bool) -> datetime:
    """The earliest that can be chosen, a full hour: of the clock on a live market, else of the
    market's own time.

    >>> now = datetime(2025, 11, 1, 12, 30, tzinfo=UTC)
    >>> next_moment(now.replace(minute=0), now, live=True).hour
    13
    >>> next_moment(datetime(2025, 10, 1, tzinfo=UTC), now, live=False).isoformat()
    '2025-10-01T01:00:00+00:00'
    """
    start = now if newest is None or live else newest
    full = start.replace(minute=0, second=0, microsecond=0) + _HOUR
    return full if newest is None or full > newest else newest + _HOUR


def _words(mode: str, newest: datetime | None) -> str:
    now = in_force_now(mode)
    built_in = ", built in" if now == load_profile(mode) else ""
    line = f"- **{mode}**: {now.version[:8]}{built_in}"
    coming = [
        f"{profile.version[:8]} from {reader_clock().stamp(moment)} on"
        for moment, profile in loaders.load_schedule(mode).changes
        if newest is not None and moment > newest
    ]
    return f"{line}; then {', '.join(coming)}" if coming else line


def _draw_form(newest: datetime | None) -> None:
    clock = reader_clock()
    modes = [load_profile(mode) for mode in PROFILE_NAMES]
    stored = [one.profile for one in loaders.load_versions()]
    versions = {_key(profile): profile for profile in [*stored, *modes]}
    live = instance().market.kind == "live"
    earliest = next_moment(newest, datetime.now(UTC), live=live)
    with st.container(border=True, key="force_form", gap="small"):
        picked = st.selectbox(
            "Put in force",
            list(versions),
            index=None,
            placeholder="a stored version",
            format_func=lambda key: _label(versions[key]),
            key="bt_version",
        )
        left, right = st.columns(2)
        local = clock.local(earliest)
        first = local.date()
        day = left.date_input("From, day", value=first, min_value=first, key="bt_from_day")
        hour = right.time_input("From, time", value=local.time(), step=_HOUR, key="bt_from_time")
        moment = datetime.combine(day, hour or time(), tzinfo=local.tzinfo).astimezone(UTC)
        which = "the first bar to close" if live else "the bar after the newest stored one"
        st.caption(
            f"Times in {clock.label}. Earliest is {clock.stamp(earliest)}, {which}"
            f"{': choose a later time.' if moment < earliest else '.'}"
        )
        if st.button(
            "Put in force",
            icon=":material/gavel:",
            disabled=picked is None or moment < earliest,
            key="bt_put",
        ):
            profile = versions[str(picked)]
            try:
                backtest_actions.put_in_force(profile.name, profile.version, moment)
                loaders.forget_schedules()
            except CryptoSatXError as error:
                st.error(str(error), icon=":material/error:")
            else:
                st.success(
                    f"{name_of(profile)} decides the bars that close from {clock.stamp(moment)} on.",
                    icon=":material/check:",
                )


def _key(profile: Profile) -> str:
    return f"{profile.name} {profile.version}"


def _label(profile: Profile) -> str:
    built_in = ", built in" if profile == load_profile(profile.name) else ""
    mode = " (this mode)" if profile.name == chosen_mode() else ""
    return f"{name_of(profile)}{built_in}{mode}"


def _draw_past() -> None:
    settings, clock = loaders.load_in_force(), reader_clock()
    if not settings:
        st.caption("The built-in versions have decided everything so far.")
        return
    with st.expander(f"{count(len(settings), 'setting')} so far", key="force_past"):
        st.markdown(
            "\n".join(
                f"- {one.profile_name} {one.profile_version[:8]} from {clock.stamp(one.from_at)} on, set "
                f"by {one.set_by}, {clock.stamp(one.set_at)}"
                for one in settings
            )
        )
