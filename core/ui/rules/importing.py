"""Rules from a file: what is wrong with it, what it would change, and then all of it or nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.alerts.definition import RuleDefinition, fields_changed, to_body
from core.alerts.rule_files import Fault, FileRefused, Here, RuleFile, read_rules
from core.alerts.saving import further_faults
from core.errors import CryptoSatXError
from core.signals import PROFILE_NAMES
from core.store.alerts.rules import StoredRule
from core.ui import loaders
from core.ui.formats import count
from core.ui.rules import actions
from core.ui.rules.words import changed_words, difference_html, plain
from core.ui.session import dialog

_MOST_FAULTS = 30
# What a page may say to the server at once is less than a file may hold.
_LONGEST_PASTED = 400_000


@dataclass(frozen=True)
class Plan:
    """What a file would do: rules that are new, that would be changed (with what is there now), and
    that are the same."""

    new: tuple[RuleDefinition, ...]
    changed: tuple[tuple[StoredRule, RuleDefinition], ...]
    same: tuple[str, ...]

    @property
    def definitions(self) -> list[RuleDefinition]:
        return [*self.new, *(after for _, after in self.changed)]


def read_file(
    text: str,
    file: str,
    channels: Mapping[int, str],
    names: Collection[str] = (),
    markets: Collection[str] = (),
) -> RuleFile:
    """A file as it could be saved beside rules of these names. Raises `FileRefused` with every fault."""
    return read_rules(text, file, Here(channels, further_faults, names, markets))


def plan(definitions: list[RuleDefinition], stored: list[StoredRule]) -> Plan:
    """Rules are told apart by their names."""
    known = {rule.name: rule for rule in stored}
    pairs = [(known[one.name], one) for one in definitions if one.name in known]
    return Plan(
        tuple(one for one in definitions if one.name not in known),
        tuple((old, new) for old, new in pairs if old.definition != new),
        tuple(new.name for old, new in pairs if old.definition == new),
    )


@dialog("Import rules", width="large")
def draw_import() -> None:
    """Ask for a file, and show what it would do before anything is saved."""
    st.caption(
        "A YAML file as “Export” writes it. Rules are told apart by their names; those that the file "
        "does not name are left alone."
    )
    file = st.file_uploader("File", ["yaml", "yml"], key="rules_file", label_visibility="collapsed")
    pasted = st.text_area(
        "Or paste it here", key="rules_pasted", height=140, max_chars=_LONGEST_PASTED,
        placeholder="rules:\n- name: Crowded longs\n  expression: funding_rate_8h > 0.0003",
    )  # fmt: skip
    if file is None and not pasted.strip():
        return
    try:
        text = pasted if file is None else file.getvalue().decode("utf-8")
        name = "pasted text" if file is None else file.name
        names = loaders.load_names_of_rules().values()
        markets = {one for mode in PROFILE_NAMES for one in loaders.load_symbols(mode)}
        with st.spinner("The file is read …"):
            read = read_file(text, name, loaders.load_shared_channels(), names, markets)
    except UnicodeDecodeError:
        st.markdown(":material/error: **The file is no text in UTF-8.**")
        return
    except FileRefused as error:
        st.markdown(
            f":material/error: **{count(len(error.faults), 'fault')}; nothing was saved.** Put them "
            "right in the file, and choose it again."
        )
        _draw_faults(error.faults)
        _draw_warnings(error.warnings)
        return
    _draw_warnings(read.warnings)
    _draw_plan(plan(read.rules, [one.rule for one in loaders.load_rules_now()]))


def _draw_warnings(warnings: Sequence[Fault]) -> None:
    if warnings:
        st.markdown(
            f":material/warning: **{count(len(warnings), 'warning')}.** Such a rule can be saved, and "
            "probably means something else."
        )
        _draw_faults(warnings)


def _draw_faults(faults: Sequence[Fault]) -> None:
    for fault in faults[:_MOST_FAULTS]:
        where = f", {fault.where}" if fault.where else ""
        with st.container(horizontal=True, gap="small"):
            st.markdown(f"**Line {fault.line}**{plain(where)}: {plain(fault.said)}")
    if len(faults) > _MOST_FAULTS:
        st.caption(f"and {len(faults) - _MOST_FAULTS} more")


def _draw_plan(found: Plan) -> None:
    st.markdown(
        f"**{len(found.new)} new, {len(found.changed)} changed, {len(found.same)} the same.** Nothing is "
        "saved yet."
    )
    for definition in found.new:
        st.markdown(f":material/add_circle: **{plain(definition.name)}** is new")
        st.code(definition.expression, language=None, wrap_lines=True)
    for old, new in found.changed:
        fields = changed_words(fields_changed(old.definition, new))
        st.markdown(f":material/change_circle: **{plain(new.name)}** changes in {fields}")
        st.html(difference_html(to_body(old.definition), to_body(new)))
    if found.same:
        st.caption(f"The same as here: {plain(', '.join(found.same))}")
    amount = len(found.definitions)
    if not amount:
        st.markdown("There is nothing to save.")
        return
    if not st.button(
        f"Save {count(amount, 'rule')}",
        type="primary",
        icon=":material/save:",
        key="rules_import_save",
    ):
        return
    try:
        based_on = {old.name: old.version for old, _ in found.changed}
        saved = actions.import_rules(found.definitions, based_on)
    except CryptoSatXError as error:
        st.markdown(f":material/error: **{plain(str(error))}** Nothing was saved.")
        return
    st.toast(f"{count(saved, 'rule')} saved.")
    st.rerun()
