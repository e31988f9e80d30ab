"""Outcomes of past periods: what was observed live gives the same record when it is replayed, later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from live_market import few
from sqlalchemy import Engine, func, select
from test_jobs import do_round, make_jobs

from core.accuracy.tallies import LATER
from core.errors import StoreError
from core.jobs.round import HOUR
from core.market import recording
from core.market.choice import recording_market
from core.market.demo import END, demo_tables
from core.replay import replay
from core.store.database import open_database
from core.store.observations import load_observations
from core.store.opening import claim_market
from core.store.tables import questions, signals, tally_cells
from tests.stored import load_outcomes

NOW = datetime(2025, 12, 1, tzinfo=UTC)
FIRST = END - timedelta(hours=6)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return few(demo_tables(days=34), ["BTCUSDT", "ETHUSDT"])


def test_a_recording_of_the_live_market_fills_the_past_of_its_own_database_with_the_same_record(
    engine: Engine, new_url: Callable[[], str], tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    with engine.begin() as conn:
        claim_market(conn, "live")
    jobs = make_jobs(engine, tables)
    for hour in (0, 6):
        do_round(jobs, FIRST + hour * HOUR)
    with engine.connect() as conn:
        recording.write(tmp_path / "observed", load_observations(conn))
        live = load_outcomes(conn, "aggressive")
    market, other = recording_market(tmp_path / "observed"), open_database(new_url())
    with pytest.raises(StoreError, match="holds the market live and cannot also hold recording-"):
        replay(market, engine)
    replay(market, other, profiles=["aggressive"], clock=lambda: NOW)
    with other.connect() as conn:
        filled = load_outcomes(conn, "aggressive")
        first, recorded = conn.execute(
            select(func.max(signals.c.time), func.min(signals.c.recorded_at))
        ).one()
        assert set(conn.scalars(select(tally_cells.c.recorded))) == {LATER}
        assert conn.scalar(select(func.count()).select_from(questions)) == 0
    assert len(live) > 200
    pd.testing.assert_frame_equal(filled, live)
    assert recorded - first > timedelta(hours=2)
    other.dispose()
