"""Versions of a mode: each decides the bars from its moment on, and none of the past."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from live_market import few
from sqlalchemy import Engine, select
from test_jobs import do_round, make_jobs

from core.backtest import decide, decide_by
from core.errors import ProfileError
from core.jobs.round import HOUR
from core.market.choice import recording_market
from core.market.demo import END, demo_tables, write_demo
from core.replay import replay
from core.signals import Profile, Schedule, load_profile
from core.signals.profile import Windows
from core.store import claim_market
from core.store.database import open_database
from core.store.due import load_profile_of
from core.store.profiles import (
    load_schedule,
    load_settings,
    load_versions,
    put_in_force,
    save_version,
)
from core.store.tables import measurements, outcomes, signals
from tests.builders import START, make_frame

NOW = datetime(2025, 12, 1, tzinfo=UTC)
FIRST = END - timedelta(hours=30)
SYMBOLS = ["BTCUSDT", "ETHUSDT", "HYPEUSDT"]
LOOSE = Profile(name="balanced", threshold=51)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return few(demo_tables(days=40), SYMBOLS)


def set_from(engine: Engine, profile: Profile, from_at: datetime, by: str = "ada") -> None:
    with engine.begin() as conn:
        save_version(conn, profile, NOW, by="ada")
        put_in_force(
            conn, name=profile.name, version=profile.version, from_at=from_at, by=by, at=NOW
        )


def record(engine: Engine, until: datetime) -> list[list[tuple[Any, ...]]]:
    """Every row of the record of bars up to a time."""
    with engine.connect() as conn:
        made = select(signals).where(signals.c.time <= until).order_by(signals.c.id)
        ids = select(signals.c.id).where(signals.c.time <= until)
        became = select(outcomes).where(outcomes.c.signal_id.in_(ids))
        became = became.order_by(outcomes.c.signal_id, outcomes.c.horizon)
        measured = select(measurements).where(measurements.c.time <= until)
        measured = measured.order_by(measurements.c.symbol, measurements.c.time)
        return [[tuple(row) for row in conn.execute(query)] for query in (made, became, measured)]


def versions_by_bar(engine: Engine, name: str = "balanced") -> dict[datetime, set[str]]:
    found: dict[datetime, set[str]] = {}
    query = select(signals.c.time, signals.c.profile_version).where(signals.c.profile_name == name)
    with engine.connect() as conn:
        for time, version in conn.execute(query):
            found.setdefault(time, set()).add(version)
    return found


def test_a_version_decides_from_its_moment_on_and_the_past_stays_bit_for_bit(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    jobs = make_jobs(engine, tables)
    do_round(jobs, FIRST)
    before = record(engine, FIRST)
    change = FIRST + 3 * HOUR
    set_from(engine, LOOSE, change)
    # Six bars are decided at once, three under each version.
    do_round(jobs, FIRST + 5 * HOUR)
    after = record(engine, FIRST)
    assert after[0] == before[0]
    assert after[2] == before[2]
    assert set(before[1]) <= set(after[1])  # outcomes that were due since are added
    found = versions_by_bar(engine)
    built_in = load_profile().version
    for hour in range(1, 6):
        time = FIRST + hour * HOUR
        assert found[time] == {LOOSE.version if time >= change else built_in}
    assert versions_by_bar(engine, "aggressive")[change] == {load_profile("aggressive").version}
    with engine.connect() as conn:
        made = load_profile_of(conn, "balanced", LOOSE.version)
    assert made == LOOSE


def test_what_is_decided_cannot_be_put_under_another_version(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    do_round(make_jobs(engine, tables), FIRST)
    for moment in (FIRST, FIRST - timedelta(days=3)):
        with pytest.raises(ProfileError, match="are decided and stay as they are"):
            set_from(engine, LOOSE, moment)
    unsaved = {"name": "balanced", "version": "0123456789abcdef"}
    with (
        pytest.raises(ProfileError, match="There is no version 0123456789abcdef of balanced"),
        engine.begin() as conn,
    ):
        put_in_force(conn, **unsaved, from_at=FIRST + HOUR, by="ada", at=NOW)
    with engine.connect() as conn:
        assert load_settings(conn) == []


def test_on_the_live_market_no_moment_that_has_passed_can_be_chosen(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    with engine.begin() as conn:
        claim_market(conn, "live")
    for until in (None, FIRST):
        if until is not None:
            do_round(make_jobs(engine, tables), until)
        for moment in (FIRST + HOUR, NOW - timedelta(days=3), NOW - HOUR, NOW):
            with pytest.raises(ProfileError, match=r"choose 2025-12-01 01:00 UTC or later"):
                set_from(engine, LOOSE, moment)
    with engine.connect() as conn:
        assert load_settings(conn) == []
    set_from(engine, LOOSE, NOW + HOUR)
    with engine.connect() as conn:
        assert load_schedule(conn, "balanced").at(NOW + HOUR) == LOOSE
        assert load_schedule(conn, "balanced").at(NOW) == load_profile()


def test_a_live_market_whose_bars_are_ahead_of_the_clock_stays_as_it_was_decided(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    do_round(make_jobs(engine, tables), FIRST)
    with engine.begin() as conn:
        claim_market(conn, "live")
        save_version(conn, LOOSE, NOW, by="ada")
    words = {"name": "balanced", "version": LOOSE.version, "by": "ada"}
    with (
        pytest.raises(ProfileError, match="are decided and stay as they are"),
        engine.begin() as conn,
    ):
        put_in_force(conn, **words, from_at=FIRST, at=FIRST - 2 * HOUR)


@pytest.mark.parametrize("market", ["demo", "recording-october-2025-0b5cf9ce"])
def test_on_a_market_that_has_ended_a_moment_only_has_to_follow_the_newest_bar(
    engine: Engine, tables: dict[str, pd.DataFrame], market: str
) -> None:
    with engine.begin() as conn:
        claim_market(conn, market)
    do_round(make_jobs(engine, tables), FIRST)
    assert FIRST + HOUR < NOW
    set_from(engine, LOOSE, FIRST + HOUR)
    with pytest.raises(ProfileError, match="are decided and stay as they are"):
        set_from(engine, LOOSE, FIRST)


def test_a_moment_and_a_bar_that_come_at_once_never_cross(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    jobs = make_jobs(engine, tables)
    do_round(jobs, FIRST)
    bar, refused = FIRST + HOUR, []

    def set_it() -> None:
        try:
            set_from(engine, LOOSE, bar)
        except ProfileError:
            refused.append(True)

    both = [
        threading.Thread(target=set_it),
        threading.Thread(target=lambda: do_round(jobs, bar)),
    ]
    for each in both:
        each.start()
    for each in both:
        each.join()
    wanted = load_profile().version if refused else LOOSE.version
    assert versions_by_bar(engine)[bar] == {wanted}


def test_of_several_settings_the_newest_moment_holds_and_all_are_kept(engine: Engine) -> None:
    later, strict = FIRST + 5 * HOUR, Profile(name="balanced", threshold=70)
    set_from(engine, LOOSE, later, "ada")
    set_from(engine, strict, FIRST, "bob")
    with engine.connect() as conn:
        schedule = load_schedule(conn, "balanced")
        kept = [(one.set_by, one.from_at, one.profile_version) for one in load_settings(conn)]
        stored = {version.profile.version for version in load_versions(conn)}
    assert [schedule.at(FIRST + hour * HOUR).threshold for hour in (-1, 0, 4, 5)] == [
        58,
        70,
        70,
        51,
    ]
    assert kept == [("bob", FIRST, strict.version), ("ada", later, LOOSE.version)]
    assert stored == {LOOSE.version, strict.version}
    # Whoever wants the built-in one back puts it in force; for the same moment the last word holds.
    set_from(engine, load_profile(), later, "bob")
    with engine.connect() as conn:
        assert load_schedule(conn, "balanced").at(later) == load_profile()


def test_longer_windows_have_more_of_the_past_read(
    engine: Engine, tables: dict[str, pd.DataFrame]
) -> None:
    longer = Profile(name="balanced", windows=Windows(history=1000))
    jobs = make_jobs(engine, tables)
    do_round(jobs, FIRST)
    set_from(engine, longer, FIRST + HOUR)
    do_round(jobs, FIRST + HOUR)
    do_round(jobs, FIRST + 2 * HOUR)
    assert versions_by_bar(engine)[FIRST + 2 * HOUR] == {longer.version}
    assert longer.windows.reach_hours > load_profile().windows.reach_hours


def test_a_replay_decides_by_the_version_in_force_at_each_bar(
    tmp_path: Path, new_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.replay.STEP_ROWS", 300)
    write_demo(tmp_path / "demo", days=20)
    market, engine = recording_market(tmp_path / "demo"), open_database(new_url())
    change = FIRST + 10 * HOUR

    def go(end: datetime) -> Any:
        return replay(
            market, engine, profiles=["balanced"], symbols=SYMBOLS, end=end, clock=lambda: NOW
        )

    go(FIRST)
    before = record(engine, FIRST)
    set_from(engine, LOOSE, change)
    assert go(END).new_signals == 30 * len(SYMBOLS)
    assert record(engine, FIRST)[0] == before[0]
    found = versions_by_bar(engine)
    assert found[change - HOUR] == {load_profile().version}
    assert found[change] == found[END] == {LOOSE.version}
    assert go(END).new_signals == 0
    engine.dispose()


def test_each_part_is_what_its_version_makes_of_the_whole_history() -> None:
    frame = make_frame(hours=24 * 10)
    change = (START + pd.Timedelta(hours=150)).to_pydatetime()
    schedule = Schedule(load_profile(), ((change, LOOSE),))
    (first, old), (second, new) = decide_by(frame, schedule)
    assert (first, second) == (load_profile(), LOOSE)
    assert old.index.get_level_values("time").max() < change
    assert new.index.get_level_values("time").min() == change
    for profile, planned in ((first, old), (second, new)):
        whole = decide(frame, profile).loc[planned.index]
        pd.testing.assert_frame_equal(planned, whole, check_exact=True)
