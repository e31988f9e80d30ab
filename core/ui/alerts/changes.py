"""The log of changes: who changed what, when, and from what to what, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from core.accounts import Person
from core.store.audit import Change
from core.ui.alerts.files import to_csv
from core.ui.alerts.listing import Bit, Cell, Column, Group, Listed, Row, bit, draw_list, muted
from core.ui.alerts.personal import load_changes
from core.ui.controls import reader_clock
from core.ui.formats import Clock
from core.ui.session import require_user

SHOWN, MOST = 25, 10_000
_LONGEST = 160
_BEFORE = "_changes_before"
SUBJECTS: Mapping[str, str | None] = {
    "Everything": None,
    "Rules": "rule",
    "Silences": "silence",
    "Channels": "channel",
}
VERBS: Mapping[str, str] = {
    "create": "made",
    "change": "changed",
    "delete": "deleted",
    "restore": "restored",
    "end": "ended",
    "acknowledge": "acknowledged",
    "subscribe": "changed what comes to",
    "resend": "sent again what was given up of",
    "test": "tested",
}
_COLUMNS = (
    Column("When", "the moment of the change"),
    Column("Who", "the username"),
    Column("What"),
    Column("From → to", "what differs"),
)
# What says most comes first.
_FIRST = ("expression", "matchers", "symbols", "note", "service", "severities", "rules", "severity")
_FILE = ("id", "at", "by", "action", "subject", "subject_id", "name", "before", "after")


def draw_changes(_: Person) -> None:
    """A page of the log, the newest first."""
    require_user("admin")
    clock = reader_clock()
    with st.container(horizontal=True, vertical_alignment="center", key="filters"):
        chosen = st.segmented_control(
            "Of what",
            list(SUBJECTS),
            default="Everything",
            required=True,
            key="of",
            bind="query-params",
            label_visibility="collapsed",
            wrap=True,
            on_change=_to_newest,
        )
        by = st.text_input(
            "By",
            key="by",
            bind="query-params",
            placeholder="By anyone",
            label_visibility="collapsed",
            width=160,
            max_chars=64,
            on_change=_to_newest,
        )
        subject, who = SUBJECTS.get(chosen or "Everything"), (by or "").strip() or None
        _draw_download(subject, who)
    trail: list[int] = st.session_state.get(_BEFORE, [])
    found = load_changes(
        subject=subject, by=who, before_id=trail[-1] if trail else None, limit=SHOWN + 1
    )
    if not found:
        with st.container(border=True, key="alerts_no_change", horizontal_alignment="center"):
            st.markdown(":material/history_edu: **No change is written down here**")
            st.markdown("Every change of rules, silences and channels is, by whomever.")
    else:
        rows = [_row(one, clock) for one in found[:SHOWN]]
        draw_list(
            Listed("Changes", _COLUMNS, [Group("all", rows)], most=SHOWN), key="alerts_changes"
        )
        st.caption(f"Newest first. Times in {clock.label}. Nobody can change or delete an entry.")
    _draw_steps(trail, found)


def _draw_steps(trail: list[int], found: list[Change]) -> None:
    with st.container(horizontal=True, gap="small"):
        if trail:
            st.button(
                "Newer", icon=":material/chevron_left:", key="changes_newer",
                on_click=_go, args=(trail[:-1],),
            )  # fmt: skip
        if len(found) > SHOWN:
            st.button(
                "Older", icon=":material/chevron_right:", key="changes_older",
                on_click=_go, args=([*trail, found[SHOWN - 1].id],),
            )  # fmt: skip


def _draw_download(subject: str | None, by: str | None) -> None:
    def make() -> str:
        found = load_changes(subject=subject, by=by, before_id=None, limit=MOST)
        return changes_csv(found)

    st.download_button(
        "CSV", make, "cryptosatx-changes.csv", "text/csv", icon=":material/download:",
        on_click="ignore", key="changes_csv", help=f"The newest {MOST:,} at most.",
    )  # fmt: skip


def changes_csv(found: Iterable[Change]) -> str:
    """Entries as a file."""
    return to_csv(_FILE, (vars(one) for one in found))


def _row(one: Change, clock: Clock) -> Row:
    lines = difference(one)
    what: list[Bit] = [
        VERBS.get(one.action, one.action),
        muted(one.subject),
        bit(one.name, "strong", f"number {one.subject_id}"),
    ]
    first: Cell = lines[0] if lines else [muted("–")]
    more = [muted(f"and {len(lines) - 1} more")] if len(lines) > 1 else []
    return Row(
        str(one.id),
        (
            [bit(clock.stamp(one.at), "nowrap", clock.second(one.at))],
            [bit(one.by, "strong")],
            what,
            [*first, *more],
        ),
        more=lines if len(lines) > 1 else (),
    )


def difference(one: Change) -> list[Cell]:
    """What differs, a line for each thing: its name, what it was and what it became."""
    before, after = one.before or {}, one.after or {}
    lines: list[Cell] = []
    names = {**before, **after}
    for name in sorted(
        names, key=lambda each: _FIRST.index(each) if each in _FIRST else len(_FIRST)
    ):
        if name in before and name in after and before[name] == after[name]:
            continue
        if one.action == "create" and after.get(name) in (None, "", [], {}):
            continue
        line: list[Bit] = [muted(name.replace("_", " "))]
        if name in before:
            line.append(
                bit(f"{_said(before[name])} →" if name in after else _said(before[name]), "then")
            )
        if name in after:
            line.append(_said(after[name]))
        lines.append(line)
    return lines


def _said(value: Any) -> str:
    """A value as a person would write it.

    >>> _said(None), _said(["a", "b"]), _said(False), _said({"start": "22:00"})
    ('nothing', 'a, b', 'no', 'start 22:00')
    """
    if value is None or value == "" or value == []:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return _short(", ".join(f"{name} {_said(each)}" for name, each in value.items()))
    if isinstance(value, list):
        return _short(", ".join(_said(each) for each in value))
    return _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _go(trail: list[int]) -> None:
    st.session_state[_BEFORE] = trail


def _to_newest() -> None:
    st.session_state.pop(_BEFORE, None)
