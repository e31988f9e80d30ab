"""States of alert rules by row, as a test looks at them one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from core.alerts.states import States, changed, to_columns
from core.store.alerts.states import save_states


def to_rows(states: States, *, since: States | None = None) -> list[dict[str, Any]]:
    """One dict per symbol; with ``since``, of those only that have to be written after a step."""
    columns = to_columns(states, changed(states, since))
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def save_rows(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store rows of `to_rows` with rule_id and fired_parts."""
    save_states(conn, {name: [row[name] for row in rows] for name in rows[0]})
