"""Every version of a rule: who saved it, when, why, what differs, and the way back."""

from __future__ import annotations

import streamlit as st

from core.errors import CryptoSatXError
from core.store.alerts.rules import StoredRule, Version
from core.ui import loaders
from core.ui.controls import reader_clock
from core.ui.formats import count
from core.ui.rules import actions
from core.ui.rules.drafts import Draft, renew
from core.ui.rules.words import body_of, changed_words, difference_html, plain

_SHOWN = 20


def draw_versions(stored: StoredRule, draft: Draft) -> None:
    """Draw the versions, the newest first."""
    versions, clock = loaders.load_rule_versions(stored.id), reader_clock()
    many = st.session_state.get("rule_versions", _SHOWN)
    st.caption(
        f"{count(len(versions), 'version')}. None is ever changed; to go back is to save an earlier one "
        f"again. Times in {clock.label}."
    )
    for place, version in enumerate(versions[:many]):
        before = versions[place + 1] if place + 1 < len(versions) else None
        with st.container(border=True, gap="xsmall", key=f"rule_version_{version.version}"):
            _draw_version(version, before, stored, draft)
    if len(versions) > many and st.button(f"Show {count(len(versions) - many, 'older version')}"):
        st.session_state["rule_versions"] = len(versions)
        st.rerun()


def _draw_version(
    version: Version, before: Version | None, stored: StoredRule, draft: Draft
) -> None:
    clock = reader_clock()
    note = f"  \n{plain(version.note)}" if version.note else ""
    now = " · as it is now" if version.version == stored.version else ""
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.markdown(
            f"**Version {version.version}**{now} · {plain(version.author)}, {clock.stamp(version.made_at)}{note}"
        )
        if version.version != stored.version:
            _draw_restore(version, stored, draft)
    if before is None:
        st.caption("The first version.")
        st.code(version.definition.expression, language=None, wrap_lines=True)
        return
    was, became = body_of(before.definition), body_of(version.definition)
    fields = [name for name in became if was[name] != became[name]]
    st.caption(f"Against version {before.version}: {changed_words(fields)}")
    st.html(difference_html(was, became, loaders.load_shared_channels()))


def _draw_restore(version: Version, stored: StoredRule, draft: Draft) -> None:
    if not st.button(
        "Restore",
        icon=":material/restore:",
        key=f"rule_restore_{version.version}",
        disabled=bool(draft.changed),
        help="Save or discard what you have written first."
        if draft.changed
        else f"Save what version {version.version} says as a new version.",
    ):
        return
    try:
        saved = actions.restore(stored.id, version.version, based_on=stored.version)
    except CryptoSatXError as error:
        st.markdown(f":material/error: **{plain(str(error))}**")
        return
    renew(draft, saved)
    st.toast(f"Version {version.version} is in force again, as version {saved.version}.")
    st.rerun()
