"""Reading the record gives what the plain computation gives, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, select

from core.accuracy.tallies import CELL, tally
from core.store import ledger
from core.store.record import (
    Filters,
    list_signals,
    load_tallies,
)
from core.store.tables import signals
from tests.records import (
    PROFILES,
    load_plainly,
    make_record,
    store_outcomes,
    store_signals,
    store_verdict,
)

FRAME, MADE = make_record()
NEWEST = FRAME.index.get_level_values("time").max()
MODEL = "gpt-b / 1"
OLD, NEW, OTHER = PROFILES
EVERY = Filters(OLD.name, OLD.version)


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest) -> None:
    """Nothing: the databases of this module are made per test."""


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as conn:
        store_signals(conn, FRAME, MADE, NEWEST - pd.Timedelta("2h"))
        ledger.hold(conn)
        asked = conn.scalars(select(signals.c.id).where(signals.c.direction != 0)).all()
        for number, signal_id in enumerate(asked):
            if number % 3 == 0:
                store_verdict(conn, signal_id, number // 3)
        store_outcomes(conn, MADE)
        yield conn


def plainly(conn: Connection, filters: Filters) -> pd.DataFrame:
    """The outcomes that pass, by pandas."""
    f, rows = filters, load_plainly(conn)
    days = rows["exit_at"].dt.floor("D")
    wanted = (
        (rows["profile_name"] == f.profile_name)
        & (rows["profile_version"] == f.profile_version)
        & (rows["judge"] == f.judge)
    )
    for name, values in (
        ("recorded", (f.recorded,) if f.recorded else ()),
        ("verdict", f.verdicts),
        ("risk_mode", f.risk_modes),
        ("direction", (f.direction,) if f.direction else ()),
        ("horizon", f.horizons),
        ("symbol", f.symbols),
    ):
        if values:
            wanted &= rows[name].isin(values)
    if f.least_coverage is not None:
        wanted &= rows["coverage"] >= f.least_coverage - 1e-9
    if f.start is not None:
        wanted &= days >= pd.Timestamp(f.start, tz="UTC")
    if f.end is not None:
        wanted &= days <= pd.Timestamp(f.end, tz="UTC")
    return rows[wanted]


FIRST, LAST = (NEWEST - pd.Timedelta("3D")).date(), (NEWEST - pd.Timedelta("1D")).date()
FILTERS = [
    EVERY,
    replace(EVERY, judge=MODEL),
    replace(EVERY, profile_version=NEW.version, recorded="later", horizons=("1h", "24h")),
    replace(EVERY, verdicts=("CONFIRM", "WAIT"), direction=-1, least_coverage=0.9),
    replace(EVERY, risk_modes=("NORMAL",), start=FIRST, end=LAST),
    replace(EVERY, symbols=("S1USDT",), judge=MODEL, verdicts=("DOWNSIZE", "SKIP")),
    replace(EVERY, symbols=("S0USDT", "S1USDT"), start=FIRST, horizons=("4h",), direction=1),
]


def test_sums_and_lists_are_of_the_outcomes_that_pass(conn: Connection) -> None:
    for filters in FILTERS:
        passed = plainly(conn, filters)
        assert 10 < len(passed) < 10_000
        for by in ([], ["verdict", "horizon"], list(CELL)):
            found = load_tallies(conn, filters, by)
            plain = tally(passed, by)
            assert found.index.names == plain.index.names
            pd.testing.assert_frame_equal(found, plain, check_index_type=False, rtol=1e-9)
        listed = list_signals(conn, filters, limit=10_000)
        assert len(listed) == len(passed)
        assert listed["exit_at"].is_monotonic_decreasing
        keys = ["signal_id", "horizon"]
        both = listed.merge(passed, on=keys, suffixes=("", "_plain"))
        assert len(both) == len(listed)
        np.testing.assert_array_equal(both["net_return"], both["net_return_plain"])
        pages = [list_signals(conn, filters, 7, offset) for offset in range(0, 35, 7)]
        pd.testing.assert_frame_equal(
            pd.concat(pages, ignore_index=True), listed.iloc[:35], check_dtype=False
        )
