"""How the sources were doing when a worker last wrote it down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from core.market.source_state import SourceState
from core.store.tables import source_health


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


def load_health(conn: Connection) -> pd.DataFrame:
    """Every source as it was last noted, index source; ``state`` is a `SourceState` as a mapping."""
    rows = conn.execute(select(source_health).order_by(source_health.c.source)).mappings().all()
    names = [column.name for column in source_health.c]
    return pd.DataFrame(rows, columns=names).set_index("source")
