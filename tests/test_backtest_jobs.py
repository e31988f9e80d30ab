"""Backtests as jobs: what they compute, and workers that are killed, stopped and told to cancel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import pandas as pd
import pytest
from live_market import TablesCollector, few
from sqlalchemy import Engine, func, select

from core.accuracy.tallies import DAY, tally
from core.backtest import run
from core.backtest.walk import CELL, folds, part, split
from core.jobs.backtests import Backtests
from core.jobs.round import Jobs
from core.market import recording
from core.market.choice import Market, live_market, recording_market
from core.market.demo import END, demo_tables, write_demo
from core.outcomes import resolve
from core.replay import replay
from core.settings import load_settings
from core.signals import Profile, load_profile
from core.store import backtests as store
from core.store.database import open_database
from core.store.profiles import put_in_force, save_version
from core.store.rounds import end_round, start_round
from core.store.signals import load_progress
from core.store.tables import backtests, measurements, outcomes, signals

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2025, 12, 1, tzinfo=UTC)
LOOSE = Profile(name="balanced", threshold=54)
DAYS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of an installation, with one recording of 30 days in it."""
    data = tmp_path_factory.mktemp("data")
    write_demo(data / "recordings" / "autumn", days=DAYS)
    return data


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A recording of few days, for workers that have to work through it."""
    path = tmp_path_factory.mktemp("short") / "recordings" / "short"
    write_demo(path, days=4)
    return recording_market(path)


@pytest.fixture(scope="module")
def market(folder: Path) -> Market:
    return recording_market(folder / "recordings" / "autumn")


def make_backtests(engine: Engine, folder: Path, market: Market, **changes: object) -> Backtests:
    settings = load_settings({"CRYPTOSATX_DATA": str(folder)})
    return Backtests(engine, settings, market, "w", **changes)  # type: ignore[arg-type]


def ask(engine: Engine, market: Market, profile: Profile = LOOSE, **asked: object) -> str:
    with engine.begin() as conn:
        return store.ask(conn, store.Asked("try", market.key, profile, **asked), "ada", NOW)  # type: ignore[arg-type]


def find(engine: Engine, run_id: str) -> store.Run:
    with engine.connect() as conn:
        found = store.load_run(conn, run_id)
    assert found is not None
    return found


def shown(engine: Engine, run_id: str) -> pd.DataFrame:
    with engine.connect() as conn:
        result = store.load_result(conn, run_id)
    assert result is not None
    return store.parse_tallies(result["tallies"])


def held_back_sums(engine: Engine, run_id: str) -> pd.DataFrame:
    with engine.connect() as conn:
        body = conn.scalar(select(backtests.c.held_back).where(backtests.c.id == run_id))
    return store.parse_tallies(body["tallies"])


def test_a_run_is_the_pipeline_over_the_history_divided_at_its_last_third(
    engine: Engine, folder: Path, market: Market
) -> None:
    replay(market, engine, profiles=["balanced"], clock=lambda: NOW)
    work = make_backtests(engine, folder, market)
    run_id = ask(engine, market)
    work.run(run_id)
    assert find(engine, run_id).state == "done"
    frame = recording.load(market.path or "")
    times = frame.index.get_level_values("time")
    of = split(times.min(), times.max())
    whole = part(run(frame, LOOSE).outcomes, of)
    for found, expected in (
        (shown(engine, run_id), whole.shown),
        (held_back_sums(engine, run_id), whole.held_back),
    ):
        found = found.sort_index()
        assert found.index.tolist() == expected.index.tolist()
        pd.testing.assert_frame_equal(
            found, expected, check_index_type=False, rtol=1e-8, check_dtype=False
        )
    assert shown(engine, run_id).index.get_level_values(DAY).max() < of.held_back_from
    assert find(engine, run_id).held_back_from == of.held_back_from
    # A recording beside another market gives the same as the bars stored of it.
    elsewhere = make_backtests(engine, folder, live_market())
    other = ask(engine, market)
    elsewhere.run(other)
    pd.testing.assert_frame_equal(shown(engine, other), shown(engine, run_id))


def test_what_reaches_into_the_held_back_days_belongs_to_neither_part(
    market: Market,
) -> None:
    frame = recording.load(market.path or "", ["BTCUSDT", "ETHUSDT"])
    times = frame.index.get_level_values("time")
    of = split(times.min(), times.max())
    result = run(frame, LOOSE)
    parted = part(result.outcomes, of)
    ended = result.outcomes["exit_at"]
    decided = result.outcomes.index.get_level_values("time")
    crossing = (decided < of.held_back_from) & (ended >= of.held_back_from)
    assert parted.purged == crossing.sum() > 0
    counted = parted.shown["n"].sum() + parted.held_back["n"].sum() + parted.purged
    assert counted == tally(result.outcomes, CELL)["n"].sum()
    # What is shown is the same had the held-back days never been.
    before = frame[times < of.held_back_from]
    alone = resolve(run(before, LOOSE).signals, before)
    alone = alone[alone["exit_at"] < of.held_back_from]
    pd.testing.assert_frame_equal(parted.shown, tally(alone, CELL))


def test_no_period_shows_what_the_history_holds_back(
    engine: Engine, folder: Path, market: Market
) -> None:
    work = make_backtests(engine, folder, live_market())
    last = END.replace(hour=0)
    late = ask(engine, market, start=last - timedelta(days=5), end=last)
    work.run(late)
    assert find(engine, late).state == "failed"
    assert "are held back. Choose a period that begins earlier." in (
        find(engine, late).message or ""
    )
    part_of_it = ask(engine, market, start=last - timedelta(days=22), end=last - timedelta(days=2))
    whole = ask(engine, market)
    for each in (part_of_it, whole):
        work.run(each)
    held_back_from = find(engine, whole).held_back_from
    assert find(engine, part_of_it).held_back_from == held_back_from
    assert shown(engine, part_of_it).index.get_level_values(DAY).max() < pd.Timestamp(
        held_back_from
    )


def test_what_cannot_be_run_says_why_in_a_sentence(
    engine: Engine, folder: Path, market: Market
) -> None:
    work = make_backtests(engine, folder, live_market())
    unknown = ask(engine, recording_market(folder / "nowhere"))
    nothing = ask(engine, live_market())
    for run_id, sentence in ((unknown, "is not here"), (nothing, "No bars are stored yet")):
        work.run(run_id)
        found = find(engine, run_id)
        assert found.state == "failed"
        assert sentence in (found.message or "")
    with pytest.raises(store.BacktestError, match="Give the run a name"), engine.begin() as conn:
        store.ask(conn, store.Asked("  ", market.key, LOOSE), "ada", NOW)


def test_a_fault_of_the_program_is_a_failed_run_and_not_one_that_never_ends(
    sqlite_engine: Engine, folder: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.backtests._work", lambda *_: 1 / 0)
    run_id = ask(sqlite_engine, market)
    make_backtests(sqlite_engine, folder, live_market()).run(run_id)
    assert "ZeroDivisionError" in (find(sqlite_engine, run_id).message or "")


def test_a_bar_that_closes_goes_first(sqlite_engine: Engine, folder: Path, market: Market) -> None:
    bar = datetime(2025, 11, 1, 12, tzinfo=UTC)
    moments = [bar - timedelta(seconds=2), bar + timedelta(seconds=2), bar + timedelta(minutes=9)]
    found = []
    for moment in moments:
        work = make_backtests(
            sqlite_engine, folder, live_market(), market_clock=lambda now=moment: now
        )
        found.append(work._round_is_due())
    assert found == [True, True, False]
    with sqlite_engine.begin() as conn:
        start_round(conn, bar, "w", bar)
        end_round(conn, bar, bar)
    assert not make_backtests(
        sqlite_engine, folder, live_market(), market_clock=lambda: moments[1]
    )._round_is_due()
    other = make_backtests(sqlite_engine, folder, market, market_clock=lambda: moments[0])
    assert not other._round_is_due()


def test_looking_counts_and_nothing_is_read_before(
    engine: Engine, folder: Path, market: Market
) -> None:
    work = make_backtests(engine, folder, live_market())
    first, again, other = (ask(engine, market, one) for one in (LOOSE, LOOSE, load_profile()))
    for each in (first, again, other):
        work.run(each)
    with engine.begin() as conn:
        for profile in (LOOSE, load_profile()):
            save_version(conn, profile, NOW, by="ada")
    with engine.connect() as conn:
        assert store.load_held_back(conn, first) is None
    with engine.begin() as conn:
        store.look(conn, first, "ada", NOW)
    with pytest.raises(store.BacktestError, match="there is one look"), engine.begin() as conn:
        store.look(conn, again, "bob", NOW)
    with engine.begin() as conn:
        store.look(conn, other, "bob", NOW)
    with engine.connect() as conn:
        looks = [(one.looked_by, one.backtest_id) for one in store.load_looks(conn, market.key)]
        assert store.load_held_back(conn, again) is None
        assert store.load_held_back(conn, first) is not None
        assert store.count_runs(conn, market.key) == 3
    assert looks == [("ada", first), ("bob", other)]


# Workers as processes


@contextmanager
def slow_worker(
    engine: Engine, folder: Path, market: Market, seconds: float
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "CRYPTOSATX_DATA": str(folder),
        "CRYPTOSATX_MARKET": f"recording:{market.path}",
    }
    command = [sys.executable, "-m", "tests.slow_worker", str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(20)


def wait_for(what: Callable[[], object], seconds: float = 120) -> float:
    began = monotonic()
    while not what():
        assert monotonic() - began < seconds, "it took too long"
        sleep(0.05)
    return monotonic() - began


def is_under_way(engine: Engine, run_id: str) -> bool:
    run = find(engine, run_id)
    return run.state == "running" and 0 < run.fraction < 0.9


def test_a_worker_of_a_recorded_market_replays_and_then_runs_cancels_and_takes_up_what_another_left(
    engine: Engine, folder: Path, short: Market
) -> None:
    killed = ask(engine, short)
    with slow_worker(engine, folder, short, 0.2) as process:
        wait_for(lambda: is_under_way(engine, killed))
        with engine.connect() as conn:
            assert {row["state"] for row in load_progress(conn)} == {"done"}
            assert conn.scalar(select(func.count()).select_from(signals))
        waiting = ask(engine, short)
        # One that waits is cancelled at once.
        with engine.begin() as conn:
            assert store.cancel(conn, waiting, "ada", NOW)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    assert find(engine, killed).state == "running"
    with slow_worker(engine, folder, short, 0.2) as process:
        wait_for(lambda: find(engine, killed).state == "done")
        cancelled = ask(engine, short)
        wait_for(lambda: is_under_way(engine, cancelled))
        with engine.begin() as conn:
            assert store.cancel(conn, cancelled, "ada", NOW)
        before = find(engine, cancelled)
        # Its worker is free within a moment, and so takes the next one.
        last = ask(engine, short, load_profile())
        assert wait_for(lambda: find(engine, last).state != "waiting") < 10
        assert find(engine, cancelled) == before
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    assert find(engine, waiting).state == "cancelled"
    assert find(engine, waiting).worker is None
    # What was under way when the worker was asked to end waits for the next one.
    assert find(engine, last).state == "waiting"
    with engine.connect() as conn:
        done = conn.scalars(select(backtests.c.id).where(backtests.c.result.is_not(None))).all()
    assert killed in done
    assert cancelled not in done
    assert waiting not in done


def test_a_live_market_runs_backtests_too(sqlite_engine: Engine, tmp_path: Path) -> None:
    tables = few(demo_tables(days=40), ["BTCUSDT", "ETHUSDT"])
    jobs = Jobs(sqlite_engine, TablesCollector(tables), "one", lambda: NOW, batches=1)
    jobs.begin(END)
    jobs.collect(END)
    jobs.decide(END, 0, 1)
    jobs.end(END)
    run_id = ask(sqlite_engine, live_market())
    make_backtests(sqlite_engine, tmp_path, live_market()).run(run_id)
    found = find(sqlite_engine, run_id)
    assert (found.state, found.message) == ("done", None)
    assert shown(sqlite_engine, run_id)["n"].sum() > 0


def test_on_the_recording_of_a_real_market_a_version_is_run_compared_saved_and_put_in_force(
    shared_recording: Path, new_sqlite: Callable[[], str], tmp_path: Path
) -> None:
    from core.backtest.paired import paired

    engine, market = open_database(new_sqlite()), recording_market(shared_recording)
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
    replay(market, engine, profiles=["balanced"], symbols=symbols, clock=lambda: NOW)
    with engine.connect() as conn:
        before = [conn.execute(select(table)).all() for table in (signals, measurements, outcomes)]
    work = make_backtests(engine, tmp_path, market)
    ids = [ask(engine, market, profile) for profile in (LOOSE, load_profile())]
    for run_id in ids:
        work.run(run_id)
    one, two = (shown(engine, run_id) for run_id in ids)
    with engine.connect() as conn:
        result = store.load_result(conn, ids[0])
    assert result is not None
    ends = [pd.Timestamp(result[name], tz="UTC") for name in ("first_day", "held_back_from")]
    found = paired(one, two, *ends)
    assert (found["n"] > found["n_other"]).all()
    assert found["low"].notna().all()
    assert len(result["folds"]) == len(folds(split(*ends))) == 4
    newest = recording.load(shared_recording, symbols).index.get_level_values("time").max()
    moment = (newest + pd.Timedelta("1h")).to_pydatetime()
    with engine.begin() as conn:
        save_version(conn, LOOSE, NOW, by="ada")
        put_in_force(conn, name="balanced", version=LOOSE.version, from_at=moment, by="ada", at=NOW)
    replay(market, engine, profiles=["balanced"], symbols=symbols, clock=lambda: NOW)
    with engine.connect() as conn:
        after = [conn.execute(select(table)).all() for table in (signals, measurements, outcomes)]
    assert after == before
    engine.dispose()
