"""How rules stand, each in a number or two: what a list of them shows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from core.store.tables import alert_events, alert_states


def count_firing_by_rule(conn: Connection) -> dict[int, int]:
    """For how many symbols each rule fires now; rules that fire for none are left out."""
    query = (
        select(alert_states.c.rule_id, func.count())
        .where(alert_states.c.phase.in_(("firing", "recovering")))
        .group_by(alert_states.c.rule_id)
    )
    return dict(iter(conn.execute(query)))


def load_last_fired(conn: Connection) -> dict[int, datetime]:
    """The bar at which each rule fired last; rules that never did are left out."""
    query = (
        select(alert_events.c.rule_id, func.max(alert_events.c.at))
        .where(alert_events.c.kind == "fired")
        .group_by(alert_events.c.rule_id)
    )
    return dict(iter(conn.execute(query)))
