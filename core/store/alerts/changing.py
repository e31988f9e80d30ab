"""What an administrator does to rules, in a transaction each; who may is for the caller to check."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from core.alerts.definition import RuleDefinition, new_definition
from core.alerts.saving import saving_faults
from core.errors import RuleError
from core.store.alerts import rules
from core.store.alerts.rules import StoredRule
from core.store.channels import list_channels

# What turning a switch is called in the log of changes.
SWITCHED = {
    ("enabled", True): "enable",
    ("enabled", False): "disable",
    ("muted", True): "mute",
    ("muted", False): "unmute",
}


def save(
    conn: Connection,
    rule_id: int | None,
    body: Mapping[str, Any],
    *,
    based_on: int,
    note: str,
    by: str,
    now: datetime,
) -> StoredRule:
    """Save a new rule, or a further version of one. Raises `RuleError` with what is wrong."""
    definition = _checked(conn, body)
    if rule_id is None:
        return rules.create_rule(conn, definition, by=by, now=now, note=note)
    return rules.change_rule(
        conn, rule_id, definition, based_on=based_on, by=by, now=now, note=note
    )


def restore(
    conn: Connection, rule_id: int, version: int, *, based_on: int, by: str, now: datetime
) -> StoredRule:
    """Save what a rule said in an earlier version as its newest.

    Raises `RuleError` where that cannot be saved any more, as of a channel that is gone.
    """
    definition = _checked(conn, rules.load_body(conn, rule_id, version))
    note = f"Restored from version {version}."
    return rules.change_rule(
        conn, rule_id, definition, based_on=based_on, by=by, now=now, note=note, action="restore"
    )


def switch(
    conn: Connection, rule_id: int, field: str, *, to: bool, by: str, now: datetime
) -> StoredRule:
    """Enable, disable, mute or unmute a rule, whatever version it has by now."""
    rule = rules.load_rule(conn, rule_id)
    return rules.change_rule(
        conn,
        rule_id,
        rule.definition.model_copy(update={field: to}),
        based_on=rule.version,
        by=by,
        now=now,
        action=SWITCHED[field, to],
    )


def _checked(conn: Connection, body: Mapping[str, Any]) -> RuleDefinition:
    """The definition of what is to be saved. Raises `RuleError` with everything that is wrong."""
    definition = new_definition(body)
    faults = saving_faults(body, [one.id for one in list_channels(conn)])
    if faults:
        raise RuleError("; ".join(f"{field}: {said}" for field, said in faults.items()))
    return definition
