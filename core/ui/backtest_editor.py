"""The profile editor: a draft beside what is in force, kept while the reader goes elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.errors import ProfileError
from core.signals import PROFILE_NAMES, Profile, load_profile, parse_profile, profile_faults
from core.ui import loaders
from core.ui.backtest_fields import GROUPS, Field, body_of, differences, shown_values
from core.ui.callbacks import of_page
from core.ui.controls import chosen_mode, reader_clock
from core.ui.formats import count

_DRAFT, _MODE, _START = "_draft", "draft_mode", "draft_start"
_KEY = "edit {}"
NO_NUMBER = "must be a number"
MANY_HOURS = "must be numbers of hours, separated by commas"


@dataclass(frozen=True)
class Draft:
    """What the editor holds: ``profile`` is None where it is none that is valid."""

    mode: str
    profile: Profile | None
    current: Profile


def start_from(profile: Profile) -> None:
    """Put a profile into the editor, in place of what is there."""
    st.session_state[_DRAFT] = {"mode": profile.name, "shown": shown_values(profile)}
    for name in [name for name in st.session_state if str(name).startswith(_KEY.format(""))]:
        del st.session_state[name]
    st.session_state.pop(_MODE, None)


def in_force_now(mode: str) -> Profile:
    """The version that decides the next bar of a mode."""
    span = loaders.load_span()
    newest = datetime.now(UTC) if span is None else span[1]
    return loaders.load_schedule(mode).at(newest)


def draw_editor() -> Draft:
    """Draw the editor; what it holds."""
    if _DRAFT not in st.session_state:
        start_from(in_force_now(chosen_mode()))
    draft = st.session_state[_DRAFT]
    _draw_start()
    mode = st.selectbox(
        "Mode",
        PROFILE_NAMES,
        index=PROFILE_NAMES.index(draft["mode"]),
        key=_MODE,
        help="The mode that this is to be a version of.",
    )
    draft["mode"] = mode
    current = in_force_now(mode)
    body = body_of(mode, _recalled(draft))
    faults, beside = profile_faults(body), shown_values(current)
    # The same labels whatever is typed: other ones would be other tabs, and open the first.
    tabs = st.tabs([group.title for group in GROUPS])
    for tab, group in zip(tabs, GROUPS, strict=True):
        with tab:
            st.caption(group.meaning)
            grid = st.grid(2, min_column_width=210, gap="small")
            for field in group.fields:
                with grid.container(gap=None):
                    _draw_field(field, draft["shown"], beside, faults)
            _draw_group_fault(group.fields, faults)
    profile = None if faults else _parsed(body)
    _draw_summary(profile, current, faults)
    return Draft(mode, profile, current)


def _recalled(draft: dict[str, Any]) -> Mapping[str, Any]:
    """The draft with what was typed since the last run."""
    for path in draft["shown"]:
        key = _KEY.format(path)
        if key in st.session_state:
            draft["shown"][path] = st.session_state[key]
    shown: Mapping[str, Any] = draft["shown"]
    return shown


def _parsed(body: Mapping[str, object]) -> Profile | None:
    try:
        return parse_profile(body)
    except ProfileError:
        return None


def _draw_start() -> None:
    """Choose a profile to start from: what is in force, what is built in, any stored version."""
    known: dict[str, Profile] = {}
    for mode in PROFILE_NAMES:
        profile = in_force_now(mode)
        known[f"{mode}, in force now ({profile.version[:8]})"] = profile
    for mode in PROFILE_NAMES:
        profile = load_profile(mode)
        known[f"{mode}, built in ({profile.version[:8]})"] = profile
    clock = reader_clock()
    for version in loaders.load_versions():
        profile = version.profile
        name = f"{profile.name} {profile.version[:8]}, stored {clock.stamp(version.created_at)}"
        known[name] = profile

    def start() -> None:
        picked = st.session_state[_START]
        if picked in known:
            start_from(known[picked])

    st.selectbox(
        "Start from",
        list(known),
        index=None,
        placeholder="a mode or a stored version",
        key=_START,
        on_change=of_page(start),
    )


def _draw_field(
    field: Field, shown: dict[str, Any], beside: Mapping[str, Any], faults: Mapping[str, str]
) -> None:
    key, now = _KEY.format(field.path), shown[field.path]
    if key not in st.session_state:
        st.session_state[key] = now
    label = f"{field.label}, {field.unit}" if field.unit else field.label
    # The value goes along with every run: whose first run was broken off would show 0 else.
    value: Any
    if field.many:
        value = st.text_input(label, now, key=key, help=field.meaning)
    elif field.ends is not None and field.ends[0] <= st.session_state[key] <= field.ends[1]:
        low, high = field.ends
        value = st.slider(
            label, low, high, now, step=field.step, key=key, help=field.meaning, format="%.4g"
        )
    else:
        value = st.number_input(
            label, value=now, step=field.step, key=key, help=field.meaning, format="%.4g"
        )
    shown[field.path] = value
    fault = _fault_of(field, faults)
    if fault:
        st.markdown(f":material/error: **{field.label} {fault}.**")
    in_force = field.words(beside[field.path])
    changed = value != beside[field.path]
    st.caption(f"**{in_force} → {field.words(value)}**" if changed else f"as in force: {in_force}")


def _fault_of(field: Field, faults: Mapping[str, str]) -> str:
    found = [
        said
        for path, said in faults.items()
        if path == field.path or path.startswith(f"{field.path}.")
    ]
    if not found:
        return ""
    return MANY_HOURS if field.many and found[0] == NO_NUMBER else found[0]


def _draw_group_fault(fields: tuple[Field, ...], faults: Mapping[str, str]) -> None:
    """A fault of a whole group, such as that all its weights are 0."""
    part = fields[0].path.partition(".")[0]
    if part in faults:
        said = faults[part]
        st.markdown(f":material/error: **{said[0].upper()}{said[1:]}.**")


def _places(faults: Mapping[str, str]) -> str:
    """Where something must be changed: the tab, and the field in it."""
    found = []
    for group in GROUPS:
        fields = [field.label for field in group.fields if _fault_of(field, faults)]
        if fields:
            found.append(f"{', '.join(fields)} in the tab {group.title}")
        elif group.fields[0].path.partition(".")[0] in faults:
            found.append(f"the tab {group.title}")
    return "; ".join(found)


def _draw_summary(profile: Profile | None, current: Profile, faults: Mapping[str, str]) -> None:
    if profile is None:
        st.markdown(
            f":material/error: **{count(len(faults), 'number')} must be changed** before this can be "
            f"run or saved: {_places(faults)}."
        )
        return
    found = differences(current, profile)
    if not found:
        st.markdown(f"The same as what is in force: **{current.name} {current.version[:8]}**.")
        return
    st.markdown(
        f"Version **{profile.version[:8]}** differs from {current.name} in force "
        f"({current.version[:8]}) in {count(len(found), 'number')}:  \n" + "  \n".join(found)
    )
    st.caption(
        "A version's id is of its numbers only: the same numbers have the same id in every mode, and "
        "one look at what a history holds back. A draft that is neither saved nor run is lost when the "
        "page is reloaded."
    )
