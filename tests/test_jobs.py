"""What is done for every bar of a live market, without the machinery that sees to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import pandas as pd
import pytest
from live_market import TablesCollector, few
from sqlalchemy import Engine

from core.backtest import run
from core.errors import SourceUnavailable
from core.jobs.collecting import BACKFILL
from core.jobs.retention import OBSERVATIONS, drop_old
from core.jobs.round import HOUR, Jobs
from core.market.demo import END, demo_tables
from core.market.files import FILES
from core.market.recording import assemble
from core.signals import load_profile
from core.store.database import open_database
from core.store.due import load_frame
from core.store.health import load_health
from core.store.leases import drop_lease, load_leases, take_lease
from core.store.observations import load_observations
from core.store.rounds import load_rounds
from core.store.signals import load_newest, load_progress
from core.store.tables import signals
from tests.stored import load_outcomes

SYMBOLS = ["BTCUSDT", "ETHUSDT", "HYPEUSDT"]
NOW = datetime(2025, 12, 1, tzinfo=UTC)
START = END - timedelta(hours=30)


@cache
def forty_days() -> dict[str, pd.DataFrame]:
    """Of the demo's market, of which three symbols are used."""
    return few(demo_tables(days=40), SYMBOLS)


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    return forty_days()


def make_jobs(engine: Engine, tables: dict[str, pd.DataFrame], name: str = "one") -> Jobs:
    return Jobs(engine, TablesCollector(tables), name, lambda: NOW, batches=1)


def do_round(jobs: Jobs, bar: datetime) -> tuple[int, int, int]:
    if not jobs.begin(bar):
        return 0, 0, 0
    new, _ = jobs.collect(bar)
    done = (*jobs.decide(bar, 0, 1), jobs.resolve(bar, 0, 1))
    names = ("new_bars", "new_signals", "new_outcomes")
    jobs.end(bar, None, new_observations=new, **dict(zip(names, done, strict=True)))
    return done


def do_first_round(engine: Engine) -> None:
    assert do_round(make_jobs(engine, forty_days()), START)[0] > 2_000


@pytest.fixture
def begun(new_url: Callable[..., str]) -> Iterator[Engine]:
    """The first round was done: it works through the past."""
    engine = open_database(new_url(do_first_round))
    yield engine
    engine.dispose()


def test_the_live_market_is_the_recording_it_was_fed_with(
    begun: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    engine, jobs = begun, make_jobs(begun, tables)
    for hour in range(1, 4):
        assert do_round(jobs, START + hour * HOUR)[:2] == (3, 9)
    end = START + 3 * HOUR
    first = START - BACKFILL
    whole = assemble(
        {name: table[table[FILES[name].known_at] >= first] for name, table in tables.items()},
        first,
        end,
    ).frame
    with engine.connect() as conn:
        stored = load_frame(conn, SYMBOLS, first, end)
        newest = load_newest(conn, "balanced")
    pd.testing.assert_frame_equal(stored, whole, check_index_type=False, check_like=True)
    expected = run(whole, load_profile("balanced")).signals.groupby("symbol").tail(1)
    for name in ("score", "coverage", "direction", "multiplier", "atr", "stop_price"):
        pd.testing.assert_series_equal(
            newest[name], expected[name], check_index_type=False, check_dtype=False, rtol=1e-9
        )
    assert newest["verdict"].tolist() == expected["verdict"].tolist()


def test_a_round_that_is_done_again_adds_nothing(
    new_sqlite: Callable[..., str], tables: dict[str, pd.DataFrame]
) -> None:
    engine = open_database(new_sqlite(do_first_round))
    second = make_jobs(engine, tables, "two")
    assert do_round(second, START) == (0, 0, 0)
    assert second.collect(START) == (0, 0)
    assert second.decide(START, 0, 1) == (0, 0)
    assert second.resolve(START, 0, 1) == 0
    with engine.connect() as conn:
        (row,) = load_rounds(conn, 5).to_dict("records")
    engine.dispose()
    assert (row["state"], row["worker"]) == ("done", "one")


def test_a_late_candle_and_missed_bars_are_filled_in(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    candles = tables["candles_1h"]
    late = (candles["symbol"] == "ETHUSDT") & (candles["published_at"] == START)
    jobs = make_jobs(engine, tables | {"candles_1h": candles[~late]})
    do_round(jobs, START)
    jobs = make_jobs(engine, tables)
    assert do_round(jobs, START + 4 * HOUR)[:2] == (13, 39)
    with engine.connect() as conn:
        assert len(load_frame(conn, SYMBOLS, START, START + 4 * HOUR)) == 15


def test_outcomes_that_are_resolved_late_have_the_same_numbers(
    tables: dict[str, pd.DataFrame], new_url: Callable[..., str]
) -> None:
    found = []
    for every in (6, 30):
        engine = open_database(new_url(do_first_round))
        jobs = make_jobs(engine, tables)
        for hour in range(every, 31, every):
            do_round(jobs, START + hour * HOUR)
        with engine.connect() as conn:
            found.append(load_outcomes(conn, "aggressive"))
        engine.dispose()
    assert len(found[0]) > 1_000
    pd.testing.assert_frame_equal(*found)


def test_a_source_that_fails_leaves_the_rest_and_says_why(
    sqlite_engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    without = tables | {"candles_1h": tables["candles_1h"].head(0)}
    jobs = make_jobs(sqlite_engine, without)
    assert jobs.begin(START)
    with pytest.raises(SourceUnavailable, match="No exchange has given a candle"):
        jobs.collect(START)
    jobs.end(START, "No candle.")
    with sqlite_engine.connect() as conn:
        assert set(load_observations(conn)) == set(tables) - {"candles_1h"}
        assert load_health(conn)["healthy"].tolist() == [True]
        (row,) = load_rounds(conn, 5).to_dict("records")
    assert (row["state"], row["message"]) == ("failed", "No candle.")
    assert do_round(make_jobs(sqlite_engine, tables), START)[0] > 2_000


def test_a_long_past_shows_how_far_it_is(
    sqlite_engine: Engine, tables: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.round.STEP_ROWS", 1_000)
    monkeypatch.setattr("core.jobs.deciding.STEP_ROWS", 1_000)
    jobs = make_jobs(sqlite_engine, tables)
    assert jobs.begin(START)
    jobs.collect(START)
    with sqlite_engine.connect() as conn:
        before = load_progress(conn)
    bars, _ = jobs.decide(START, 0, 1)
    with sqlite_engine.connect() as conn:
        after = load_progress(conn)
    jobs.end(START)
    with sqlite_engine.connect() as conn:
        done = load_progress(conn)
    assert [(row["state"], row["rows_done"]) for row in before] == [("running", 0)] * 3
    assert {row["rows_done"] for row in after} == {bars}
    assert [(row["state"], row["through"]) for row in done] == [("done", START)] * 3


def test_only_observations_are_dropped_when_they_are_old(begun: Engine) -> None:
    engine = begun
    with engine.connect() as conn:
        before = conn.execute(signals.select()).all()
    dropped = drop_old(engine, START + OBSERVATIONS)
    assert dropped["observations"] > 5_000
    with engine.connect() as conn:
        assert conn.execute(signals.select()).all() == before


def test_a_lease_has_one_holder_until_it_runs_out(engine: Engine) -> None:
    length = timedelta(seconds=15)
    with engine.begin() as conn:
        assert take_lease(conn, "stream binance", "one", NOW, length)
        assert not take_lease(conn, "stream binance", "two", NOW + length / 2, length)
        assert take_lease(conn, "stream binance", "one", NOW + length / 2, length)
        assert not take_lease(conn, "stream binance", "two", NOW + length, length)
        assert take_lease(conn, "stream binance", "two", NOW + 2 * length, length)
        assert load_leases(conn, "stream ", NOW + 2 * length) == {"stream binance": "two"}
        drop_lease(conn, "stream binance", "one")
        assert load_leases(conn, "stream ", NOW + 4 * length) == {}
        drop_lease(conn, "stream binance", "two")
        assert take_lease(conn, "stream binance", "one", NOW + 2 * length, length)
