"""Where the machine of every rule stands, and what happened: written at a bar, read by pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.store import database
from core.store.bulk import as_taken, columns_of, insert_new, replace_rows
from core.store.database import UtcDateTime
from core.store.tables import (
    acknowledgements,
    alert_events,
    alert_progress,
    alert_rules,
    alert_states,
)
from core.store.tables.base import RowId

Parts = list[dict[str, Any]]
_LOCK = 7_267_283_004


@dataclass(frozen=True)
class Progress:
    """Up to which bar a rule was judged, by which of its versions, and how that went."""

    rule_id: int
    version: int
    bar: datetime
    health: str
    message: str | None
    unknown: int
    symbols: int
    stepped_at: datetime
    # What the parts of the expression were at the bar, of the symbols that fire.
    values: Mapping[str, Parts] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredEvent:
    """What happened to a symbol at the bar that closed at ``at``."""

    rule_id: int
    version: int
    symbol: str
    kind: str
    at: datetime
    began_at: datetime | None
    fired_at: datetime | None
    severity: str
    reason: str
    told: str
    parts: Parts | None
    recorded_at: datetime
    id: int | None = None


@dataclass(frozen=True)
class Acknowledgement:
    """Who took note of a firing."""

    rule_id: int
    symbol: str
    fired_at: datetime
    by: str
    note: str
    acknowledged_at: datetime


def hold_alerts(conn: Connection) -> None:
    """Be the only one who judges alert rules until the transaction ends."""
    database.hold(conn, _LOCK)


def load_progress(
    conn: Connection, rule_ids: Collection[int] | None = None, *, values: bool = False
) -> dict[int, Progress]:
    """By rule, of some or of all, with the values of what fires only where they are asked for.

    A rule that no bar has judged has none.
    """
    kept = alert_progress.c["values"]
    query = select(*(column for column in alert_progress.c if values or column is not kept))
    if rule_ids is not None:
        query = query.where(alert_progress.c.rule_id.in_(list(rule_ids)))
    return {
        row["rule_id"]: Progress(**{**row, "values": _unpacked(row.get("values"))})
        for row in conn.execute(query).mappings()
    }


def save_progress(conn: Connection, found: Iterable[Progress]) -> None:
    """Write down how far rules are; for the values that show then see `save_values`."""
    rows = [{**vars(one), "values": _packed(one.values)} for one in found]
    replace_rows(conn, alert_progress, columns_of(conn, alert_progress, rows))


def save_values(
    conn: Connection, found: Iterable[tuple[int, datetime, Mapping[str, Parts]]]
) -> None:
    """Write down, by rule, what the parts of its expression are at the bar it is judged up to.

    Where it has been judged further meanwhile, nothing is written.
    """
    rows = [{"rule": rule, "at": bar, "new": _packed(values)} for rule, bar, values in found]
    conn.execute(_SAVE_VALUES, rows)


def load_states(
    conn: Connection, rule_ids: Collection[int] | None = None, phases: Collection[str] = ()
) -> dict[int, list[dict[str, Any]]]:
    """Rows as `core.alerts.states.from_rows` takes them, by rule.

    With ``fired_parts``, what the parts of the expression were when it fired last; for what they are
    now see `Progress.values`.
    """
    query = select(alert_states).order_by(alert_states.c.rule_id, alert_states.c.symbol)
    if phases:
        query = query.where(alert_states.c.phase.in_(list(phases)))
    if rule_ids is not None:
        query = query.where(alert_states.c.rule_id.in_(list(rule_ids)))
    found: dict[int, list[dict[str, Any]]] = {}
    for row in conn.execute(query).mappings():
        found.setdefault(row["rule_id"], []).append(dict(row))
    return found


def save_states(conn: Connection, columns: Mapping[str, Sequence[Any]]) -> None:
    """Put columns of `core.alerts.states.to_columns` with rule_id and fired_parts in their place."""
    replace_rows(conn, alert_states, as_taken(conn, alert_states, columns), kept=("fired_parts",))


def drop_states(conn: Connection, rule_id: int, symbols: Collection[str] | None = None) -> None:
    """Forget where a rule stands, of some symbols or of all."""
    gone = delete(alert_states).where(alert_states.c.rule_id == rule_id)
    if symbols is not None:
        gone = gone.where(alert_states.c.symbol.in_(sorted(symbols)))
    conn.execute(gone)


def end_deleted(conn: Connection, now: datetime) -> int:
    """End what fires of rules that were deleted, and forget where they stood; how many ended."""
    gone = select(alert_rules.c.id).where(alert_rules.c.deleted_at.is_not(None))
    left = list(
        conn.scalars(select(alert_progress.c.rule_id).where(alert_progress.c.rule_id.in_(gone)))
    )
    if not left:
        return 0
    progress = load_progress(conn)
    ended = [
        StoredEvent(
            rule_id, progress[rule_id].version, row["symbol"], "ended", now, row["began_at"],
            row["fired_at"], _severity(conn, rule_id), "removed", "disabled", None, now,
        )
        for rule_id, rows in load_states(conn, left, ("firing", "recovering")).items()
        for row in rows
    ]  # fmt: skip
    count = add_events(conn, ended)
    for rule_id in left:
        drop_states(conn, rule_id)
        conn.execute(delete(alert_progress).where(alert_progress.c.rule_id == rule_id))
    return count


def _severity(conn: Connection, rule_id: int) -> str:
    query = select(alert_events.c.severity).where(alert_events.c.rule_id == rule_id)
    return conn.scalar(query.order_by(alert_events.c.id.desc()).limit(1)) or "warning"


def add_events(conn: Connection, events: Iterable[StoredEvent]) -> int:
    """Store what happened, once each; how many are new."""
    rows = [{n: v for n, v in vars(one).items() if n != "id"} for one in events]
    return insert_new(conn, alert_events, columns_of(conn, alert_events, rows))


def acknowledge(conn: Connection, found: Iterable[Acknowledgement]) -> None:
    """Note who took note of firings; the first one of each stays."""
    rows = [vars(one) for one in found]
    if rows:
        keys = ["rule_id", "symbol", "fired_at"]
        insert = _insert(conn, acknowledgements)
        conn.execute(insert.on_conflict_do_nothing(index_elements=keys), rows)


def acknowledged_firings(conn: Connection) -> dict[int, list[str]]:
    """The symbols of every rule whose present firing somebody took note of."""
    same = and_(
        acknowledgements.c.rule_id == alert_states.c.rule_id,
        acknowledgements.c.symbol == alert_states.c.symbol,
        acknowledgements.c.fired_at == alert_states.c.fired_at,
    )
    query = (
        select(alert_states.c.rule_id, alert_states.c.symbol)
        .join(acknowledgements, same)
        .where(alert_states.c.phase.in_(("firing", "recovering")))
    )
    found: dict[int, list[str]] = {}
    for rule_id, symbol in conn.execute(query):
        found.setdefault(rule_id, []).append(symbol)
    return found


_SAVE_VALUES = (
    update(alert_progress)
    .where(
        alert_progress.c.rule_id == bindparam("rule", type_=RowId),
        alert_progress.c.bar == bindparam("at", type_=UtcDateTime()),
    )
    .values(values=bindparam("new", type_=alert_progress.c["values"].type))
)


def _packed(values: Mapping[str, Parts]) -> dict[str, Any]:
    """What is the same for every symbol is kept once."""
    if not values:
        return {}
    first = next(iter(values.values()))
    heads = [{name: value for name, value in part.items() if name != "value"} for part in first]
    of = {symbol: [part["value"] for part in parts] for symbol, parts in values.items()}
    return {"parts": heads, "of": of}


def _unpacked(packed: Mapping[str, Any] | None) -> dict[str, Parts]:
    if not packed:
        return {}
    return {
        symbol: [{**head, "value": value} for head, value in zip(packed["parts"], of, strict=True)]
        for symbol, of in packed["of"].items()
    }


def _insert(conn: Connection, table: Table) -> Any:
    return (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(table)
