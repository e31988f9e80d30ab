"""What happened: events newest first, what was told of each and to whom, and how often rules fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from core.accounts import Person, may
from core.alerts.notices import SENT, possible_keys
from core.store import outbox
from core.store.alerts.past import MOST_EVENTS, Asked, Told
from core.store.alerts.states import StoredEvent
from core.ui import loaders
from core.ui.accuracy_opened import ROWS, draw_pages
from core.ui.alerts.files import to_csv
from core.ui.alerts.filters import Chosen, ask, asked_bar
from core.ui.alerts.listing import (
    Bit,
    Cell,
    Column,
    Group,
    Listed,
    Row,
    bit,
    draw_list,
    muted,
    symbol_link,
    together,
)
from core.ui.alerts.personal import load_told
from core.ui.alerts.words import (
    WORST_FIRST,
    kind_words,
    telling,
    told_words,
    value_words,
)
from core.ui.charts.firings import firings_figure
from core.ui.controls import reader_clock
from core.ui.draw import Ready, draw_figure
from core.ui.formats import Clock, count, duration
from core.ui.palette import palette

CHART_DAYS = 30
_STATES: Mapping[str, str] = {
    "waiting": "waits to be sent",
    "sent": "sent",
    "dead": "given up",
    "dropped": "dropped: the channel is gone, or somebody wanted that",
}
_COLUMNS = (
    Column("Bar closed", "the bar at which it happened"),
    Column("Rule", "its severity then, and its name now"),
    Column("Market", "as it was at that bar"),
    Column("What", "fired, ended, still fires, or held back by the rule"),
    Column("Why", "the parts of the expression at that bar"),
    Column("Told", "whether a message was made of it, or why not"),
)
_FILE = (
    "at", "rule_id", "rule", "version", "severity", "symbol", "kind", "reason", "told", "began_at",
    "fired_at", "recorded_at", "values",
)  # fmt: skip


def draw_history(person: Person) -> None:
    """The events that the filters leave, a page at a time."""
    names, clock = loaders.load_rule_names(), reader_clock()
    chosen = replace(ask("rule", "market", "severity", "kind", "since", "until"), at=asked_bar())
    asked = chosen.asked(clock)
    n = loaders.count_events(asked)
    with st.container(horizontal=True, vertical_alignment="center", key="alerts_history_head"):
        at = f" at the bar of {clock.stamp(chosen.at)}" if chosen.at else ""
        st.markdown(f"#### {count(n, 'event')}{at}")
        if n and not person.guest:
            _draw_download(asked, names)
    if not n:
        _draw_nothing(chosen)
        return
    if chosen.at is None:
        _draw_chart(chosen, clock)
    page = draw_pages(n, "events")
    events = loaders.load_events(asked, ROWS, (page - 1) * ROWS)
    told, now = load_told(events, person), datetime.now(UTC)
    rows = [_row(one, names, _told_of(one, told), clock, now) for one in events]
    draw_list(
        Listed("What happened", _COLUMNS, [Group("all", rows)], most=ROWS, pair=True),
        key="alerts_past",
    )
    whose = "all channels" if may(person, "admin") else "shared channels and your own"
    st.caption(
        f"Newest first. Times in {clock.label}. More shows the values, and messages to {whose}."
    )


def _draw_nothing(chosen: Chosen) -> None:
    with st.container(
        border=True, key="alerts_nothing", horizontal_alignment="center", gap="small"
    ):
        if chosen == Chosen():
            st.markdown(":material/history: **Nothing has happened yet**")
            st.markdown(
                "Everything that rules do is kept here: what fired, what ended, what was told."
            )
        else:
            st.markdown(":material/filter_alt_off: **Nothing that happened passes these filters**")


def _draw_chart(chosen: Chosen, clock: Clock) -> None:
    last = chosen.last or clock.local(datetime.now(UTC)).date()
    first = max(chosen.first or last - timedelta(days=CHART_DAYS - 1), last - timedelta(days=365))
    if (last - first).days < 1:
        return
    span = Chosen(chosen.rule_ids, chosen.symbol, chosen.severities, first=first, last=last)
    found = loaders.count_fired(span.asked(clock))
    if not found:
        return
    # Days before the first firing say nothing where nobody asked for them.
    begun = min(clock.local(found[0][0]).date(), last - timedelta(days=6))
    first = first if chosen.first else max(first, begun)
    table = days_of(found, clock, first=pd.Timestamp(first), last=pd.Timestamp(last))
    st.markdown(f"**Firings a day**, {count(len(table), 'day')} to {clock.day(found[-1][0])}")
    figure = firings_figure(table, WORST_FIRST, palette(), zone=clock.label)
    draw_figure(Ready.of(figure), key="firings")


def days_of(
    found: Sequence[tuple[datetime, str, int]],
    clock: Clock,
    *,
    first: pd.Timestamp,
    last: pd.Timestamp,
) -> pd.DataFrame:
    """Counts by day of the reader's zone, a column per severity, with days on which nothing was."""
    counted = pd.DataFrame(
        [(pd.Timestamp(clock.local(at).date()), severity, n) for at, severity, n in found],
        columns=["day", "severity", "n"],
    )
    table = counted.pivot_table("n", "day", "severity", "sum", fill_value=0, observed=False)
    days = pd.date_range(first, last, freq="D")
    return table.reindex(index=days, columns=list(WORST_FIRST), fill_value=0).astype(int)


def _row(
    one: StoredEvent,
    names: Mapping[int, str],
    told: Sequence[Told],
    clock: Clock,
    now: datetime,
) -> Row:
    name = names.get(one.rule_id, f"rule {one.rule_id}")
    unheard = not told and one.told in SENT and now - one.recorded_at < outbox.SENT_KEPT
    sent: list[Bit] = ["to be sent, but no channel wants it" if unheard else told_words(one.told)]
    dead = sum(each.state == "dead" for each in told)
    if dead:
        sent.append(bit(f"{count(dead, 'message')} given up", "pill"))
    return Row(
        str(one.id),
        (
            [bit(clock.stamp(one.at), "nowrap", f"written down {clock.second(one.recorded_at)}")],
            [bit(name, "", f"{one.severity}, version {one.version}", shape=one.severity)],
            [symbol_link(one.symbol, one.at)],
            [kind_words(one.kind, one.reason)],
            _values(one),
            sent,
        ),
        more=_more(one, told, clock),
    )


def _values(one: StoredEvent) -> list[Bit]:
    found: list[Bit] = []
    for part in telling(one.parts):
        hint = f"{part.get('title') or part['text']}, {part.get('unit') or 'no unit'}"
        found.append(
            together(bit(str(part["text"]), "code", hint), bit(value_words(part), "strong"))
        )
    return found or [muted("–", "The values were not known at that bar")]


def _more(one: StoredEvent, told: Sequence[Told], clock: Clock) -> list[Cell]:
    lines: list[Cell] = [[muted("severity"), one.severity, muted(f"version {one.version}")]]
    lines += [
        [
            bit(str(part["text"]), "code"),
            bit(value_words(part, 6), "strong"),
            muted(part.get("unit") or ""),
        ]
        for part in one.parts or ()
    ]
    if one.kind == "ended" and one.fired_at is not None:
        lines.append(
            [
                muted("had fired"),
                clock.stamp(one.fired_at),
                f"for {duration(one.at - one.fired_at)}",
            ]
        )
    for each in told:
        if each.channel is None:
            continue
        said = _STATES.get(each.state, each.state)
        at = f" {clock.stamp(each.sent_at)}" if each.sent_at else ""
        line: list[Bit] = [muted("message to"), bit(each.channel, "strong")]
        if each.owner is not None:
            line.append(muted(f"(of {each.owner})"))
        line.append(f"{said}{at}, {count(each.attempts, 'try', 'tries')}")
        if each.last_error:
            line.append(muted(each.last_error))
        lines.append(line)
    return lines


def _told_of(one: StoredEvent, told: Sequence[Told]) -> list[Told]:
    """The messages an event is part of: of its bar, or of its bar and market alone, made with it."""
    keys = possible_keys(str(one.rule_id), one.symbol, one.at, one.recorded_at)
    made = [each for each in told if each.made_at == one.recorded_at]
    return [each for each in made if each.key.rpartition("-")[0] in keys]


def _draw_download(asked: Asked, names: Mapping[int, str]) -> None:
    def make() -> str:
        return history_csv(loaders.load_events(asked, MOST_EVENTS), names)

    st.download_button(
        "CSV",
        make,
        "cryptosatx-alerts.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="alerts_csv",
        help=f"The newest {MOST_EVENTS:,} at most.",
    )


def history_csv(events: Sequence[StoredEvent], names: Mapping[int, str]) -> str:
    """Events as a file; times are UTC."""
    return to_csv(
        _FILE,
        (
            {
                **vars(one),
                "rule": names.get(one.rule_id, ""),
                "values": {part["text"]: part["value"] for part in one.parts or ()},
            }
            for one in events
        ),
    )
