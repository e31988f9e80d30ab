"""Alert rules and their versions; every change is a version, and noted in the log of changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from core.alerts import compile_rule
from core.alerts.definition import RuleDefinition, read_stored, taken_name, to_body
from core.alerts.texts import writable
from core.errors import RuleError
from core.store import audit
from core.store.alerts.silences import rename_in_silences
from core.store.tables import alert_rule_versions, alert_rules, channels, subscriptions

# A worker has a bar's second for all of them.
MOST_RULES = 1_000


@dataclass(frozen=True)
class StoredRule:
    """A rule as it is now. ``made_at`` and ``author`` are of this version, ``created_at`` of the first.

    ``unusable`` says what of it is refused by now, and is "" where nothing is; see `read_stored`.
    """

    id: int
    version: int
    definition: RuleDefinition
    author: str
    note: str
    made_at: datetime
    created_at: datetime
    unusable: str = ""

    @property
    def name(self) -> str:
        return self.definition.name


@dataclass(frozen=True)
class Version:
    """A version that a rule has or had."""

    rule_id: int
    version: int
    definition: RuleDefinition
    author: str
    note: str
    made_at: datetime


def create_rule(
    conn: Connection, definition: RuleDefinition, *, by: str, now: datetime, note: str = ""
) -> StoredRule:
    """Save a new rule. Raises `RuleError` where its expression is refused or its name is taken."""
    compile_rule(definition.expression)
    _check_name(conn, definition)
    if (conn.scalar(select(func.count()).where(alert_rules.c.deleted_at.is_(None))) or 0) >= (
        MOST_RULES
    ):
        raise RuleError(f"There are {MOST_RULES:,} rules already. Delete one that is not needed.")
    values = {"name": definition.name, "version": 1, "created_at": now}
    rule_id: int = conn.execute(
        alert_rules.insert().values(**values).returning(alert_rules.c.id)
    ).scalar_one()
    return _add_version(conn, rule_id, 1, definition, by=by, now=now, note=note, action="create")


def change_rule(
    conn: Connection,
    rule_id: int,
    definition: RuleDefinition,
    *,
    based_on: int,
    by: str,
    now: datetime,
    note: str = "",
    action: str = "change",
) -> StoredRule:
    """Save a further version of a rule, which was made from the version ``based_on``.

    Raises `RuleError` where somebody else saved one since, the expression is refused, the name is taken
    or the rule is gone. Saving what is there already changes nothing.
    """
    _check_name(conn, definition, rule_id)
    old = load_rule(conn, rule_id)
    if old.definition == definition and not old.unusable:
        return old
    if old.definition.expression != definition.expression:
        # One that the language refuses by now can still be disabled or muted.
        compile_rule(definition.expression)
    taken = (
        update(alert_rules)
        .where(alert_rules.c.id == rule_id, alert_rules.c.version == based_on)
        .values(version=based_on + 1, name=definition.name)
    )
    if conn.execute(taken).rowcount != 1:
        raise RuleError(
            f"{old.author} saved version {old.version} of this rule meanwhile.",
            hint="Look at what changed, and save again if it is still right.",
        )
    if old.name != definition.name:
        _rename_for_subscribers(conn, old.name, definition.name, by=by, now=now)
        rename_in_silences(conn, old.name, definition.name, by=by, now=now)
    before = to_body(old.definition)
    return _add_version(
        conn, rule_id, based_on + 1, definition, by=by, now=now, note=note, action=action, before=before
    )  # fmt: skip


def _rename_for_subscribers(
    conn: Connection, old: str, new: str, *, by: str, now: datetime
) -> None:
    """Who subscribed to a rule by its name goes on hearing of it."""
    query = select(subscriptions.c.channel_id, subscriptions.c.body, channels.c.name)
    for row in conn.execute(query.join_from(subscriptions, channels)).all():
        wanted = row.body.get("rules") or []
        if old not in wanted:
            continue
        named = [new if name == old else name for name in wanted]
        conn.execute(
            update(subscriptions)
            .where(subscriptions.c.channel_id == row.channel_id)
            .values(body={**row.body, "rules": named})
        )
        audit.note(
            conn,
            at=now,
            by=by,
            action="subscribe",
            subject="channel",
            subject_id=row.channel_id,
            name=row.name,
            before={"rules": wanted},
            after={"rules": named},
        )


def delete_rule(conn: Connection, rule_id: int, *, by: str, now: datetime) -> StoredRule:
    """Take a rule out of use; its versions and events stay. Gives what it was."""
    old = load_rule(conn, rule_id)
    conn.execute(update(alert_rules).where(alert_rules.c.id == rule_id).values(deleted_at=now))
    audit.note(
        conn, at=now, by=by, action="delete", subject="rule", subject_id=rule_id, name=old.name,
        before=to_body(old.definition),
    )  # fmt: skip
    return old


def load_rule(conn: Connection, rule_id: int) -> StoredRule:
    """A rule that is in use. Raises `RuleError` where there is none of this id."""
    row = conn.execute(_rules().where(alert_rules.c.id == rule_id)).first()
    if row is None:
        raise RuleError("This rule does not exist any more. Choose one of the list.")
    return _rule(row)


def list_rules(
    conn: Connection, known: Mapping[tuple[int, int], StoredRule] | None = None
) -> list[StoredRule]:
    """Every rule in use, by name; those ``known`` by id and version are not read anew."""
    given = known or {}
    return [
        given.get((row.rule_id, row.version)) or _rule(row)
        for row in conn.execute(_rules().order_by(alert_rules.c.name))
    ]


def list_versions(conn: Connection, rule_id: int) -> list[Version]:
    """All versions of a rule, the newest first; also of one that was deleted."""
    table = alert_rule_versions
    query = select(table).where(table.c.rule_id == rule_id).order_by(table.c.version.desc())
    return [
        Version(
            row.rule_id,
            row.version,
            read_stored(row.body)[0],
            row.author,
            row.note,
            row.made_at,
        )
        for row in conn.execute(query)
    ]


def load_definition(conn: Connection, rule_id: int, version: int) -> RuleDefinition:
    """What a rule said in a version that it has or had."""
    return read_stored(load_body(conn, rule_id, version))[0]


def load_body(conn: Connection, rule_id: int, version: int) -> dict[str, Any]:
    """The same as it was stored."""
    table = alert_rule_versions.c
    query = select(table.body).where(table.rule_id == rule_id, table.version == version)
    found: dict[str, Any] = conn.execute(query).scalar_one()
    return found


def free_name(conn: Connection, wanted: str) -> str:
    """``wanted``, or with the lowest number behind it that no rule in use has."""
    taken = load_names(conn).values()
    numbered = (f"{wanted} {number}" for number in range(2, len(taken) + 3))
    return next(name for name in (wanted, *numbered) if not taken_name(name, taken))


def load_names(conn: Connection) -> dict[int, str]:
    """The names of the rules in use by id."""
    query = select(alert_rules.c.id, alert_rules.c.name).where(alert_rules.c.deleted_at.is_(None))
    return {row.id: row.name for row in conn.execute(query)}


def _rules() -> Select[Any]:
    of_rule = alert_rules.c
    return (
        select(alert_rule_versions, of_rule.created_at)
        .join_from(alert_rules, alert_rule_versions)
        .where(alert_rule_versions.c.version == of_rule.version, of_rule.deleted_at.is_(None))
    )


def _rule(row: Any) -> StoredRule:
    definition, unusable = read_stored(row.body)
    return StoredRule(
        row.rule_id,
        row.version,
        definition,
        row.author,
        row.note,
        row.made_at,
        row.created_at,
        unusable,
    )


def _check_name(conn: Connection, definition: RuleDefinition, rule_id: int | None = None) -> None:
    names = load_names(conn)
    if rule_id is not None and names.pop(rule_id, None) == definition.name:
        # What was allowed once stays.
        return
    if said := taken_name(definition.name, names.values()):
        raise RuleError(said, field="name")


def _add_version(
    conn: Connection,
    rule_id: int,
    version: int,
    definition: RuleDefinition,
    *,
    by: str,
    now: datetime,
    note: str,
    action: str,
    before: dict[str, Any] | None = None,
) -> StoredRule:
    body = to_body(definition)
    conn.execute(
        alert_rule_versions.insert().values(
            rule_id=rule_id, version=version, body=body, note=writable(note), author=by, made_at=now
        )
    )
    was, became = audit.differences(before or {}, body)
    audit.note(
        conn,
        at=now,
        by=by,
        action=action,
        subject="rule",
        subject_id=rule_id,
        name=definition.name,
        before=was if before else None,
        after=became,
    )
    return load_rule(conn, rule_id)
