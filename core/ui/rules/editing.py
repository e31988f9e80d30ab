"""A rule that is open: written, tried, compared, saved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import streamlit as st

from core.alerts.advice import Check
from core.alerts.definition import to_body
from core.alerts.saving import saving_faults
from core.errors import CryptoSatXError
from core.signals import PROFILE_NAMES
from core.store.alerts.rules import StoredRule
from core.ui import loaders
from core.ui.controls import chosen_mode, reader_clock
from core.ui.rules import actions
from core.ui.rules.code import draw_code, hours_words
from core.ui.rules.drafts import (
    Draft,
    definition_of,
    drop,
    open_draft,
    renew,
)
from core.ui.rules.fields import (
    draw_description,
    draw_name,
    draw_switches,
    draw_times,
    recall,
)
from core.ui.rules.listing import draw_menu, say_market_ended
from core.ui.rules.message import draw_message
from core.ui.rules.newest import draw_newest
from core.ui.rules.opened import (
    MESSAGE,
    NOW,
    PAST,
    TIMES,
    VERSIONS,
    choose_view,
    open_rule,
)
from core.ui.rules.reference import draw_reference
from core.ui.rules.templates import TEMPLATES
from core.ui.rules.trial import draw_trial
from core.ui.rules.versions import draw_versions
from core.ui.rules.wording import clauses, lines
from core.ui.rules.words import (
    LABELS,
    changed_words,
    difference_html,
    health_words,
    plain,
    state_words,
)

_VIEW_OF = {
    **dict.fromkeys(("title", "body", "group", "channels", "description"), MESSAGE),
    **dict.fromkeys(("name", "expression", "severity"), ""),
}


def draw_rule(stored: StoredRule | None, *, who: str) -> None:
    """Draw a rule, or a new one, with everything that can be done to it."""
    draft = open_draft(stored)
    recall(draft)
    channels = loaders.load_shared_channels()
    profile_name = draft.body["profile_name"]
    symbols = loaders.load_symbols(profile_name if profile_name in PROFILE_NAMES else chosen_mode())
    faults = saving_faults(definition_of(draft), channels, _other_names(draft))
    _draw_head(stored, channels)
    # What comes and goes has a place of its own: a field that moved would lose what is being typed.
    with st.container(key="rule_above"):
        if stored is not None and draft.based_on != stored.version:
            _draw_conflict(stored, draft)
        if stored is None and not draft.changed:
            _draw_templates(draft)
    draw_name(draft, faults if draft.body["name"] or stored is not None else {})
    check = draw_code(draft, symbols, who=who)
    with st.container(key="rule_reading"):
        _say_short_past(check)
        _draw_words(check)
    with st.container(key="rule_saving"):
        _draw_save(stored, draft, faults)
    view = choose_view(new=stored is None)
    if view == NOW:
        draw_newest(draft, check)
    elif view == PAST:
        draw_trial(draft, faults, symbols)
    elif view == TIMES:
        draw_times(draft, faults, symbols)
        draw_switches(draft)
    elif view == MESSAGE:
        draw_description(draft, faults)
        draw_message(draft, faults, channels)
    elif view == VERSIONS and stored is not None:
        draw_versions(stored, draft)
    draw_reference()


def _other_names(draft: Draft) -> list[str]:
    """The names that a new or renamed rule cannot have."""
    if "name" not in draft.changed:
        return []
    return [name for id, name in loaders.load_names_of_rules().items() if id != draft.rule_id]


def draw_lost(asked: object) -> None:
    """Say that there is no such rule."""
    with st.container(border=True, key="lost"):
        st.markdown(
            f":material/search_off: **There is no rule “{plain(str(asked)[:40])}” in use.**"
        )
        st.button("All rules", on_click=open_rule, args=(None,), key="rule_all")


def _draw_head(stored: StoredRule | None, channels: Mapping[int, str]) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="rule_head"):
        st.button(
            "All rules",
            icon=":material/arrow_back:",
            on_click=open_rule,
            args=(None,),
            key="rule_all",
        )
        if stored is None:
            st.markdown("**A new rule**")
            return
        clock = reader_clock()
        now = next((one for one in loaders.load_rules_now() if one.rule.id == stored.id), None)
        fares = health_words(now.progress if now else None, stored.definition)
        firing = f" · fires for **{now.firing}**" if now and now.firing else ""
        st.markdown(
            f"**{plain(stored.name)}** · {state_words(stored.definition)} · {fares}{firing}",
            width="content",
        )
        st.caption(
            f"version {stored.version} by {plain(stored.author)}, {clock.stamp(stored.made_at)}",
            width="content",
        )
        draw_menu(stored, channels)
    say_market_ended()


def _draw_templates(draft: Draft) -> None:
    with st.expander(
        "Start from a template",
        expanded=True,
        icon=":material/library_books:",
        key="rule_templates",
    ):
        grid = st.grid(3, min_column_width=260, gap="small")
        for template in TEMPLATES:
            with grid.container(border=True, gap="xsmall"):
                st.button(
                    template.name, type="tertiary", key=f"rule_template_{template.key}",
                    on_click=_start_from, args=(draft, template.key),
                )  # fmt: skip
                st.caption(template.meaning)


def _start_from(draft: Draft, key: str) -> None:
    template = next(one for one in TEMPLATES if one.key == key)
    draft.replace(to_body(template.definition))
    draft.fresh = False


def _say_short_past(check: Check) -> None:
    """On windows that are longer than what is stored, that they stay unknown for now."""
    span = loaders.load_span()
    if check.rule is None or span is None:
        return
    stored = (span[1] - span[0]) / timedelta(hours=1) + 1
    if check.rule.lookback_hours >= stored:
        st.markdown(
            f":material/warning: **Warning:** it looks back {hours_words(check.rule.lookback_hours)}, and "
            f"{hours_words(int(stored))} are stored here. What needs more than there is stays unknown "
            "until there is enough."
        )


def _draw_words(check: Check) -> None:
    """The expression read back, part by part."""
    if check.rule is None:
        return
    clause = clauses(check.text)
    joined = {"all of these": "all of these hold", "any of these": "any of these holds"}
    if clause.words in joined:
        st.caption(f"It holds for a market where {joined[clause.words]}:")
        st.markdown("\n".join(lines(clause.parts)))
    else:
        st.caption(f"It holds for a market where {clause.words}{':' if clause.parts else '.'}")
        st.markdown("\n".join(lines(clause.parts, 1)))


def _draw_save(stored: StoredRule | None, draft: Draft, faults: Mapping[str, str]) -> None:
    """What is not saved, what keeps it from being saved, and the buttons."""
    changed = draft.changed
    if not changed:
        if stored is not None:
            st.caption(":material/check: Everything is saved.")
        return
    with st.container(border=True, key="rule_save_bar", gap="small"):
        if faults:
            st.markdown(
                f":material/error: **To be put right before it can be saved:** {_places(faults)}."
            )
        else:
            what = "This rule" if stored is None else f"Changed: {changed_words(changed)}. It"
            st.markdown(f":material/edit: {what} is not saved yet.")
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            key = draft.widget("note")
            if key not in st.session_state:
                st.session_state[key] = draft.note
            draft.note = st.text_input(
                "Note", key=key, placeholder="Why, for whoever reads the versions",
                max_chars=500, label_visibility="collapsed", width=340,
            )  # fmt: skip
            save = st.button(
                "Save", type="primary", icon=":material/save:", disabled=bool(faults),
                key="rule_save",
            )  # fmt: skip
            st.button(
                "Discard", icon=":material/undo:", key="rule_discard", on_click=_discard,
                args=(draft, stored), help="Back to what is saved.",
            )  # fmt: skip
    if save:
        _save(draft)


def _save(draft: Draft) -> None:
    try:
        saved = actions.save(
            draft.rule_id, definition_of(draft), based_on=draft.based_on, note=draft.note.strip()
        )
    except CryptoSatXError as error:
        st.markdown(f":material/error: **{plain(str(error))}**")
        return
    if draft.rule_id is None:
        drop(draft.key)
        open_draft(saved).fresh = False
    else:
        renew(draft, saved)
    open_rule(str(saved.id))
    st.toast(f"Saved as version {saved.version}.", icon=":material/check:")
    st.rerun()


def _discard(draft: Draft, stored: StoredRule | None) -> None:
    renew(draft, stored)
    draft.fresh = False


def _draw_conflict(stored: StoredRule, draft: Draft) -> None:
    """Somebody saved another version meanwhile: both are shown, and nothing is lost."""
    theirs = difference_html(draft.saved, to_body(stored.definition))
    mine = difference_html(draft.saved, definition_of(draft))
    with st.container(border=True, key="rule_conflict", gap="small"):
        st.markdown(
            f":material/call_split: **{plain(stored.author)} saved version {stored.version} of this rule while "
            f"you were writing on version {draft.based_on}.** Nothing of either is lost: take theirs, or "
            "go on with yours, which keeps what they changed in other fields."
        )
        left, right = st.columns(2)
        with left:
            st.caption(f"Theirs, against version {draft.based_on}")
            st.html(theirs)
            st.button(
                "Take theirs", icon=":material/download_done:", key="rule_theirs",
                on_click=_discard, args=(draft, stored),
            )  # fmt: skip
        with right:
            st.caption(f"Yours, against version {draft.based_on}")
            st.html(mine)
            st.button(
                "Go on with mine", icon=":material/edit:", key="rule_mine",
                on_click=_go_on, args=(draft, stored),
            )  # fmt: skip


def _go_on(draft: Draft, stored: StoredRule) -> None:
    """Their version with what was changed here in it."""
    mine = {name: draft.body[name] for name in draft.changed}
    note = draft.note
    renew(draft, stored)
    draft.replace(draft.saved | mine)
    draft.note = note


def _places(faults: Mapping[str, str]) -> str:
    """Which fields, and in which view they are."""
    found: dict[str, list[str]] = {}
    for field in faults:
        name = field.partition(".")[0]
        found.setdefault(_VIEW_OF.get(name, TIMES), []).append(LABELS.get(name, name).lower())
    return "; ".join(
        ", ".join(dict.fromkeys(names)) + (f" (in “{view}”)" if view else "")
        for view, names in found.items()
    )
