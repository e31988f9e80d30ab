"""What a person watches of the rules: what fires, what is not known, and how far judging is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, select
from sqlalchemy.sql.elements import ColumnElement

from core.alerts.definition import RuleDefinition, read_stored
from core.store.alerts.states import Acknowledgement, Parts, load_progress
from core.store.tables import (
    acknowledgements,
    alert_progress,
    alert_rule_versions,
    alert_rules,
    alert_states,
)

FIRES = ("firing", "recovering")
ACTIVE = ("pending", *FIRES)


@dataclass(frozen=True)
class Watch:
    """The bell's numbers. ``open_by_severity`` fires and nobody took note of it.

    ``judged_bar`` is the newest bar that any rule was judged at, ``judged_at`` when that was done;
    ``since`` is when the first rule in use was made, ``failing`` how many enabled ones have an error.
    """

    rules: int
    open_by_severity: Mapping[str, int]
    acknowledged: int
    judged_bar: datetime | None
    judged_at: datetime | None
    since: datetime | None
    failing: int

    @property
    def open(self) -> int:
        return sum(self.open_by_severity.values())


@dataclass(frozen=True)
class Standing:
    """Where a rule stands for a symbol that is pending, fires or recovers."""

    rule_id: int
    definition: RuleDefinition
    symbol: str
    phase: str
    health: str
    began_at: datetime | None
    fired_at: datetime | None
    unknown_since: datetime | None
    waits: str
    run_lost_s: float
    told_at: datetime | None
    seen_at: datetime | None
    fired_parts: Parts | None
    parts: Parts | None
    acknowledgement: Acknowledgement | None

    @property
    def rule(self) -> str:
        return self.definition.name

    @property
    def severity(self) -> str:
        return self.definition.severity


@dataclass(frozen=True)
class RuleHealth:
    """How judging a rule went last; without ``judged_at`` no bar has judged it."""

    rule_id: int
    rule: str
    severity: str
    enabled: bool
    health: str
    message: str | None
    unknown: int
    symbols: int
    judged_bar: datetime | None
    judged_at: datetime | None
    created_at: datetime


def load_watch(conn: Connection) -> Watch:
    """What the bell says, in three small questions."""
    body = alert_rule_versions.c.body
    severity, acknowledged = body["severity"].as_string(), acknowledgements.c.by.is_not(None)
    firing = (
        select(severity.label("severity"), acknowledged.label("noted"), func.count().label("n"))
        .select_from(_standing())
        .where(alert_states.c.phase.in_(FIRES))
        .group_by(severity, acknowledged)
    )
    found: dict[str, int] = {}
    noted = 0
    for row in conn.execute(firing):
        if row.noted:
            noted += row.n
        else:
            found[row.severity or "warning"] = row.n
    in_use = alert_rules.c.deleted_at.is_(None)
    enabled = body["enabled"].as_boolean().is_not(False)
    rules = conn.execute(
        select(func.count(), func.min(alert_rules.c.created_at))
        .select_from(alert_rules.join(alert_rule_versions, _newest_version()))
        .where(in_use, enabled)
    ).one()
    judged = conn.execute(
        select(
            func.max(alert_progress.c.bar),
            func.max(alert_progress.c.stepped_at),
            # One that is switched off is not judged any more: its last error would stay for ever.
            func.count().filter(alert_progress.c.health == "error", enabled),
        )
        .select_from(alert_progress.join(alert_rules).join(alert_rule_versions, _newest_version()))
        .where(in_use)
    ).one()
    return Watch(rules[0], found, noted, judged[0], judged[1], rules[1], judged[2])


def load_standings(conn: Connection, phases: Collection[str] = ACTIVE) -> list[Standing]:
    """Every rule in use and symbol in these phases, by rule and symbol."""
    query = (
        select(
            alert_states,
            alert_rule_versions.c.version,
            acknowledgements.c.by,
            acknowledgements.c.note,
            acknowledgements.c.acknowledged_at.label("noted_at"),
        )
        .select_from(_standing())
        .where(alert_states.c.phase.in_(list(phases)))
        .order_by(alert_states.c.rule_id, alert_states.c.symbol)
    )
    rows = conn.execute(query).all()
    known = load_definitions(conn, {row.rule_id for row in rows})
    progress = load_progress(conn, values=bool(rows))
    values = {rule_id: one.values for rule_id, one in progress.items()}
    return [
        _as_standing(row, known[row.rule_id], values.get(row.rule_id, {}).get(row.symbol))
        for row in rows
    ]


def load_definitions(conn: Connection, rule_ids: Collection[int]) -> dict[int, RuleDefinition]:
    """What rules say now; of those that were deleted, what they said last."""
    found: dict[int, RuleDefinition] = {}
    wanted = sorted(rule_ids)
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        query = (
            select(alert_rule_versions.c.rule_id, alert_rule_versions.c.body)
            .select_from(alert_rules.join(alert_rule_versions, _newest_version()))
            .where(alert_rules.c.id.in_(part))
        )
        found |= {row.rule_id: read_stored(row.body)[0] for row in conn.execute(query)}
    return found


def load_rule_health(conn: Connection) -> list[RuleHealth]:
    """How judging went last, of every rule in use, by name."""
    body, progress = alert_rule_versions.c.body, alert_progress.c
    query = (
        select(
            alert_rules.c.id.label("rule_id"),
            alert_rules.c.name.label("rule"),
            alert_rules.c.created_at,
            body["severity"].as_string().label("severity"),
            body["enabled"].as_boolean().label("enabled"),
            progress.health,
            progress.message,
            progress.unknown,
            progress.symbols,
            progress.bar.label("judged_bar"),
            progress.stepped_at.label("judged_at"),
        )
        .select_from(
            alert_rules.join(alert_rule_versions, _newest_version()).outerjoin(
                alert_progress, progress.rule_id == alert_rules.c.id
            )
        )
        .where(alert_rules.c.deleted_at.is_(None))
        .order_by(alert_rules.c.name)
    )
    return [
        RuleHealth(
            **{
                **row,
                "severity": row["severity"] or "warning",
                "enabled": row["enabled"] is not False,
                "health": row["health"] or "ok",
                "unknown": row["unknown"] or 0,
                "symbols": row["symbols"] or 0,
            }
        )
        for row in conn.execute(query).mappings()
    ]


def load_rule_names(conn: Connection) -> dict[int, str]:
    """The name of every rule there is or was."""
    return {row.id: row.name for row in conn.execute(select(alert_rules.c.id, alert_rules.c.name))}


def judging_lag(health: Collection[RuleHealth]) -> timedelta | None:
    """From the close of the newest judged bar until it was judged, of the slowest rule."""
    newest = max((one.judged_bar for one in health if one.judged_bar), default=None)
    lags = [
        one.judged_at - one.judged_bar
        for one in health
        if one.judged_at and one.judged_bar and one.judged_bar == newest
    ]
    return max(lags, default=None)


def _newest_version() -> ColumnElement[bool]:
    return and_(
        alert_rule_versions.c.rule_id == alert_rules.c.id,
        alert_rule_versions.c.version == alert_rules.c.version,
    )


def _standing() -> Any:
    """States of rules in use, with the rule's newest version and who took note of the firing."""
    rule = and_(alert_rules.c.id == alert_states.c.rule_id, alert_rules.c.deleted_at.is_(None))
    noted = and_(
        acknowledgements.c.rule_id == alert_states.c.rule_id,
        acknowledgements.c.symbol == alert_states.c.symbol,
        acknowledgements.c.fired_at == alert_states.c.fired_at,
        alert_states.c.phase.in_(FIRES),
    )
    return (
        alert_states.join(alert_rules, rule)
        .join(alert_rule_versions, _newest_version())
        .outerjoin(acknowledgements, noted)
    )


_COPIED = (
    "rule_id", "symbol", "phase", "health", "began_at", "fired_at", "unknown_since", "waits",
    "run_lost_s", "told_at", "seen_at", "fired_parts",
)  # fmt: skip


def _as_standing(row: Any, definition: RuleDefinition, parts: Parts | None) -> Standing:
    noted = (
        None
        if row.by is None
        else Acknowledgement(row.rule_id, row.symbol, row.fired_at, row.by, row.note, row.noted_at)
    )
    return Standing(
        definition=definition,
        parts=parts,
        acknowledgement=noted,
        **{name: getattr(row, name) for name in _COPIED},
    )
