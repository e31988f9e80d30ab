from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, func, select

from core.accuracy.factors import factor_sums
from core.backtest import run
from core.errors import RecordingError, StoreError
from core.market import recording
from core.market.choice import Market, recording_market
from core.market.demo import END, write_demo
from core.replay import PROFILES, Progress, replay
from core.signals import PROFILE_NAMES, load_profile
from core.store import open_store
from core.store.database import open_database
from core.store.record import load_factor_days
from core.store.signals import load_newest, load_progress, load_signal
from core.store.tables import (
    bars,
    factor_days,
    measurements,
    metadata,
    outcomes,
    replays,
    signals,
)
from core.store.tallies import check_tallies
from tests.stored import load_outcomes

NOW = datetime(2025, 12, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[1]
SYMBOLS = ["BTCUSDT", "ETHUSDT", "HYPEUSDT"]
STEP = 700
CLOCKS = {"recorded_at", "created_at", "started_at", "updated_at"}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Forty days of the demo, as a recording like any other; three of its symbols are used."""
    path = tmp_path_factory.mktemp("recordings") / "demo"
    write_demo(path, days=40)
    return recording_market(path)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.replay.STEP_ROWS", STEP)


def go(market: Market, engine: Engine, **options: Any) -> Any:
    usual = {"profiles": ["balanced"], "symbols": SYMBOLS, "clock": lambda: NOW}
    return replay(market, engine, **{**usual, **options})


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of what a replay writes, without the times at which it was written and ids."""
    with engine.connect() as conn:
        assert check_tallies(conn) == []
        key_of = {
            row.id: (row.profile_name, row.symbol, row.time)
            for row in conn.execute(
                select(signals.c.id, signals.c.profile_name, signals.c.symbol, signals.c.time)
            )
        }
        found = {}
        others = (metadata.tables["profiles"], factor_days)
        for table in (bars, measurements, signals, outcomes, replays, *others):
            names = [c.name for c in table.c if c.name not in CLOCKS | {"id", "signal_id"}]
            found[table.name] = sorted(
                (key_of.get(row._mapping.get("signal_id")), *(repr(row._mapping[n]) for n in names))
                for row in conn.execute(select(table))
            )
        return found


@pytest.fixture(scope="module")
def uninterrupted(
    market: Market, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[Any, ...]]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('whole')}/store.sqlite"
    engine = open_store(url, market.key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.replay.STEP_ROWS", STEP)
        go(market, engine)
    found = everything(engine)
    engine.dispose()
    return found


def test_a_replay_stores_what_a_backtest_computes(market: Market, engine: Engine) -> None:
    done = go(market, engine)
    known = recording.read(market.path or "", SYMBOLS)
    assert done.rows == done.new_signals == done.new_bars == len(known.frame)
    expected = run(known.frame, load_profile("balanced"))
    with engine.connect() as conn:
        newest, stored = load_newest(conn, "balanced"), load_outcomes(conn, "balanced")
    last = expected.signals.groupby("symbol").tail(1)
    names = ["score", "coverage", "verdict", "multiplier", "stop_price", "no_signal", "no_plan"]
    pd.testing.assert_frame_equal(newest[names], last[names], check_dtype=False)
    assert done.new_outcomes == len(expected.outcomes) == len(stored) > 200
    with engine.connect() as conn:
        version = load_profile("balanced").windows_version
        days = load_factor_days(conn, version).set_index(["day", "factor", "other"])
    sums = factor_sums(expected.signals, load_profile("balanced").windows).loc[
        : days.index.get_level_values("day").max()
    ]
    pd.testing.assert_frame_equal(
        days.sort_index(), sums.sort_index(), check_dtype=False, check_index_type=False, rtol=1e-9
    )
    assert stored["net_return"].tolist() == expected.outcomes["net_return"].tolist()
    ages = newest.filter(like="age_").set_axis(known.ages.columns, axis=1)
    pd.testing.assert_frame_equal(ages, known.ages.loc[newest.index])


def test_running_twice_changes_nothing(market: Market, engine: Engine) -> None:
    go(market, engine)
    with engine.connect() as conn:
        before = [conn.execute(select(table)).all() for table in metadata.sorted_tables]
    again = go(market, engine, clock=lambda: NOW + timedelta(days=1))
    with engine.connect() as conn:
        assert [conn.execute(select(table)).all() for table in metadata.sorted_tables] == before
    assert (again.new_bars, again.new_signals, again.new_outcomes) == (0, 0, 0)


PROGRAM = """
import os, signal, sys, time
from pathlib import Path
import core.replay
from core.market.choice import recording_market
from core.store.database import open_database
from core.store.signals import load_progress

core.replay.STEP_ROWS = {step}
engine = open_database(sys.argv[2])
save = core.replay.save_outcomes
calls, told = [], []

def save_and_perhaps_die(*arguments):
    calls.append(save(*arguments))
    if len(calls) == {die_in_step}:
        os.kill(os.getpid(), signal.SIGKILL)
    return calls[-1]

def wait_for_another(progress):
    deadline, told[:] = time.monotonic() + 60, [*told, progress]
    while {wait} and len(told) == 1 and time.monotonic() < deadline:
        with engine.connect() as conn:
            if load_progress(conn)[0]["rows_done"] > progress.rows_done:
                break
        time.sleep(0.02)

core.replay.save_outcomes = save_and_perhaps_die
core.replay.replay(
    recording_market(Path(sys.argv[1])),
    engine,
    profiles=["balanced"],
    symbols={symbols},
    progress=wait_for_another,
)
"""


def start_process(
    market: Market, engine: Engine, *, die_in_step: int = 0, wait: bool = False
) -> subprocess.Popen[bytes]:
    """A replay in a process of its own that dies in a step, or waits after its first for another."""
    url = engine.url.render_as_string(hide_password=False)
    program = PROGRAM.format(step=STEP, symbols=SYMBOLS, die_in_step=die_in_step, wait=wait)
    return subprocess.Popen([sys.executable, "-c", program, str(market.path), url], cwd=ROOT)


def test_a_killed_replay_goes_on_and_ends_like_one_that_was_not(
    market: Market, engine: Engine, uninterrupted: dict[str, list[tuple[Any, ...]]]
) -> None:
    killed = start_process(market, engine, die_in_step=3)
    killed.wait(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with engine.connect() as conn:
        (progress,) = load_progress(conn)
        assert progress["state"] == "running"
        assert 0 < progress["rows_done"] < progress["rows_total"]
        stored = conn.scalar(select(func.count()).select_from(signals))
        assert stored == progress["rows_done"]  # the step it died in left nothing
    done = go(market, engine)
    assert done.new_signals == progress["rows_total"] - progress["rows_done"]
    assert everything(engine) == uninterrupted


def rows_done(engine: Engine) -> int:
    with engine.connect() as conn:
        return sum(row["rows_done"] for row in load_progress(conn))


def test_two_replays_at_once_leave_one_copy(
    market: Market, engine: Engine, uninterrupted: dict[str, list[tuple[Any, ...]]]
) -> None:
    other = start_process(market, engine, wait=True)
    deadline = monotonic() + 60
    while not rows_done(engine):
        assert monotonic() < deadline
        sleep(0.05)
    done = go(market, engine)
    code = other.wait(timeout=60)
    assert 0 < done.new_signals < done.rows
    assert code == 0
    assert everything(engine) == uninterrupted


def test_progress_is_told_and_kept(market: Market, sqlite_engine: Engine) -> None:
    told: list[Progress] = []
    seen: list[int] = []

    def watch(progress: Progress) -> None:
        told.append(progress)
        with sqlite_engine.connect() as conn:
            seen.append(load_progress(conn)[0]["rows_done"])

    go(market, sqlite_engine, progress=watch)
    assert [p.rows_done for p in told] == seen == sorted(seen)
    assert len(told) > 3
    assert told[-1] == Progress("balanced", told[0].rows_total, told[0].rows_total)
    with sqlite_engine.connect() as conn:
        (row,) = load_progress(conn)
    assert (row["state"], row["message"], row["through"]) == ("done", None, END)


def test_every_mode_is_replayed_the_default_one_first(
    market: Market, sqlite_engine: Engine
) -> None:
    told: list[str] = []
    go(
        market,
        sqlite_engine,
        profiles=PROFILES,
        symbols=["BTCUSDT"],
        progress=lambda p: told.append(p.profile),
    )
    assert tuple(dict.fromkeys(told)) == PROFILES
    with sqlite_engine.connect() as conn:
        stored = [
            conn.scalar(select(func.count()).select_from(table)) or 0
            for table in (bars, measurements, signals)
        ]
    assert stored == [stored[0], stored[0], stored[0] * len(PROFILES)]
    assert PROFILES[0] == "balanced"
    assert set(PROFILES) == set(PROFILE_NAMES)


def test_a_part_is_stored_as_it_is_in_the_whole(
    market: Market, sqlite_engine: Engine, new_sqlite: Callable[[], str]
) -> None:
    whole = open_database(new_sqlite())
    go(market, whole)
    start = END - timedelta(hours=48)
    done = go(market, sqlite_engine, start=start.isoformat(), symbols=["ETHUSDT"])
    assert done.rows == 49
    with whole.connect() as one, sqlite_engine.connect() as other:
        expected = load_signal(one, "ETHUSDT", "balanced", start)
        found = load_signal(other, "ETHUSDT", "balanced", start)
        assert expected is not None
        assert found is not None
        pd.testing.assert_series_equal(found, expected)
    whole.dispose()


def test_a_later_end_adds_the_rest(
    market: Market, sqlite_engine: Engine, uninterrupted: dict[str, list[tuple[Any, ...]]]
) -> None:
    go(market, sqlite_engine, end=END - timedelta(days=3))
    done = go(market, sqlite_engine)
    assert 0 < done.new_signals < done.rows
    found = everything(sqlite_engine)
    assert found["signals"] == uninterrupted["signals"]
    assert found["outcomes"] == uninterrupted["outcomes"]


def test_another_market_is_refused(market: Market, sqlite_engine: Engine, tmp_path: Path) -> None:
    write_demo(tmp_path / "other", days=2)
    go(market, sqlite_engine, symbols=["BTCUSDT"])
    with pytest.raises(StoreError, match="holds the market recording-demo-"):
        go(recording_market(tmp_path / "other"), sqlite_engine)


def test_a_range_without_bars_is_refused(market: Market, sqlite_engine: Engine) -> None:
    with pytest.raises(RecordingError, match="no bars"):
        go(market, sqlite_engine, start="2030-01-01")


def test_a_failure_is_kept_with_its_reason_and_can_be_tried_again(
    market: Market, sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise StoreError("The disk is full; make room.")

    with monkeypatch.context() as patch:
        patch.setattr("core.replay.save_outcomes", fail)
        with pytest.raises(StoreError, match="disk is full"):
            go(market, sqlite_engine, symbols=["BTCUSDT"])
    with sqlite_engine.connect() as conn:
        (row,) = load_progress(conn)
    assert (row["state"], row["message"]) == ("failed", "The disk is full; make room.")
    go(market, sqlite_engine, symbols=["BTCUSDT"])
    with sqlite_engine.connect() as conn:
        (row,) = load_progress(conn)
    assert (row["state"], row["message"]) == ("done", None)


def test_the_recording_of_a_real_market_is_replayed(
    shared_recording: Path, sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.replay.STEP_ROWS", 6_000)
    replay(recording_market(shared_recording), sqlite_engine, profiles=["balanced"])
    with sqlite_engine.connect() as conn:
        newest = load_newest(conn, "balanced").droplevel("time")
    coverage = newest["coverage"].round(2)
    assert coverage["BTCUSDT"] == 0.94
    assert (coverage[["ETHUSDT", "SOLUSDT", "XRPUSDT"]] == 0.72).all()
    others = newest.drop(["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"])
    assert len(others) == 29
    assert others["direction"].isna().all()
    assert others["no_signal"].str.startswith("coverage ").all()
    assert newest.loc["BTCUSDT", "no_signal"] is None
