"""What is dropped when it is old. Bars, signals, outcomes and sums of liquidations are never."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, delete

from core.store.liquidations import drop_liquidations
from core.store.observations import drop_observations
from core.store.outbox import drop_old_deliveries, give_up_stale
from core.store.tables import leases, rounds, stream_gaps

# The bars made of them stay; observations are kept for as long as a bar may be asked about.
OBSERVATIONS = timedelta(days=100)
EVENTS = timedelta(days=30)
ROUNDS = timedelta(days=100)
LEASES = timedelta(days=1)


def drop_old(engine: Engine, now: datetime) -> dict[str, int]:
    """Drop what nobody asks for any more; how many rows of what."""
    with engine.begin() as conn:
        observations = drop_observations(conn, now - OBSERVATIONS)
    with engine.begin() as conn:
        events = drop_liquidations(conn, now - EVENTS)
    with engine.begin() as conn:
        give_up_stale(conn, now)
        drop_old_deliveries(conn, now)
    with engine.begin() as conn:
        old_rounds = conn.execute(delete(rounds).where(rounds.c.time < now - ROUNDS)).rowcount
        conn.execute(delete(stream_gaps).where(stream_gaps.c.ended_at < now - ROUNDS))
        conn.execute(delete(leases).where(leases.c.held_until < now - LEASES))
    return {"observations": observations, "liquidations": events, "rounds": old_rounds}
