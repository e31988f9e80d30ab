"""What an administrator does on the Rules page; each checks the role itself, whatever the page showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.alerts.definition import RuleDefinition
from core.errors import RuleError
from core.instance import instance
from core.store.alerts import changing
from core.store.alerts import rules as store
from core.ui.session import require_user


def save(
    rule_id: int | None, body: Mapping[str, Any], *, based_on: int, note: str
) -> store.StoredRule:
    """Save a new rule, or a further version of one. Raises `RuleError` with what is wrong."""
    who = _writer()
    with instance().engine.begin() as conn:
        return changing.save(conn, rule_id, body, based_on=based_on, note=note, by=who, now=_now())


def switch(rule_id: int, field: str, *, to: bool) -> None:
    """Enable, disable, mute or unmute a rule, whatever version it has by now."""
    who = _writer()
    with instance().engine.begin() as conn:
        changing.switch(conn, rule_id, field, to=to, by=who, now=_now())


def duplicate(rule_id: int) -> store.StoredRule:
    """Save a disabled copy of a rule under a name that is free."""
    who = _writer()
    with instance().engine.begin() as conn:
        rule = store.load_rule(conn, rule_id)
        # Room for the number that may have to follow.
        name = store.free_name(conn, f"{rule.name[:90]} copy")
        copy = rule.definition.model_copy(update={"name": name, "enabled": False})
        note = f"Copied from {rule.name}, version {rule.version}."
        return store.create_rule(conn, copy, by=who, now=_now(), note=note)


def delete(rule_id: int) -> store.StoredRule:
    """Take a rule out of use."""
    who = _writer()
    with instance().engine.begin() as conn:
        return store.delete_rule(conn, rule_id, by=who, now=_now())


def restore(rule_id: int, version: int, *, based_on: int) -> store.StoredRule:
    """Save what a rule said in an earlier version as its newest."""
    who = _writer()
    with instance().engine.begin() as conn:
        return changing.restore(conn, rule_id, version, based_on=based_on, by=who, now=_now())


def import_rules(definitions: Sequence[RuleDefinition], based_on: Mapping[str, int]) -> int:
    """Save the rules of a file, all or none; how many were new or changed.

    ``based_on`` are the versions, by name, that were shown to be replaced.
    """
    who, note, saved = _writer(), "Imported from a file.", 0
    with instance().engine.begin() as conn:
        known = {rule.name: rule for rule in store.list_rules(conn)}
        for definition in definitions:
            old = known.get(definition.name)
            if old is None and definition.name in based_on:
                raise RuleError(f"{definition.name} was deleted meanwhile. Look at the file again.")
            if old is None:
                store.create_rule(conn, definition, by=who, now=_now(), note=note)
            elif old.definition != definition:
                version = based_on.get(definition.name, 0)
                store.change_rule(
                    conn, old.id, definition, based_on=version, by=who, now=_now(), note=note,
                    action="import",
                )  # fmt: skip
            saved += old is None or old.definition != definition
    return saved


def _writer() -> str:
    return require_user("admin", write=True).username


def _now() -> datetime:
    return datetime.now(UTC)
