"""The list of rules: how each stands, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import streamlit as st

from core.alerts.definition import RuleDefinition
from core.alerts.rule_files import dump_rules
from core.errors import CryptoSatXError
from core.instance import instance
from core.store.alerts.rules import StoredRule
from core.ui import loaders
from core.ui.controls import reader_clock
from core.ui.formats import DASH, count
from core.ui.loaders.rules import RuleNow
from core.ui.rules import actions
from core.ui.rules.drafts import NEW, drop, unsaved
from core.ui.rules.importing import draw_import
from core.ui.rules.opened import open_rule
from core.ui.rules.words import SEVERITY_SIGNS, health_words, plain, state_words
from core.ui.session import dialog
from core.ui.viewport import is_narrow

_ROWS = 20
_WIDTHS = [3.4, 1.2, 1.3, 1.2, 2.9, 1.8, 1.4, 1.3]
_HEADS = ("Rule", "Severity", "State", "Fires for", "Health", "Last fired", "Version", "")
_SHOWN = ("All", "Firing", "Not ok", "Disabled or muted")


def draw_list() -> None:
    """Draw every rule in use."""
    found, channels = loaders.load_rules_now(), loaders.load_shared_channels()
    _draw_tools(found, channels)
    say_market_ended()
    if not found:
        _draw_empty()
        return
    chosen = _filtered(found)
    if not chosen:
        st.markdown(":material/filter_alt_off: **No rule passes.** Search for less, or show all.")
        return
    pages = -(-len(chosen) // _ROWS)
    page = st.pagination(pages, key="rules_page") if pages > 1 else 1
    if not is_narrow():
        for column, head in zip(st.columns(_WIDTHS), _HEADS, strict=True):
            column.caption(head)
    for one in chosen[_ROWS * (page - 1) : _ROWS * page]:
        _draw_row(one, channels)
    st.caption(f"Times in {reader_clock().label}.")


def say_market_ended() -> None:
    """On a market that has ended, that rules do not fire any more."""
    kind = instance().market.kind
    span = loaders.load_span()
    if kind == "live" or span is None:
        return
    what = "simulated market" if kind == "demo" else "recording"
    st.caption(
        f":material/info: This {what} ended on {reader_clock().day(span[1])}. Its past is the history "
        "that rules are tried on; nothing new comes in, so rules on it do not fire any more."
    )


def _draw_tools(found: Sequence[RuleNow], channels: Mapping[int, str]) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="rules_tools"):
        st.button(
            "New rule", type="primary", icon=":material/add:", key="rule_new",
            on_click=open_rule, args=(NEW,),
        )  # fmt: skip
        if st.button("Import", icon=":material/upload_file:", key="rule_import"):
            draw_import()
        st.download_button(
            "Export all",
            _file(tuple(one.rule.definition for one in found), tuple(channels.items())),
            "rules.yaml",
            "application/yaml",
            icon=":material/download:",
            disabled=not found,
            on_click="ignore",
            key="rule_export_all",
        )
        if NEW in unsaved():
            st.caption(":material/edit: A new rule is not saved yet.")


def _draw_empty() -> None:
    with st.container(border=True, key="no_rules", horizontal_alignment="center", gap="small"):
        st.markdown(":material/rule: **There are no rules yet**")
        st.markdown(
            "A rule is one condition, such as `funding_rate_8h > 0.0003 and long_account_share > 0.65`. "
            "It is judged for every market at the close of every bar, and before it is saved you see how "
            "often it would have fired. Start from a template, or write your own."
        )
        st.button(
            "Write the first one", type="primary", key="rule_first",
            on_click=open_rule, args=(NEW,),
        )  # fmt: skip


def _filtered(found: Sequence[RuleNow]) -> list[RuleNow]:
    left, right = st.columns([2, 3], vertical_alignment="center")
    asked = left.text_input(
        "Search", key="rules_search", bind="query-params", label_visibility="collapsed",
        placeholder=f"Search {count(len(found), 'rule')}", icon=":material/search:",
    )  # fmt: skip
    which = right.segmented_control(
        "Show", _SHOWN, default=_SHOWN[0], required=True, key="rules_show", bind="query-params",
        label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    wanted = (asked or "").lower().split()
    return [
        one
        for one in found
        if _passes(one, which or _SHOWN[0]) and all(word in _text(one) for word in wanted)
    ]


def _passes(one: RuleNow, which: str) -> bool:
    definition, progress = one.rule.definition, one.progress
    if which == "Firing":
        return one.firing > 0
    if which == "Not ok":
        return progress is not None and (progress.health != "ok" or progress.unknown > 0)
    if which == "Disabled or muted":
        return definition.muted or not definition.enabled
    return True


def _text(one: RuleNow) -> str:
    definition = one.rule.definition
    said = (definition.name, definition.expression, definition.description, definition.severity)
    return " ".join(said).lower()


def _draw_row(one: RuleNow, channels: Mapping[int, str]) -> None:
    rule, clock = one.rule, reader_clock()
    definition = rule.definition
    firing = count(one.firing, "market") if one.firing else "nothing"
    fired = clock.stamp(one.last_fired) if one.last_fired else "never"
    version = f"{rule.version}, {plain(rule.author)}"
    edited = ", not saved" if str(rule.id) in unsaved() else ""
    narrow = is_narrow()
    with st.container(border=narrow, gap="xsmall", key=f"rule_row_{rule.id}"):
        columns = (
            [st.container(gap="xsmall")] * 8
            if narrow
            else st.columns(_WIDTHS, vertical_alignment="center")
        )
        columns[0].button(
            f"**{plain(rule.name)}**", key=f"rule_open_{rule.id}", type="tertiary", on_click=open_rule,
            args=(str(rule.id),), help=f"`{definition.expression}`",
        )  # fmt: skip
        texts = (
            SEVERITY_SIGNS[definition.severity],
            state_words(definition) + edited,
            f"**{firing}**" if one.firing else DASH,
            health_words(one.progress, definition),
            fired,
            version,
        )
        if narrow:
            said = [text for text in texts[:4] if text != DASH]
            columns[1].markdown(f":small[{' · '.join(said)}]")
            columns[1].caption(f"last fired: {fired} · version {version}")
        else:
            for column, text in zip(columns[1:7], texts, strict=True):
                column.markdown(f":small[{text}]")
        with columns[7]:
            draw_menu(rule, channels)


def draw_menu(rule: StoredRule, channels: Mapping[int, str]) -> None:
    """What can be done with a rule, whatever is open; its file names channels, by id, by their names."""
    definition = rule.definition
    file = _file((definition,), tuple(channels.items()))
    with st.popover(
        "More",
        help=f"What to do with {plain(rule.name)}",
        key=f"rule_menu_{rule.id}",
    ):
        _switch(rule, "enabled", "Disable" if definition.enabled else "Enable")
        _switch(rule, "muted", "Unmute" if definition.muted else "Mute")
        if st.button(
            "Duplicate", icon=":material/content_copy:", width="stretch",
            key=f"rule_copy_{rule.id}", help="A disabled copy, to be changed.",
        ):  # fmt: skip
            _duplicate(rule)
        st.download_button(
            "Export", file, _file_name(rule.name), "application/yaml",
            icon=":material/download:", width="stretch", on_click="ignore", key=f"rule_export_{rule.id}",
        )  # fmt: skip
        if st.button(
            "Delete", icon=":material/delete:", width="stretch",
            key=f"rule_delete_{rule.id}",
        ):  # fmt: skip
            draw_delete(rule)


# Of every rule that is shown at each run, and seldom asked for.
@lru_cache(maxsize=512)
def _file(definitions: tuple[RuleDefinition, ...], channels: tuple[tuple[int, str], ...]) -> str:
    return dump_rules(definitions, dict(channels))


def _file_name(name: str) -> str:
    """
    >>> _file_name("Crowded longs / 2")
    'crowded-longs-2.yaml'
    """
    kept = "".join(letter if letter.isalnum() else " " for letter in name.lower())
    return f"{'-'.join(kept.split()) or 'rule'}.yaml"


def _switch(rule: StoredRule, field: str, label: str) -> None:
    icons = {
        "Disable": "pause",
        "Enable": "play_arrow",
        "Mute": "notifications_off",
        "Unmute": "notifications",
    }
    meanings = {
        "Disable": "It is judged no more, and what fires ends.",
        "Enable": "It is judged from the next bar on.",
        "Mute": "It is judged and shown, and sends no messages.",
        "Unmute": "It sends messages again.",
    }
    if st.button(
        label, icon=f":material/{icons[label]}:", width="stretch", help=meanings[label],
        key=f"rule_{field}_{rule.id}",
    ):  # fmt: skip
        try:
            actions.switch(rule.id, field, to=not getattr(rule.definition, field))
        except CryptoSatXError as error:
            st.markdown(f":material/error: **{plain(str(error))}**")
            return
        st.rerun()


def _duplicate(rule: StoredRule) -> None:
    try:
        copy = actions.duplicate(rule.id)
    except CryptoSatXError as error:
        st.markdown(f":material/error: **{plain(str(error))}**")
        return
    open_rule(str(copy.id))
    st.rerun()


@dialog("Delete this rule?")
def draw_delete(rule: StoredRule) -> None:
    """Ask before a rule is taken out of use."""
    st.markdown(
        f"**{plain(rule.name)}** is judged no more, and what fires of it ends. Its versions and what happened "
        "stay in the log of changes and in the history of alerts."
    )
    with st.container(horizontal=True, gap="small"):
        sure = st.button("Delete", type="primary", icon=":material/delete:", key="rule_delete_sure")
        if st.button("Keep it", key="rule_keep"):
            st.rerun()
    if not sure:
        return
    try:
        actions.delete(rule.id)
    except CryptoSatXError as error:
        st.markdown(f":material/error: **{plain(str(error))}**")
        return
    drop(str(rule.id))
    open_rule(None)
    st.rerun()
