"""Days of factors are summed from what is stored, once, and anew when bars came late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache

import pandas as pd
import pytest
from sqlalchemy import Engine, delete, insert, select, update

from core.accuracy.factors import factor_sums
from core.backtest import decide
from core.jobs.factor_days import check_factor_days, sum_factor_days
from core.signals import load_profile, score
from core.store.database import open_database
from core.store.entries import snapshot
from core.store.factor_days import WHOLE_DAY, forget_days
from core.store.record import load_factor_days
from core.store.signals import save_bars, save_profile, save_signals
from core.store.tables import factor_days
from tests.builders import make_frame
from tests.records import NOW, ages

PROFILE = load_profile()
WINDOWS = PROFILE.windows_version
FRAME = make_frame(3, hours=24 * 20 + 5)
TIMES = FRAME.index.get_level_values("time")
FIRST, NEWEST = TIMES.min().to_pydatetime(), TIMES.max().to_pydatetime()
KEYS = ["day", "factor", "other"]


@cache
def decided() -> pd.DataFrame:
    return decide(FRAME, PROFILE)


def store(engine: Engine, frame: pd.DataFrame = FRAME) -> None:
    planned = decided().loc[frame.index]
    with engine.begin() as conn:
        save_bars(conn, frame)
        save_profile(conn, PROFILE, NOW)
        save_signals(conn, planned, ages(planned), PROFILE, NOW)


@pytest.fixture
def whole(new_url: Callable[..., str]) -> Iterator[Engine]:
    """All bars and signals are there, and no day is summed."""
    engine = open_database(new_url(store))
    yield engine
    engine.dispose()


def store_and_sum(engine: Engine) -> None:
    store(engine)
    assert sum_factor_days(engine, FIRST, NEWEST) == 20


@pytest.fixture
def summed(new_url: Callable[..., str]) -> Iterator[Engine]:
    engine = open_database(new_url(store_and_sum))
    yield engine
    engine.dispose()


def stored(engine: Engine) -> pd.DataFrame:
    with engine.connect() as conn:
        return load_factor_days(conn, WINDOWS).set_index(KEYS).sort_index()


def plainly(frame: pd.DataFrame) -> pd.DataFrame:
    """Sums over the whole history at once, of the days that are over."""
    sums = factor_sums(score(frame, PROFILE), PROFILE.windows)
    over = sums.index.get_level_values("day") + pd.Timedelta("1D") <= NEWEST
    return sums[over].sort_index()


def assert_same(found: pd.DataFrame, plain: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        found, plain, check_dtype=False, check_index_type=False, rtol=1e-9, atol=1e-9
    )


def test_days_are_summed_as_all_at_once_would_be(whole: Engine) -> None:
    days = sum_factor_days(whole, FIRST, NEWEST)
    assert days == 20
    assert_same(stored(whole), plainly(FRAME))
    assert sum_factor_days(whole, FIRST, NEWEST) == 0
    with whole.connect() as conn:
        part = load_factor_days(conn, WINDOWS, date(2025, 9, 18), date(2025, 9, 19))
        assert part["day"].nunique() == 2
        assert load_factor_days(conn, "0" * 16).empty


def test_a_day_is_summed_anew_when_bars_of_it_came_late(engine: Engine) -> None:
    symbols, times = (FRAME.index.get_level_values(name) for name in ("symbol", "time"))
    at_first = (symbols != "S2USDT") | (times < pd.Timestamp("2025-09-18T12:00Z"))
    store(engine, FRAME[at_first])
    assert sum_factor_days(engine, FIRST, NEWEST) == 20
    before = stored(engine)
    store(engine, FRAME[~at_first])
    # Its own day and those after it; the days before it have their bars.
    assert sum_factor_days(engine, FIRST, NEWEST) == 3
    assert_same(stored(engine), plainly(FRAME))
    unchanged = before.index.get_level_values("day") < pd.Timestamp("2025-09-18", tz="UTC")
    assert_same(stored(engine).loc[before.index[unchanged]], before[unchanged])


def test_two_workers_at_once_leave_each_day_once(whole: Engine) -> None:
    start, failed = threading.Barrier(2, timeout=30), []

    def work() -> None:
        start.wait()
        try:
            sum_factor_days(whole, FIRST, NEWEST)
        except Exception as error:
            failed.append(error)
            raise

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed
    assert_same(stored(whole), plainly(FRAME))


def test_it_stops_between_days_when_told(whole: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.factor_days.DAYS", 4)
    answers = iter([True, True, False])
    assert sum_factor_days(whole, FIRST, NEWEST, lambda: next(answers)) == 8
    with whole.connect() as conn:
        assert len(set(conn.scalars(select(factor_days.c.day)))) == 8
    assert sum_factor_days(whole, FIRST, NEWEST) == 12


def fault_of(engine: Engine) -> str | None:
    with snapshot(engine) as conn:
        return check_factor_days(conn)


def test_sums_of_days_that_were_changed_or_deleted_are_found(summed: Engine) -> None:
    assert fault_of(summed) is None
    day = sorted(set(stored(summed).index.get_level_values("day")))[8].to_pydatetime()
    told = f"on {day:%Y-%m-%d}"
    of_day = factor_days.c.day == day
    marker, sums = factor_days.c.factor == WHOLE_DAY, factor_days.c.factor != WHOLE_DAY
    with summed.connect() as conn:
        right = [row._asdict() for row in conn.execute(select(factor_days).where(of_day))]
    for change in (
        update(factor_days).where(of_day, sums).values(sum_product=factor_days.c.sum_product + 1),
        update(factor_days).where(of_day, sums).values(n=factor_days.c.n + 1),
        update(factor_days).where(of_day, marker).values(n=factor_days.c.n + 1),
        delete(factor_days).where(of_day, sums),
        delete(factor_days).where(of_day),
    ):
        with summed.begin() as conn:
            assert conn.execute(change).rowcount
        assert told in str(fault_of(summed))
        with summed.begin() as conn:
            conn.execute(delete(factor_days).where(of_day))
            conn.execute(insert(factor_days), right)
    assert fault_of(summed) is None


def test_sums_that_are_forgotten_are_made_again(summed: Engine) -> None:
    before = stored(summed)
    with summed.begin() as conn:
        forget_days(conn)
    assert stored(summed).empty
    assert fault_of(summed) is None
    assert sum_factor_days(summed, FIRST, NEWEST) == 20
    assert fault_of(summed) is None
    assert_same(stored(summed), before)


def test_days_that_are_not_summed_yet_or_have_bars_since_are_no_fault(engine: Engine) -> None:
    symbols, times = (FRAME.index.get_level_values(name) for name in ("symbol", "time"))
    at_first = (symbols != "S2USDT") | (times < pd.Timestamp("2025-09-18T12:00Z"))
    store(engine, FRAME[at_first])
    sum_factor_days(engine, FIRST, NEWEST - timedelta(days=1))
    assert fault_of(engine) is None
    store(engine, FRAME[~at_first])
    assert fault_of(engine) is None
