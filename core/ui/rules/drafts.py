"""Rules that are being written: kept by rule for as long as the session lasts, whatever page is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.alerts.definition import RuleDefinition, parse_definition, to_body
from core.errors import RuleError
from core.store.alerts.rules import StoredRule

NEW = "new"
_DRAFTS = "rule_drafts"
_BLANK = to_body(RuleDefinition(name="-", expression="-")) | {"name": "", "expression": ""}


@dataclass
class Draft:
    """What is written of a rule, as typed. ``saved`` is the version ``based_on`` of it; 0 is a new rule.

    ``revision`` counts how often all of it was replaced at once: fields of another revision are other
    fields. ``fresh`` until the browser was asked for what it kept from before the page was loaded anew.
    """

    key: str
    based_on: int
    saved: dict[str, Any]
    body: dict[str, Any] = field(default_factory=dict)
    revision: int = 0
    fresh: bool = True
    note: str = ""

    @property
    def rule_id(self) -> int | None:
        return None if self.key == NEW else int(self.key)

    @property
    def changed(self) -> tuple[str, ...]:
        """The fields that differ from what is saved, as they are written in a definition."""
        now = canonical(self.body)
        return tuple(name for name in self.saved if now.get(name) != self.saved[name])

    def replace(self, body: Mapping[str, Any]) -> None:
        """Put other content in the place of everything."""
        self.body = {name: body.get(name, usual) for name, usual in _BLANK.items()}
        self.revision += 1

    def widget(self, name: str) -> str:
        """The key of a field's widget."""
        return f"rule {self.key} {self.revision} {name}"


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is typed in the form in which it would be stored; as typed where that cannot be.

    >>> canonical({"name": " Hot ", "expression": "score > 60", "for": "90m"})["for"]
    '1h30m'
    """
    try:
        return to_body(parse_definition(_written(body)))
    except RuleError:
        found = {**_BLANK, **body}
        for name in body:
            # Each field that is right by itself is compared in its own form.
            try:
                alone = {"name": "-", "expression": "-", name: _written(body)[name]}
                found[name] = to_body(parse_definition(alone))[name]
            except RuleError:
                continue
        return found


def definition_of(draft: Draft) -> dict[str, Any]:
    """The draft as it is handed on to be checked and saved."""
    return _written(draft.body)


def open_draft(stored: StoredRule | None) -> Draft:
    """The draft of a rule, or of a new one; begun where there is none, and renewed where nothing was
    changed in it and somebody saved another version."""
    drafts = _drafts()
    key = NEW if stored is None else str(stored.id)
    draft = drafts.get(key)
    if draft is None:
        draft = drafts[key] = _begun(key, stored)
    elif stored is not None and draft.based_on != stored.version and not draft.changed:
        renew(draft, stored)
    return draft


def renew(draft: Draft, stored: StoredRule | None) -> None:
    """Put what is saved in the place of a draft."""
    saved = dict(_BLANK) if stored is None else to_body(stored.definition)
    draft.saved, draft.based_on = saved, 0 if stored is None else stored.version
    draft.note = ""
    draft.replace(saved)


def drop(key: str) -> None:
    """Forget a draft."""
    _drafts().pop(key, None)


def unsaved() -> frozenset[str]:
    """The keys of the drafts with something in them that is not saved."""
    return frozenset(key for key, draft in _drafts().items() if draft.changed)


def recover(draft: Draft, kept: object) -> bool:
    """Put in what a browser kept of this draft; False where it is nothing of the kind."""
    draft.fresh = False
    body = kept.get("body") if isinstance(kept, Mapping) else None
    if not isinstance(body, Mapping) or draft.changed:
        return False
    found = {
        name: value for name, value in body.items() if name in _BLANK and _is_plain(name, value)
    }
    draft.replace({**draft.saved, **found})
    based_on = kept.get("based_on") if isinstance(kept, Mapping) else None
    if isinstance(based_on, int) and 0 < based_on <= draft.based_on:
        draft.based_on = based_on
    return bool(draft.changed)


def _begun(key: str, stored: StoredRule | None) -> Draft:
    saved = dict(_BLANK) if stored is None else to_body(stored.definition)
    return Draft(key, 0 if stored is None else stored.version, saved, dict(saved))


def _drafts() -> dict[str, Draft]:
    found: dict[str, Draft] = st.session_state.setdefault(_DRAFTS, {})
    return found


def _written(body: Mapping[str, Any]) -> dict[str, Any]:
    """Empty templates are the built-in ones."""
    emptied = {
        name: None
        for name in ("title", "body")
        if isinstance(body.get(name), str) and not body[name].strip()
    }
    return {**body, **emptied}


def _is_plain(name: str, value: object) -> bool:
    """Whether a value is of the kind that the field's widget holds."""
    if name in ("muted", "enabled"):
        return isinstance(value, bool)
    if name in ("symbols", "channels"):
        return isinstance(value, list) and all(
            isinstance(one, str if name == "symbols" else int) for one in value
        )
    if name == "active_hours":
        return value is None or (
            isinstance(value, dict)
            and set(value) == {"weekdays", "start", "end"}
            and isinstance(value["weekdays"], list)
            and all(isinstance(value[end], str) for end in ("start", "end"))
        )
    if name in ("severity", "group", "profile_name", "name", "expression", "description"):
        return isinstance(value, str)
    return value is None or isinstance(value, str)
