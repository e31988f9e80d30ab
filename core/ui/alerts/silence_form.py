"""Writing a silence: what it matches, for how long and why, and what it would have kept back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import streamlit as st

from core.accounts import Person
from core.alerts.definition import SEVERITIES
from core.alerts.notices import SENT
from core.alerts.silences import (
    FIELDS,
    Silence,
    Subject,
    join_values,
    parse_silence,
    would_suppress,
)
from core.errors import CryptoSatXError, RuleError
from core.store.alerts.past import MOST_EVENTS, Asked
from core.store.alerts.states import StoredEvent
from core.store.alerts.watching import FIRES
from core.ui import loaders
from core.ui.alerts import actions
from core.ui.alerts.actions import Draft
from core.ui.alerts.listing import (
    Column,
    Group,
    Listed,
    Row,
    bit,
    draw_list,
    muted,
    symbol_link,
)
from core.ui.alerts.words import KINDS, plain
from core.ui.controls import reader_clock
from core.ui.formats import Clock, count, number
from core.ui.session import renewed

PREVIEW = timedelta(days=7)
MOST_ROWS = 6
# How many events are listed, and of those how many before the reader asks for the rest.
LISTED, LISTED_AT_FIRST = 20, 6
_ROWS, _SAID, _USED = "silence_rows", "_silence_said", "_silence_used"
OPERATORS: Mapping[str, str] = {
    "=": "is",
    "!=": "is not",
    "=~": "matches",
    "!~": "does not match",
}
_HINTS: Mapping[str, str] = {
    "rule": "Crowded longs",
    "symbol": "BTCUSDT, ETHUSDT; with matches: BTC*",
    "severity": ", ".join(SEVERITIES),
}
_KEPT_BACK = (
    Column("Rule", "its severity then, and its name now"),
    Column("Market", "as it was at that bar"),
    Column("Bar closed", "and what was told of it"),
)
_OTHER = "Another end"
LENGTHS: Mapping[str, timedelta] = {
    "1 h": timedelta(hours=1),
    "4 h": timedelta(hours=4),
    "3 days": timedelta(days=3),
}
_TOMORROW = "Until tomorrow 08:00"


@dataclass(frozen=True)
class Past:
    """An event that was told, as silences look at it; ``at`` is its bar."""

    rule: str
    symbol: str
    severity: str
    kind: str
    at: datetime


@dataclass(frozen=True)
class Effect:
    """What a silence would have done: the events kept back, the newest first, of how many, and what of
    what fires now it silences. ``whole`` is False where older ones of the time were not looked at."""

    kept_back: Sequence[Past]
    of: int
    fires: Sequence[Subject]
    whole: bool = True


def begin_silence(rule: str, symbol: str) -> None:
    """Fill the form in for one rule and market; for a callback."""
    _forget()
    for at, (field, text) in enumerate((("rule", rule), ("symbol", symbol))):
        operator, value = matcher_for(text)
        st.session_state[f"silence_field_{at}"] = field
        st.session_state[f"silence_operator_{at}"] = operator
        st.session_state[f"silence_values_{at}"] = value
    st.session_state[_ROWS] = 2


def matcher_for(text: str) -> tuple[str, str]:
    """The operator and the value that match this text: a comma alone would divide it.

    >>> matcher_for("Hot"), matcher_for("Hot, now [1]")
    (('=', 'Hot'), ('=', '"Hot, now [1]"'))
    """
    return "=", join_values([text])


def draw_form(person: Person) -> None:
    """The form; it stands still while the rest of the page goes on."""

    def draw() -> None:
        _draw(person)

    renewed()(draw)()


def _draw(person: Person) -> None:
    if st.session_state.pop(_USED, False):
        _forget()
    clock, now = reader_clock(), datetime.now(UTC)
    with st.container(border=True, key="silence_form"):
        st.markdown("**New silence**  \nNothing is sent of what all of these match.")
        matchers = _ask_matchers()
        starts_at, ends_at = _ask_times(clock, now)
        reason = st.text_input(
            "Reason", key="silence_reason", max_chars=500, placeholder="Why, for those who wonder"
        )
        draft = Draft(matchers, reason or "", starts_at, ends_at)
        fault = _draw_effect(draft, person)
        pressed = st.button(
            "Silence",
            type="primary",
            icon=":material/notifications_off:",
            key="silence_make",
            disabled=person.guest or fault,
            help="A guest looks around and changes nothing." if person.guest else None,
        )
    if pressed:
        _make(draft)
    elif said := st.session_state.pop(_SAID, ""):
        st.toast(said, icon=":material/notifications_off:")


def _ask_matchers() -> tuple[str, ...]:
    rows = int(st.session_state.setdefault(_ROWS, 1))
    found = []
    for at in range(rows):
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            field = st.selectbox(
                f"Field {at + 1}", FIELDS, key=f"silence_field_{at}", width=120,
                index=min(at, len(FIELDS) - 1), label_visibility="collapsed",
            )  # fmt: skip
            operator = st.selectbox(
                f"Comparison {at + 1}", list(OPERATORS), key=f"silence_operator_{at}", width=150,
                format_func=OPERATORS.__getitem__, label_visibility="collapsed",
            )  # fmt: skip
            values = st.text_input(
                f"Values {at + 1}", key=f"silence_values_{at}", placeholder=_HINTS[field],
                label_visibility="collapsed", max_chars=1000, width=340,
            )  # fmt: skip
        if (values or "").strip(" ,"):
            found.append(f"{field} {operator} {values}")
    with st.container(horizontal=True, gap="small"):
        st.button(
            "And", icon=":material/add:", type="tertiary", key="silence_more",
            disabled=rows >= MOST_ROWS, on_click=_set_rows, args=(rows + 1,),
        )  # fmt: skip
        if rows > 1:
            st.button(
                "Without the last", icon=":material/remove:", type="tertiary", key="silence_less",
                on_click=_set_rows, args=(rows - 1,),
            )  # fmt: skip
    return tuple(found)


def _ask_times(clock: Clock, now: datetime) -> tuple[datetime, datetime]:
    length = st.segmented_control(
        "For how long",
        [*LENGTHS, _TOMORROW, _OTHER],
        default="1 h",
        required=True,
        key="silence_length",
        wrap=True,
    )
    later = st.toggle("It begins later", key="silence_later")
    starts_at = now
    with st.container(horizontal=True, gap="small"):
        if later:
            starts_at = _ask_moment("Begins", "silence_starts", clock, now + timedelta(hours=1))
        if length == _OTHER:
            ends_at = _ask_moment("Ends", "silence_ends", clock, now + timedelta(hours=24))
        elif length == _TOMORROW:
            ends_at = tomorrow_at_eight(starts_at, clock)
        else:
            ends_at = starts_at + LENGTHS.get(length or "1 h", LENGTHS["1 h"])
    begins = f"From {clock.stamp(starts_at)} until" if later else "Until"
    st.caption(f"{begins} {clock.stamp(ends_at)} ({clock.label})")
    return starts_at, ends_at


def tomorrow_at_eight(now: datetime, clock: Clock) -> datetime:
    """Eight in the morning of the reader's next day, UTC.

    >>> tomorrow_at_eight(datetime(2025, 6, 2, 23, tzinfo=UTC), Clock.named("Europe/Berlin")).isoformat()
    '2025-06-04T06:00:00+00:00'
    """
    day = clock.local(now).date() + timedelta(days=1)
    return datetime.combine(day, time(8), clock.zone).astimezone(UTC)


def _ask_moment(label: str, key: str, clock: Clock, usual: datetime) -> datetime:
    local = clock.local(usual).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    found = st.datetime_input(label, value=local, key=key, step=timedelta(minutes=15), width=240)
    return (found or local).replace(tzinfo=clock.zone).astimezone(UTC)


def _draw_effect(draft: Draft, person: Person) -> bool:
    """Say what the draft would have done; whether it cannot be used as it is."""
    if not draft.matchers:
        st.caption("Write what it is to match; what it would have kept back is told here.")
        return True
    try:
        asked = Draft(draft.matchers, draft.reason or "-", draft.starts_at, draft.ends_at)
        silence = parse_silence(actions.body_of(asked, person.username))
    except RuleError as error:
        st.caption(f":material/error: {plain(error)}")
        return True
    effect = effect_of(silence)
    st.markdown(effect_words(effect), width="content")
    _draw_kept_back(effect, reader_clock())
    if not draft.reason.strip():
        st.caption("It needs a reason.")
        return True
    return False


def effect_of(silence: Silence) -> Effect:
    """What it would have done in the last seven days, and does to what fires now."""
    names, now = loaders.load_rule_names(), datetime.now(UTC)
    since = now.replace(minute=0, second=0, microsecond=0) - PREVIEW
    events = loaders.load_events(Asked(kinds=SENT, start=since), MOST_EVENTS)
    firing = [
        Subject(one.rule, one.symbol, one.severity)
        for one in loaders.load_standings()
        if one.phase in FIRES
    ]
    past = _past(events, names.__getitem__)
    kept, fires = would_suppress(silence, past), would_suppress(silence, firing)
    return Effect(kept, len(past), fires, whole=len(events) < MOST_EVENTS)


def _past(events: Iterable[StoredEvent], name_of: Callable[[int], str]) -> list[Past]:
    return [
        Past(name_of(one.rule_id), one.symbol, one.severity, one.kind, one.at)
        for one in events
        if one.told in SENT
    ]


def effect_words(effect: Effect) -> str:
    """The effect in Markdown."""
    if not effect.of:
        said = "Nothing was told in the last 7 days that it could have kept back."
    else:
        newest = "" if effect.whole else "the newest "
        said = (
            f"In the last 7 days it would have kept back **{number(len(effect.kept_back))} of "
            f"{newest}{number(effect.of)}** events that were told"
        )
        by_rule = Counter(one.rule for one in effect.kept_back)
        most = sorted(by_rule.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{plain(rule)} {number(n)}" for rule, n in most[:5])
        more = f" and {count(len(most) - 5, 'more rule')}" if len(most) > 5 else ""
        said += f": {named}{more}." if named else "."
    if not effect.fires:
        return f"{said} Nothing that fires now is matched."
    shown = ", ".join(plain(f"{one.rule} on {one.symbol}") for one in effect.fires[:5])
    more = f" and {len(effect.fires) - 5} more" if len(effect.fires) > 5 else ""
    return f"{said} Of what fires now it silences {shown}{more}."


def _draw_kept_back(effect: Effect, clock: Clock) -> None:
    """The newest events that it would have kept back, and how many more there are."""
    if not effect.kept_back:
        return
    draw_list(kept_back_list(effect.kept_back, clock), key="alerts_kept_back")
    more = len(effect.kept_back) - LISTED
    if more > 0:
        st.caption(f"The newest {LISTED}, and {number(more)} more before them.")


def kept_back_list(kept: Sequence[Past], clock: Clock) -> Listed:
    """Rule, market and bar of the newest, and what was told of it."""
    rows = [
        Row(
            str(at),
            (
                [bit(one.rule, "", one.severity, shape=one.severity)],
                [symbol_link(one.symbol, one.at)],
                [bit(clock.stamp(one.at), "nowrap"), muted(KINDS.get(one.kind, one.kind))],
            ),
        )
        for at, one in enumerate(kept[:LISTED])
    ]
    caption = "What it would have kept back"
    return Listed(caption, _KEPT_BACK, [Group("all", rows)], most=LISTED_AT_FIRST, pair=True)


def _make(draft: Draft) -> None:
    try:
        actions.silence(draft)
    except CryptoSatXError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.session_state[_USED], st.session_state[_SAID] = True, "Silenced."
    st.rerun()


def _set_rows(rows: int) -> None:
    st.session_state[_ROWS] = rows


def _forget() -> None:
    """Before the fields are drawn: as they were at first.

    They are set, because of a field that is only forgotten the browser tells what stands in it.
    """
    for key in [key for key in st.session_state if str(key).startswith("silence_")]:
        del st.session_state[key]
    first = {"field_0": FIELDS[0], "operator_0": "=", "values_0": "", "reason": ""}
    for name, value in {**first, "length": "1 h", "later": False}.items():
        st.session_state[f"silence_{name}"] = value
