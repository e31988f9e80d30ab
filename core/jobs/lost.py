"""Questions to a model that were begun and never ended, because their worker is gone."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from core.store.leases import WORKER, load_leases
from core.store.verdicts import has_open_claims, write_lost

RECENT = timedelta(days=1)
_logger = logging.getLogger(__name__)


def find_lost(
    engine: Engine,
    worker: str,
    now: datetime,
    under_way: Collection[int] | None = None,
    *,
    ever: bool = False,
) -> int:
    """Record what workers that are gone had asked as lost; how many.

    Looks at the last `RECENT`, or with ``ever`` at all that was asked.
    A worker's own questions are lost too where they are not ``under_way``, if it says which are.
    """
    since = None if ever else now - RECENT
    with engine.connect() as conn:
        if not has_open_claims(conn, since):
            return 0
    with engine.begin() as conn:
        # Leases run by the clock on the wall, whatever time the market is in.
        living = set(load_leases(conn, WORKER, datetime.now(UTC)).values())
        lost = write_lost(conn, living, worker, now, under_way, since)
    if lost:
        _logger.warning("%d questions to the model were lost with their worker.", lost)
    return lost
