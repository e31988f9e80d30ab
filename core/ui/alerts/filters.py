"""What the reader of the Alerts page narrows: all of it in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

import streamlit as st

from core.alerts.engine import KINDS as EVENT_KINDS
from core.store.alerts.past import Asked
from core.ui import loaders
from core.ui.alerts.words import KINDS, WORST_FIRST
from core.ui.controls import chosen_mode
from core.ui.formats import Clock
from core.ui.opened import parse_time
from core.ui.viewport import is_narrow

# Keys in the address are those of no other page: one that two pages bind would be taken along.
NOTED: Mapping[str, bool | None] = {"All": None, "Open": False, "Acknowledged": True}
_USUAL: Mapping[str, object] = {
    "rule": None, "market": None, "severity": [],
    "noted": "All", "kind": [], "since": None, "until": None,
}  # fmt: skip

# What each is called where it is chosen.
_FIELDS: Mapping[str, str] = {
    "rule": "rule_ids", "market": "symbol", "severity": "severities",
    "noted": "noted", "kind": "kinds", "since": "first", "until": "last",
}  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """What is wanted; None and empty mean all. ``at`` is the one bar a message led to."""

    rule_ids: tuple[int, ...] | None = None
    symbol: str | None = None
    severities: tuple[str, ...] = ()
    noted: bool | None = None
    kinds: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    at: datetime | None = None

    def fits(self, rule_id: int, symbol: str, severity: str, *, noted: bool) -> bool:
        """Whether something that fires now is wanted."""
        return (
            (self.rule_ids is None or rule_id in self.rule_ids)
            and self.symbol in (None, symbol)
            and (not self.severities or severity in self.severities)
            and self.noted in (None, noted)
        )

    def asked(self, clock: Clock) -> Asked:
        """The events that are wanted; days are those of the reader's zone."""
        start, end = self.at, self.at
        if self.at is None:
            start = None if self.first is None else midnight(self.first, clock)
            end = None if self.last is None else midnight(day_after(self.last), clock)
            end = end and end - timedelta(microseconds=1)
        return Asked(self.rule_ids, self.symbol, self.severities, self.kinds, start, end)


def follow_message() -> None:
    """A message links to ``?rule=7&at=2025-06-02T12:00Z``: what happened then, by the rule's number."""
    asked, names = st.query_params.get("rule", ""), loaders.load_rule_names()
    if asked not in names.values() and asked.isdecimal() and int(asked[:9]) in names:
        st.session_state["rule"] = names[int(asked[:9])]
    if "at" in st.query_params and "view" not in {*st.query_params, *st.session_state}:
        st.session_state["view"] = "History"


def ask(*shown: str) -> Chosen:
    """Draw the filters of which ``shown`` are of use in this view; the others are taken for unused.

    Those are drawn too, out of sight: what the address holds belongs to fields that are drawn. Whoever
    goes on to the next view before a view without them has come would find them empty, over lists that
    are filtered.
    """
    hidden = ["filters"] if not shown else [key for key in _USUAL if key not in shown]
    st.html(f"<style>{', '.join(f'.st-key-{key}' for key in hidden)} {{ display: none; }}</style>")
    with _place(*shown):
        rule, symbol, severities = _ask_shared()
        noted = st.segmented_control(
            "Acknowledged",
            list(NOTED),
            default="All",
            required=True,
            key="noted",
            bind="query-params",
            label_visibility="collapsed",
        )
        kinds = st.multiselect(
            "What",
            list(EVENT_KINDS),
            format_func=KINDS.__getitem__,
            key="kind",
            bind="query-params",
            label_visibility="collapsed",
            placeholder="All that happens",
            width=170,
        )
        first, last = _ask_day("From", "since"), _ask_day("To", "until")
        _draw_reset(shown)
    every = Chosen(rule, symbol, severities, NOTED.get(noted or "All"), tuple(kinds), first, last)
    unused = {field: getattr(Chosen(), field) for key, field in _FIELDS.items() if key not in shown}
    return replace(every, **unused)


def asked_bar() -> datetime | None:
    """The one bar that a message led to."""
    return parse_time(st.query_params.get("at"))


def clear() -> None:
    """Choose nothing; for a button's callback."""
    for key, usual in _USUAL.items():
        st.session_state[key] = usual
    st.query_params.pop("at", None)


def _place(*keys: str) -> st.delta_generator.DeltaGenerator:
    """Where filters stand: in a line, or on a phone folded away behind a button that counts those in
    use."""
    place = st.container(horizontal=True, vertical_alignment="center", key="filters")
    if not is_narrow():
        return place
    used = sum(_is_used(key) for key in keys)
    label = f"Filters, {used} in use" if used else "Filters"
    return place.popover(label, icon=":material/filter_list:", key="alerts_filters")


def _is_used(key: str) -> bool:
    # Before it was first drawn, a filter's value is in the address alone.
    return st.session_state.get(key, st.query_params.get(key)) not in (_USUAL[key], None, [], "All")


def _ask_shared() -> tuple[tuple[int, ...] | None, str | None, tuple[str, ...]]:
    names = loaders.load_rule_names()
    rule = st.selectbox(
        "Rule",
        sorted(set(names.values())),
        index=None,
        key="rule",
        bind="query-params",
        placeholder="All rules",
        label_visibility="collapsed",
        width=180,
    )
    symbol = st.selectbox(
        "Market",
        sorted(
            {
                *loaders.load_symbols(chosen_mode()),
                *(one.symbol for one in loaders.load_standings()),
            }
        ),
        index=None,
        key="market",
        bind="query-params",
        placeholder="All markets",
        label_visibility="collapsed",
        width=150,
    )
    severities = st.multiselect(
        "Severity",
        WORST_FIRST,
        key="severity",
        bind="query-params",
        placeholder="All severities",
        label_visibility="collapsed",
        width=170,
    )
    ids = None if rule is None else tuple(id_ for id_, name in names.items() if name == rule)
    return ids, symbol, tuple(severities)


def _ask_day(label: str, key: str) -> date | None:
    """A day of the reader's zone, or none."""
    found = st.date_input(
        label,
        value=None,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
        format="YYYY-MM-DD",
        width=130,
    )
    return found if isinstance(found, date) else None


def _draw_reset(shown: Sequence[str]) -> None:
    used = any(_is_used(key) for key in shown) or ("kind" in shown and "at" in st.query_params)
    if used and "rule" in shown:
        st.button(
            "Show everything",
            icon=":material/filter_alt_off:",
            type="tertiary",
            key="reset",
            on_click=clear,
        )


def day_after(day: date) -> date:
    return day + timedelta(days=1)


def midnight(day: date, clock: Clock) -> datetime:
    """When a day of the reader's zone begins, UTC."""
    return datetime.combine(day, time(), clock.zone).astimezone(UTC)
