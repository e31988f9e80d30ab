"""What fires now: which rule on which market, since when, why, and who knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from core.accounts import Person
from core.alerts.silences import Silence, Subject, silenced_by
from core.errors import CryptoSatXError
from core.instance import instance
from core.store.alerts.noting import LONGEST_NOTE
from core.store.alerts.watching import FIRES, RuleHealth, Standing
from core.ui import loaders
from core.ui.alerts import actions
from core.ui.alerts.filters import Chosen, ask
from core.ui.alerts.judging import late_words, troubles
from core.ui.alerts.listing import (
    Action,
    Bit,
    Cell,
    Column,
    Group,
    Listed,
    Row,
    ago,
    bit,
    draw_list,
    muted,
    symbol_link,
    together,
)
from core.ui.alerts.silence_form import begin_silence
from core.ui.alerts.ways import draw_all_calm, draw_ended, draw_no_rules, is_view_wanted, show_view
from core.ui.alerts.words import (
    WORST_FIRST,
    health_words,
    phase_words,
    plain,
    telling,
    value_words,
)
from core.ui.controls import reader_clock
from core.ui.formats import Clock, count
from core.ui.palette import palette
from core.ui.session import renewed
from core.ui.viewport import is_narrow
from core.ui.watched import watch, watched

_KEY, _ROUND, _SAID = "alerts_now", "_alerts_round", "_alerts_said"
_COLUMNS = (
    Column("Market", "as it was when it fired"),
    Column("State", "pending, firing, or recovering before it ends"),
    Column("Since", "when it fired; pending: since when the condition holds"),
    Column("Why", "the parts of the expression: when it fired → now"),
    Column("Known", "who acknowledged it, and what silences it"),
)
_ACTIONS = {"silence": Action("Silence", "Have nothing told of this for a while")}


def draw_now(person: Person) -> None:
    """Everything that is pending, fires or recovers, renewed by itself."""
    if instance().market.kind != "live":
        draw_ended(person)
        return
    if not loaders.load_rule_health():
        draw_no_rules(person)
        return
    chosen = ask("rule", "market", "severity", "noted")

    def draw() -> None:
        with watch("alerts"):
            _draw_live(person, chosen)

    renewed()(draw)()


@watched("alerts")
def _alerts(now: datetime) -> object:
    """What `_draw_live` draws from; ages are told in minutes."""
    known = (loaders.load_watch(), loaders.load_standings(), loaders.load_rule_health())
    return (*known, loaders.load_silences(), now.replace(second=0, microsecond=0))


def _draw_live(person: Person, chosen: Chosen) -> None:
    if is_view_wanted():
        st.rerun()
    now, clock = datetime.now(UTC), reader_clock()
    every = loaders.load_standings()
    shown = [
        one
        for one in every
        if chosen.fits(one.rule_id, one.symbol, one.severity, noted=one.acknowledgement is not None)
    ]
    health, narrow = loaders.load_rule_health(), is_narrow()
    st.markdown(f"**{headline(shown)}**" if narrow else f"#### {headline(shown)}")
    _draw_late(now)
    _draw_troubles(health, clock, folded=narrow and bool(shown))
    if not shown:
        draw_all_calm(filtered=bool(every))
        return
    # On a phone what fires comes first; the bar is then below it, and in sight once it is needed.
    bar = None if narrow else st.container(key="alerts_acknowledge")
    ticked = draw_list(
        listed(shown, health, _silences(), clock, now, writes=not person.guest),
        key=_KEY,
        on_act=lambda _, key: _begin_silence(shown, key),
    )
    with bar or _place_below(stays=bool(ticked)):
        _draw_acknowledge(ticked, guest=person.guest, narrow=narrow)
    st.caption(
        f"Times in {clock.label}. Values: when it fired → at the newest bar. More shows every part of "
        "the expression."
    )


def headline(shown: Sequence[Standing]) -> str:
    """How much fires, in a sentence."""
    fires = [one for one in shown if one.phase in FIRES]
    pending = len(shown) - len(fires)
    if not fires:
        waits = f", {count(pending, 'market')} pending" if pending else ""
        return f"Nothing fires{waits}."
    counted = [
        f"{sum(one.severity == severity for one in fires)} {severity}"
        for severity in WORST_FIRST
        if any(one.severity == severity for one in fires)
    ]
    noted = sum(one.acknowledgement is not None for one in fires)
    rest = [f"{noted} acknowledged"] if noted else []
    rest += [f"{pending} pending"] if pending else []
    said = " and ".join([", ".join(counted[:-1]), counted[-1]] if len(counted) > 1 else counted)
    what = "alert fires" if len(fires) == 1 else "alerts fire"
    return f"{said} {what}{'; ' if rest else ''}{', '.join(rest)}."


def listed(
    shown: Sequence[Standing],
    health: Sequence[RuleHealth],
    silences: Sequence[Silence],
    clock: Clock,
    now: datetime,
    *,
    writes: bool,
) -> Listed:
    """The rows by rule, the worst rule first; what fires before what waits."""
    by_rule: dict[int, list[Standing]] = {}
    for one in shown:
        by_rule.setdefault(one.rule_id, []).append(one)
    judged = {one.rule_id: one for one in health}
    order = sorted(by_rule.values(), key=lambda each: _rank(each))
    groups = [
        _group(
            sorted(each, key=lambda one: (one.phase not in FIRES, one.symbol)),
            judged.get(each[0].rule_id), silences, clock, now, writes=writes,
        )
        for each in order
    ]  # fmt: skip
    return Listed(
        "What fires now, by rule",
        _COLUMNS,
        groups,
        _ACTIONS if writes else {},
        round=int(st.session_state.get(_ROUND, 0)),
        pair=True,
    )


def _rank(each: Sequence[Standing]) -> tuple[bool, int, str]:
    quiet = all(one.phase not in FIRES for one in each)
    return quiet, WORST_FIRST.index(each[0].severity), each[0].rule.lower()


def _group(
    each: Sequence[Standing],
    judged: RuleHealth | None,
    silences: Sequence[Silence],
    clock: Clock,
    now: datetime,
    *,
    writes: bool,
) -> Group:
    first = each[0]
    fires = sum(one.phase in FIRES for one in each)
    said = [count(fires, "market")] if fires else []
    said += [f"{len(each) - fires} pending"] if fires < len(each) else []
    head: list[Bit] = [
        bit(first.severity, "", shape=first.severity),
        bit(first.rule, "strong", first.definition.description),
        muted(", ".join(said)),
        bit(first.definition.expression, "code"),
    ]
    if first.definition.muted:
        head.append(bit("muted", "pill", "It is judged and shown, and nothing is sent"))
    if judged and judged.unknown and judged.health == "ok":
        head.append(bit(f"no data on {judged.unknown} of {judged.symbols}", "unknown"))
    bar = judged.judged_bar if judged else None
    rows = [_row(one, bar, silences, clock, now, writes=writes) for one in each]
    return Group(str(first.rule_id), rows, head)


def _row(
    one: Standing,
    bar: datetime | None,
    silences: Sequence[Silence],
    clock: Clock,
    now: datetime,
    *,
    writes: bool,
) -> Row:
    fires = one.phase in FIRES
    state: list[Bit] = [phase_words(one, bar)]
    if words := health_words(one.health, one.unknown_since, clock):
        state.append(bit(words, "unknown"))
    since = one.fired_at if fires else one.began_at
    silence = silenced_by(silences, Subject(one.rule, one.symbol, one.severity), now)
    return Row(
        f"{one.rule_id}.{one.symbol}",
        (
            [symbol_link(one.symbol, since)],
            state,
            [ago(since, now, clock)],
            why_cell(one),
            _known(one, silence, clock),
        ),
        tick=f"{one.rule} on {one.symbol}" if writes and fires and not one.acknowledgement else "",
        acts=("silence",) if writes else (),
        more=_more(one, silence, clock),
    )


def why_cell(one: Standing) -> list[Bit]:
    """The telling parts with their values then and now."""
    now = {part["text"]: part for part in one.parts or ()}
    found: list[Bit] = []
    for part in telling(one.fired_parts or one.parts):
        hint = f"{part.get('title') or part['text']}, {part.get('unit') or 'no unit'}"
        then = [bit(f"{value_words(part)} →", "then", "when it fired")] if one.fired_parts else []
        value = bit(value_words(now.get(part["text"])), "strong", "at the newest bar")
        found.append(together(bit(str(part["text"]), "code", hint), *then, value))
    return found or [muted("–", "The values are known from the first judged bar on")]


def _known(one: Standing, silence: Silence | None, clock: Clock) -> list[Bit]:
    found: list[Bit] = []
    if noted := one.acknowledgement:
        found.append(bit(f"acknowledged by {noted.by}", "", clock.stamp(noted.acknowledged_at)))
        if noted.note:
            found.append(muted(f"“{noted.note}”"))
    if silence is not None:
        until = clock.stamp(silence.ends_at)
        found.append(bit(f"silenced until {until}", "pill", f"{silence.author}: {silence.reason}"))
    return found


def _more(one: Standing, silence: Silence | None, clock: Clock) -> list[Cell]:
    now = {part["text"]: part for part in one.parts or ()}
    lines: list[Cell] = []
    for part in one.fired_parts or one.parts or ():
        unit = part.get("unit") or ""
        lines.append(
            [
                bit(str(part["text"]), "code", str(part.get("title") or "")),
                bit(f"{value_words(part, 6)} →" if one.fired_parts else "", "then"),
                bit(value_words(now.get(part["text"]), 6), "strong"),
                muted(unit),
            ]
        )
    if one.fired_at is not None:
        lines.append([muted("fired"), f"{clock.stamp(one.fired_at)} {clock.label}"])
    if one.phase in FIRES:
        told = "nobody yet" if one.told_at is None else clock.stamp(one.told_at)
        lines.append([muted("last told"), told])
    if noted := one.acknowledgement:
        said = f" “{noted.note}”" if noted.note else ""
        at = clock.stamp(noted.acknowledged_at)
        lines.append([muted("acknowledged"), f"{noted.by}, {at}{said}"])
    if silence is not None:
        matchers = " and ".join(str(each) for each in silence.matchers)
        lines.append(
            [muted("silence"), bit(matchers, "code"), f"by {silence.author}: {silence.reason}"]
        )
    return lines


def _place_below(*, stays: bool) -> st.delta_generator.DeltaGenerator:
    """Below the list; ``stays`` at the bottom of the screen however far the list goes on."""
    if stays:
        st.html(
            "<style>:has(> .st-key-alerts_acknowledge_ticked) { position: sticky; bottom: 0; z-index: 1; "
            f"padding: 0.5rem 0; background: {palette().ground}; }}</style>"
        )
    return st.container(key="alerts_acknowledge_ticked" if stays else "alerts_acknowledge_below")


def _draw_acknowledge(ticked: Sequence[str], *, guest: bool, narrow: bool) -> None:
    if guest:
        st.caption("A guest looks; to acknowledge and silence takes an account.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        note = st.text_input(
            "Note",
            key="alerts_note",
            max_chars=LONGEST_NOTE,
            placeholder="Note, if there is something to say",
            label_visibility="collapsed",
            width="stretch" if narrow else 320,
        )
        pressed = st.button(
            f"Acknowledge {len(ticked)}" if ticked else "Acknowledge",
            icon=":material/done_all:",
            disabled=not ticked,
            key="alerts_take_note",
            help="Reminders stop from the next bar on; its end is still told. It cannot be undone: who "
            "took note stays in the log.",
        )
    if pressed:
        _acknowledge(ticked, note or "")
    elif said := st.session_state.pop(_SAID, ""):
        st.toast(said, icon=":material/done_all:")


def _acknowledge(ticked: Sequence[str], note: str) -> None:
    places = [(int(rule), symbol) for rule, _, symbol in (key.partition(".") for key in ticked)]
    try:
        noted = actions.take_note(places, note)
    except CryptoSatXError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.session_state[_ROUND] = int(st.session_state.get(_ROUND, 0)) + 1
    st.session_state[_SAID] = f"{count(noted, 'alert')} acknowledged."
    st.rerun(scope="fragment")


def _begin_silence(shown: Sequence[Standing], key: str) -> None:
    one = next((each for each in shown if f"{each.rule_id}.{each.symbol}" == key), None)
    if one is not None:
        begin_silence(one.rule, one.symbol)
        show_view("Silences")


def _silences() -> list[Silence]:
    return [one.silence for one in loaders.load_silences()]


def _draw_late(now: datetime) -> None:
    late = late_words(loaders.load_watch(), now)
    if late:
        st.markdown(
            f":material/notification_important: **{late[0].upper()}{late[1:]}**: what is below is as it "
            "was then, and nothing new fires until a worker judges again. System says why."
        )


def _draw_troubles(health: Sequence[RuleHealth], clock: Clock, *, folded: bool) -> None:
    """Rules that could not be judged, or see nothing; ``folded`` only how many, to be opened."""
    found = troubles(health)
    if not found:
        return
    said = f"{count(len(found), 'rule')} cannot be judged or {_sees(len(found))} nothing"
    with st.expander(said, icon=":material/help:") if folded else st.container():
        _draw_each_trouble(found, clock)


def _draw_each_trouble(found: Sequence[tuple[RuleHealth, str]], clock: Clock) -> None:
    for one, said in found[:5]:
        word = "cannot be judged" if one.health == "error" else "sees nothing"
        st.markdown(
            f":material/help: **{plain(one.rule)}** {word}, last at the bar of "
            f"{clock.stamp(one.judged_bar)}. {plain(said)} It neither fires nor ends meanwhile."
        )


def _sees(rules: int) -> str:
    return "sees" if rules == 1 else "see"
