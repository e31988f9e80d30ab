"""Everything about a rule beside its expression, each field with what it means and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.alerts.definition import SEVERITIES
from core.alerts.durations import parse_moment
from core.alerts.hours import WEEKDAYS
from core.signals import PROFILE_NAMES
from core.ui.controls import reader_clock
from core.ui.rules.drafts import Draft
from core.ui.rules.words import GROUPS, LABELS, plain

Faults = Mapping[str, str]
_DURATIONS: Mapping[str, tuple[str, str]] = {
    "for": (
        "at once",
        "How long the condition must have held, bar after bar, before the rule fires.",
    ),
    "keep_firing": (
        "ends at once",
        "How long the condition must have been over before a firing ends: a short break does not end it.",
    ),
    "cooldown": (
        "none",
        "After a firing has ended, nothing new fires for that market for so long.",
    ),
    "rearm": (
        "one bar",
        "How long the condition must have been false before the same market may fire again.",
    ),
    "repeat": (
        "never",
        "While it fires, it is told again after so long, until somebody acknowledges it.",
    ),
}
_HOURS = {"weekdays": [], "start": "08:00", "end": "20:00"}


_TEXTS = ("name", "description", "title", "body", *_DURATIONS)
_CHOICES = ("severity", "profile_name", "group", "muted", "enabled")


def recall(draft: Draft) -> None:
    """Take into the draft what was put into its fields since the last run."""
    state = st.session_state
    for field in (*_TEXTS, *_CHOICES, "symbols", "channels"):
        key = draft.widget(field)
        if key in state:
            draft.body[field] = _taken(field, state[key], draft.body[field])
    expiry, hours = draft.widget("expires_at"), draft.widget("active_hours")
    if expiry in state:
        moment = state[expiry]
        draft.body["expires_at"] = (
            None if moment is None else f"{moment.replace(tzinfo=None).isoformat()}Z"
        )
    if hours in state:
        draft.body["active_hours"] = _window(draft) if state[hours] else None


def _taken(field: str, value: Any, before: Any) -> Any:
    if field in _CHOICES:
        return before if value is None else value
    if field in _TEXTS:
        # Nothing typed is None where that is what a definition has.
        return value if value or field in ("name", "description") else None
    return list(value)


def _window(draft: Draft) -> dict[str, Any]:
    window = dict(draft.body["active_hours"] or _HOURS)
    for part in window:
        key = draft.widget(part)
        if key in st.session_state:
            window[part] = st.session_state[key]
    every = set(window["weekdays"]) == set(WEEKDAYS)
    return window | {"weekdays": [] if every else list(window["weekdays"])}


def draw_name(draft: Draft, faults: Faults) -> None:
    """The name, the severity and the two switches."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        _text(draft, "name", faults, placeholder="What it is about, in a few words", most=100)
    with right:
        _choice(draft, "severity", SEVERITIES, str.capitalize)


def draw_times(draft: Draft, faults: Faults, symbols: Sequence[str]) -> None:
    """When it fires, for which markets, and until when."""
    st.markdown("**When it fires and ends**  \nDurations are written as 30m, 4h, 2d or 1h30m.")
    grid = st.grid(3, min_column_width=210, gap="small")
    for field, (usual, meaning) in _DURATIONS.items():
        with grid.container(gap="xsmall"):
            _text(draft, field, faults, placeholder=usual)
            st.caption(meaning)
    with grid.container(gap="xsmall"):
        _expiry(draft, faults)
    _active_hours(draft, faults)
    st.markdown("**For which markets**")
    left, right = st.columns(2)
    with left:
        _many(
            draft, "symbols", faults, {name: name for name in symbols}, "All markets",
            help="Only these markets are judged. A rank still counts among all of them.",
        )  # fmt: skip
    with right:
        _choice(
            draft, "profile_name", PROFILE_NAMES, str,
            help="Whose score, direction and verdict are meant.",
        )  # fmt: skip
        _say(faults, "profile_name")


def draw_switches(draft: Draft) -> None:
    """Whether it is judged, and told, once it is saved."""
    with st.container(horizontal=True, gap="medium"):
        _switch(draft, "enabled", "A rule that is disabled is not judged; what fires of it ends.")
        _switch(draft, "muted", "A rule that is muted is judged and shown, and sends no messages.")


def _switch(draft: Draft, field: str, meaning: str) -> None:
    key = draft.widget(field)
    if key not in st.session_state:
        st.session_state[key] = draft.body[field]
    st.toggle(LABELS[field], key=key, help=meaning)


def draw_description(draft: Draft, faults: Faults) -> None:
    """What the rule is for: it stands on the Alerts page and in messages."""
    _area(
        draft, "description", faults, height=90,
        placeholder="Why it matters, and what to look at when it fires",
    )  # fmt: skip


def draw_telling(draft: Draft, faults: Faults, channels: Mapping[int, str]) -> None:
    """How many messages, where to."""
    left, right = st.columns(2)
    with left:
        _choice(
            draft, "group", tuple(GROUPS), GROUPS.__getitem__,
            help="Whether markets that fire at the same bar share a message.",
        )  # fmt: skip
    with right:
        _many(
            draft, "channels", faults, channels,
            "Choose shared channels" if channels else "No shared channel yet",
            help="Shared channels that get its messages, whatever people choose for their own.",
        )  # fmt: skip
    st.caption(
        "People get what they chose for their own channels as well. Shared channels are kept on the "
        "Alerts page."
    )


def draw_templates(draft: Draft, faults: Faults) -> None:
    """Title and text of the message."""
    _text(draft, "title", faults, placeholder="The built-in title", most=200)
    _area(draft, "body", faults, height=200, placeholder="The built-in text")


def _expiry(draft: Draft, faults: Faults) -> None:
    key = draft.widget("expires_at")
    if key not in st.session_state:
        st.session_state[key] = _moment(draft.body["expires_at"])
    st.datetime_input(
        f"{LABELS['expires_at']}, UTC",
        value=None,
        key=key,
    )
    _say(faults, "expires_at")
    st.caption("From then on it is judged no more, and what fires ends. Empty: never.")


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_moment(text).replace(tzinfo=None)
    except ValueError:
        return None


def _active_hours(draft: Draft, faults: Faults) -> None:
    key = draft.widget("active_hours")
    if key not in st.session_state:
        st.session_state[key] = draft.body["active_hours"] is not None
    if not st.toggle(
        "Only at certain hours",
        key=key,
        help="Outside of them nothing fires. What fires goes on, and that it ended is told.",
    ):
        return
    window: dict[str, Any] = dict(draft.body["active_hours"] or _HOURS)
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        days = draft.widget("weekdays")
        if days not in st.session_state:
            st.session_state[days] = window["weekdays"] or list(WEEKDAYS)
        st.pills(
            "On (none chosen is every day)",
            WEEKDAYS,
            selection_mode="multi",
            key=days,
            format_func=str.capitalize,
        )
        for end, label in (("start", "From, UTC"), ("end", "Until, UTC")):
            own = draft.widget(end)
            if own not in st.session_state:
                st.session_state[own] = window[end]
            st.text_input(label, key=own, placeholder="08:00", width=110)
    for field in (
        "active_hours",
        "active_hours.weekdays",
        "active_hours.start",
        "active_hours.end",
    ):
        _say(faults, field)
    clock = reader_clock()
    if clock.label != "UTC":
        st.caption(f"Hours are UTC; it is {clock.minute(datetime.now(UTC))} in {clock.place} now, "
                   f"{datetime.now(UTC):%H:%M} UTC.")  # fmt: skip


def _text(
    draft: Draft,
    field: str,
    faults: Faults,
    *,
    placeholder: str,
    help: str | None = None,
    most: int = 40,
) -> None:
    key = draft.widget(field)
    if key not in st.session_state:
        st.session_state[key] = draft.body[field] or ""
    st.text_input(LABELS[field], key=key, placeholder=placeholder, help=help, max_chars=most)
    _say(faults, field)


def _area(draft: Draft, field: str, faults: Faults, *, placeholder: str, height: int) -> None:
    key = draft.widget(field)
    if key not in st.session_state:
        st.session_state[key] = draft.body[field] or ""
    st.text_area(LABELS[field], key=key, placeholder=placeholder, height=height)
    _say(faults, field)


def _choice(
    draft: Draft, field: str, options: Sequence[str], show: Any, help: str | None = None
) -> None:
    key = draft.widget(field)
    if key not in st.session_state:
        known = draft.body[field]
        st.session_state[key] = known if known in options else options[0]
    st.segmented_control(
        LABELS[field], options, key=key, required=True, format_func=show, help=help
    )


def _many(
    draft: Draft,
    field: str,
    faults: Faults,
    options: Mapping[Any, str],
    placeholder: str,
    *,
    help: str,
) -> None:
    """A choice of several; what is chosen and no longer there can still be seen and taken out."""
    key, chosen = draft.widget(field), list(draft.body[field])
    names = {
        **options,
        **{one: f"{one}, not here any more" for one in chosen if one not in options},
    }
    if key not in st.session_state:
        st.session_state[key] = chosen
    st.multiselect(
        LABELS[field], list(names), key=key, placeholder=placeholder, help=help,
        format_func=names.__getitem__,
    )  # fmt: skip
    _say(faults, field)


def _say(faults: Faults, field: str) -> None:
    if field in faults:
        said = faults[field]
        st.markdown(
            f":material/error: **{LABELS.get(field.partition('.')[0], field)}: {plain(said.rstrip('.'))}.**"
        )
