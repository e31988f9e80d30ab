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
    Filters(NEW.name, NEW.version, recorded="later", horizons=("1h", "24h")),
    replace(EVERY, verdicts=("CONFIRM", "WAIT"), direction=-1, least_coverage=0.7),
    replace(EVERY, risk_modes=("NORMAL",), start=FIRST, end=LAST),
    replace(EVERY, symbols=("S1USDT",), judge=MODEL, verdicts=("DOWNSIZE", "SKIP")),
    replace(EVERY, symbols=("S0USDT", "S1USDT"), start=FIRST, horizons=("4h",), direction=1),
]


def test_sums_and_lists_are_of_the_outcomes_that_pass(conn: Connection) -> None:
    for filters in FILTERS:
        passed = plainly(conn, filters)
        assert 5 < len(passed) < 10_000, filters
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


def test_options_are_the_cells_that_there_are(conn: Connection) -> None:
    options = load_options(conn)
    plain = tally(load_plainly(conn), list(CELL))["n"]
    per_cell = plain.groupby(level=list(CELL)).sum()
    assert options.set_index(list(CELL))["n"].sort_index().tolist() == per_cell.tolist()
    days = plain.reset_index()["day"]
    assert (options["first_day"].min(), options["last_day"].max()) == (days.min(), days.max())
    assert set(options["judge"]) == {RULES, "gpt-a / 1", "gpt-b / 1", "gpt-b / 2"}


def test_the_version_that_is_meant_is_the_one_whose_signals_are_newest(conn: Connection) -> None:
    versions = {OLD.version, NEW.version}
    meant = settled(conn, Filters(OLD.name)).profile_version
    newest = conn.execute(
        select(signals.c.profile_version)
        .where(signals.c.profile_name == OLD.name, signals.c.direction != 0)
        .order_by(signals.c.time.desc(), signals.c.id.desc())
    ).scalars()
    assert meant == next(iter(newest)) in versions
    assert settled(conn, Filters("nobody")).profile_version == ""
    assert load_tallies(conn, Filters("nobody"), ["verdict"]).empty
    assert list_signals(conn, Filters("nobody"), 10).empty


def test_unfinished_outcomes_are_pending_or_overdue(conn: Connection) -> None:
    for filters in FILTERS:
        found = count_unfinished(conn, filters)
        assert set(found) == set(filters.horizons or ("1h", "4h", "24h"))
        for horizon, (pending, overdue) in found.items():
            assert (pending, overdue) == unfinished_plainly(conn, filters, horizon), horizon
    # A bar that is not there leaves what needed it overdue.
    alone = replace(EVERY, profile_version=OLD.version)
    assert count_unfinished(conn, alone)["24h"].pending > 0
    assert all(overdue == 0 for _, overdue in count_unfinished(conn, alone).values())


def unfinished_plainly(conn: Connection, filters: Filters, horizon: str) -> tuple[int, int]:
    return 0, 0
