"""What the reader of the Alerts page narrows: all of it in the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import streamlit as st

from core.alerts.engine import KINDS as EVENT_KINDS
from core.store.alerts.past import Asked
from core.ui import loaders
from core.ui.alerts.words import KINDS, WORST_FIRST
from core.ui.formats import Clock
from core.ui.opened import parse_time

# Keys in the address are those of no other page: one that two pages bind would be taken along.
NOTED: Mapping[str, bool | None] = {"All": None, "Open": False, "Acknowledged": True}
_SHARED_USUAL: Mapping[str, object] = {"rule": None, "market": None, "severity": []}
_USUAL: Mapping[str, object] = {
    **_SHARED_USUAL,
    "noted": "All", "kind": [], "since": None, "until": None,
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


def ask_now(symbols: Sequence[str]) -> Chosen:
    """Draw the filters of what fires now."""
    with st.container(horizontal=True, vertical_alignment="center", key="filters"):
        rule, symbol, severities = _ask_shared(symbols)
        noted = st.segmented_control(
            "Acknowledged",
            list(NOTED),
            default="All",
            required=True,
            key="noted",
            bind="query-params",
            label_visibility="collapsed",
        )
        _draw_reset()
    return Chosen(rule, symbol, severities, NOTED.get(noted or "All"))


def ask_history(symbols: Sequence[str]) -> Chosen:
    """Draw the filters of what happened."""
    with st.container(horizontal=True, vertical_alignment="center", key="filters"):
        rule, symbol, severities = _ask_shared(symbols)
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
        first, last = ask_day("From", "since"), ask_day("To", "until")
        _draw_reset()
    at = parse_time(st.query_params.get("at"))
    return Chosen(rule, symbol, severities, None, tuple(kinds), first, last, at)


def clear() -> None:
    """Choose nothing; for a button's callback."""
    for key, usual in _USUAL.items():
        st.session_state[key] = usual
    st.query_params.pop("at", None)


def _ask_shared(
    symbols: Sequence[str],
) -> tuple[tuple[int, ...] | None, str | None, tuple[str, ...]]:
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
        symbols,
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


def ask_day(label: str, key: str, on_change: Callable[[], None] | None = None) -> date | None:
    """A day of the reader's zone, or none; days are shared by the views that ask for some."""
    found = st.date_input(
        label,
        value=None,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
        format="YYYY-MM-DD",
        width=130,
        on_change=on_change,
    )
    return found if isinstance(found, date) else None


def _draw_reset() -> None:
    chosen = any(
        st.session_state.get(key, usual) not in (usual, None, [], "All")
        for key, usual in _USUAL.items()
    )
    if chosen or "at" in st.query_params:
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
