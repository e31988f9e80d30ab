"""How the sources were doing when a worker last wrote it down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from core.market.budgets import BudgetUse
from core.market.source_state import SourceState
from core.store.tables import source_health

# What was spent of the budgets of each source, by source.
UsedBudgets = Mapping[str, Sequence[BudgetUse]]


def save_health(conn: Connection, states: Iterable[SourceState], worker: str, at: datetime) -> None:
    """Note the states, each in place of the one before."""
    insert = (sqlite if conn.dialect.name == "sqlite" else postgresql).insert(source_health)
    for state in sorted(states, key=lambda state: state.source):
        values = {
            "healthy": state.healthy,
            "last_success_at": state.last_success_at,
            "last_failure_at": state.last_failure_at,
            "last_failure": state.last_failure,
            "state": asdict(state),
            "worker": worker,
            "updated_at": at,
        }
        statement = insert.values(source=state.source, **values)
        conn.execute(statement.on_conflict_do_update(index_elements=["source"], set_=values))


def load_used_budgets(conn: Connection, worker: str, now: datetime) -> UsedBudgets:
    """What other workers than this one have spent of the budgets whose time is not over."""
    query = select(source_health.c.source, source_health.c.state, source_health.c.updated_at)
    return {
        row.source: [
            use
            for use in (BudgetUse(**told) for told in row.state.get("budgets", ()))
            if now - row.updated_at < timedelta(seconds=use.seconds)
        ]
        for row in conn.execute(query.where(source_health.c.worker != worker))
    }


def load_health(conn: Connection) -> pd.DataFrame:
    """Every source as it was last noted, index source; ``state`` is a `SourceState` as a mapping."""
    rows = conn.execute(select(source_health).order_by(source_health.c.source)).mappings().all()
    names = [column.name for column in source_health.c]
    return pd.DataFrame(rows, columns=names).set_index("source")
