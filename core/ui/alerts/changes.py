"""The log of changes: who changed what, when, and from what to what, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from core.accounts import Person
from core.store.audit import Change
from core.ui.alerts.change_log import Entry, Place, Wanted, load_authors, load_changes
from core.ui.alerts.files import to_csv
from core.ui.alerts.filters import ask, day_after, midnight
from core.ui.alerts.listing import Bit, Cell, Column, Group, Listed, Row, bit, draw_list, muted
from core.ui.controls import reader_clock
from core.ui.formats import Clock
from core.ui.session import require_user

SHOWN, MOST = 25, 10_000
_LONGEST = 160
_BEHIND = "_changes_behind"
SUBJECTS: Mapping[str, str] = {
    "Rules": "rule",
    "Silences": "silence",
    "Channels": "channel",
    "People": "person",
    "Invitations": "invitation",
    "Keys": "key",
    "Addresses": "address",
    "Profiles": "profile",
    "Backtests": "backtest",
}
VERBS: Mapping[str, str] = {
    "create": "made",
    "change": "changed",
    "delete": "deleted",
    "restore": "restored",
    "import": "imported",
    "enable": "switched on",
    "disable": "switched off",
    "mute": "muted",
    "unmute": "unmuted",
    "end": "ended",
    "acknowledge": "acknowledged",
    "subscribe": "changed what comes to",
    "resend": "sent again what was given up of",
    "send now": "had sent at once what waited for",
    "drop": "dropped what waited for",
    "test": "tested",
    "password": "changed the password of",
    "role": "changed the role of",
    "revoke": "ended sessions of",
    "factor on": "turned on the second factor of",
    "factor off": "turned off the second factor of",
    "recovery codes": "made new recovery codes for",
    "sign in": "signed in as",
    "sign out": "signed out as",
    "recovered": "used a recovery code of",
    "withdraw": "withdrew",
    "accept": "made an account by",
    "rotate": "made a successor of",
    "lock": "slowed down",
    "take over": "took over from a market's file",
    "put in force": "put in force",
    "ask": "asked for",
    "cancel": "cancelled",
    "look": "looked at what is held back of",
}
_COLUMNS = (
    Column("When", "the moment of the change"),
    Column("Who", "the username; command line: whoever has the machine"),
    Column("What"),
    Column("From → to", "what differs"),
)
# What says most comes first.
_FIRST = (
    "expression", "matchers", "symbols", "note", "service", "severities", "rules", "severity",
    "titles", "role", "from_at",
)  # fmt: skip
_FILE = (
    "log", "id", "at", "by", "action", "subject", "subject_id", "name", "before", "after",
)  # fmt: skip


def draw_changes(_: Person) -> None:
    """A page of the log, the newest first."""
    require_user("admin")
    clock = reader_clock()
    with st.container(horizontal=True, vertical_alignment="center", key="changes_filters"):
        wanted = _ask(clock)
        _draw_download(wanted)
    of, trail = st.session_state.get(_BEHIND, (wanted, []))
    # Other entries are wanted than those that were gone through: the newest of them first.
    trail = trail if of == wanted else []
    found = load_changes(wanted, SHOWN + 1, trail[-1] if trail else None)
    if not found:
        _draw_nothing(filtered=wanted != Wanted())
    else:
        rows = [_row(one, clock) for one in found[:SHOWN]]
        draw_list(
            Listed("Changes", _COLUMNS, [Group("all", rows)], most=SHOWN), key="alerts_changes"
        )
        st.caption(
            f"Newest first. Times in {clock.label}. Changes of this market and of people; nobody can "
            "change or delete an entry."
        )
    _draw_steps(wanted, trail, found)


def _ask(clock: Clock) -> Wanted:
    subject = st.selectbox(
        "Of what",
        list(SUBJECTS),
        index=None,
        key="of",
        bind="query-params",
        placeholder="Of everything",
        label_visibility="collapsed",
        width=170,
    )
    by = st.selectbox(
        "By",
        load_authors(),
        index=None,
        key="by",
        bind="query-params",
        placeholder="By anyone",
        label_visibility="collapsed",
        width=170,
    )
    days = ask("since", "until")
    first, last = days.first, days.last
    return Wanted(
        SUBJECTS.get(subject or ""),
        by,
        None if first is None else midnight(first, clock),
        None if last is None else midnight(day_after(last), clock),
    )


def _draw_nothing(*, filtered: bool) -> None:
    with st.container(border=True, key="alerts_no_change", horizontal_alignment="center"):
        if filtered:
            st.markdown(":material/filter_alt_off: **No change passes these filters**")
            return
        st.markdown(":material/history_edu: **No change is written down yet**")
        st.markdown(
            "Who changed what, when, and from what to what will stand here: rules, silences, channels "
            "and messages, accounts, roles, passwords and sessions, versions in force and backtests, "
            "whether it was done on a page or on the command line. An entry can never be changed."
        )


def _draw_steps(wanted: Wanted, trail: list[Place], found: list[Entry]) -> None:
    with st.container(horizontal=True, gap="small"):
        if trail:
            st.button(
                "Newer", icon=":material/chevron_left:", key="changes_newer",
                on_click=_go, args=(wanted, trail[:-1]),
            )  # fmt: skip
        if len(found) > SHOWN:
            behind = (trail[-1] if trail else Place()).after(found[:SHOWN])
            st.button(
                "Older", icon=":material/chevron_right:", key="changes_older",
                on_click=_go, args=(wanted, [*trail, behind]),
            )  # fmt: skip


def _draw_download(wanted: Wanted) -> None:
    def make() -> str:
        return changes_csv(load_changes(wanted, MOST))

    st.download_button(
        "CSV", make, "cryptosatx-changes.csv", "text/csv", icon=":material/download:",
        on_click="ignore", key="changes_csv", help=f"The newest {MOST:,} at most.",
    )  # fmt: skip


def changes_csv(found: Iterable[Entry]) -> str:
    """Entries as a file; times are UTC."""
    return to_csv(_FILE, ({"log": one.log, **vars(one.change)} for one in found))


def _row(entry: Entry, clock: Clock) -> Row:
    one = entry.change
    lines = difference(one)
    what: list[Bit] = [
        VERBS.get(one.action, one.action),
        muted(one.subject),
        bit(one.name, "strong", f"number {one.subject_id}"),
    ]
    first: Cell = lines[0] if lines else [muted("–")]
    more = [muted(f"and {len(lines) - 1} more")] if len(lines) > 1 else []
    return Row(
        entry.key,
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


def _go(wanted: Wanted, trail: list[Place]) -> None:
    st.session_state[_BEHIND] = wanted, trail
