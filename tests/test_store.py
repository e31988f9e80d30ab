from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from time import monotonic

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Table, delete, func, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from core.errors import StoreError
from core.market.frame import NAMES, SOURCES
from core.outcomes import resolve
from core.plan import Account, plan
from core.signals import PROFILE_NAMES, Profile, load_profile, score
from core.store.database import open_database
from core.store.signals import (
    load_bars,
    load_closes,
    load_history,
    load_newest,
    load_signal,
    market_range,
    save_bars,
    save_outcomes,
    save_profile,
    save_signals,
)
from core.store.tables import bars, measurements, outcomes, profiles, signals
from core.verdicts import judge_by_rules
from tests.builders import START, make_frame
from tests.stored import load_outcomes

NOW = datetime(2025, 10, 1, 12, tzinfo=UTC)
PROFILE = load_profile("aggressive")
HOURS = 24 * 16


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Three symbols: one complete, one with little known of it, one whose price is missing at the end."""
    frame = make_frame(3, hours=HOURS, seed=4)
    poor = frame.index.get_level_values("symbol") == "S1USDT"
    frame.loc[poor, list(NAMES[5:])] = np.nan
    frame.loc[frame.index[-3:], list(NAMES[:5])] = np.nan
    return frame


@pytest.fixture(scope="module")
def planned(frame: pd.DataFrame) -> pd.DataFrame:
    return plan(judge_by_rules(score(frame, PROFILE), PROFILE))


@pytest.fixture(scope="module")
def resolved(frame: pd.DataFrame, planned: pd.DataFrame) -> pd.DataFrame:
    return resolve(planned, frame)


@pytest.fixture(scope="module")
def ages(frame: pd.DataFrame) -> pd.DataFrame:
    ages = pd.DataFrame(0.25, index=frame.index, columns=list(SOURCES))
    return ages.assign(social=np.nan)


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as conn:
        save_profile(conn, PROFILE, NOW)
        yield conn


def judged_by(frame: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    return plan(judge_by_rules(score(frame, profile), profile))


def rows_in(conn: Connection, table: Table) -> int:
    return conn.scalar(select(func.count()).select_from(table)) or 0


def one_row(**changes: object) -> pd.DataFrame:
    """A planned row without a signal, and what is changed about it."""
    frame = make_frame(1, hours=1)
    return plan(judge_by_rules(score(frame, PROFILE), PROFILE)).assign(**changes)


def no_ages(planned: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(np.nan, index=planned.index, columns=list(SOURCES))


def same(stored: pd.Series, planned: pd.Series) -> bool:
    """Whether every value is equal, to the last bit for numbers and with missing ones missing."""
    pairs = ((stored[name], planned[name]) for name in planned.index)
    return all(
        (pd.api.types.is_scalar(a) and pd.isna(a) and pd.isna(b)) or a == b for a, b in pairs
    )


def test_a_stored_row_comes_back_as_it_was(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame
) -> None:
    assert save_signals(conn, planned, ages, PROFILE, NOW) == len(planned)
    for symbol, time in planned.index[:: HOURS // 12]:
        stored = load_signal(conn, symbol, PROFILE.name, time)
        assert stored is not None
        assert stored.name == (symbol, time)
        assert same(stored, planned.loc[symbol, time])
        assert stored["age_candles"] == 0.25
        assert np.isnan(stored["age_social"])


def test_the_sample_has_every_kind_of_row(planned: pd.DataFrame) -> None:
    assert set(planned["verdict"].dropna()) >= {"CONFIRM", "DOWNSIZE", "SKIP"}
    assert set(planned["direction"].dropna()) == {-1, 0, 1}
    assert planned["no_signal"].str.contains("no price").any()
    assert planned["no_signal"].str.contains("coverage").any()
    assert planned["quantity"].notna().any()
    assert planned["counterfactual_entry_price"].notna().any()


numbers = st.floats(allow_infinity=False, width=64)
fresh = count()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(price=numbers, number=numbers, age=st.floats(0, 1e6), level=numbers)
def test_any_number_comes_back_to_the_last_bit(
    conn: Connection, price: float, number: float, age: float, level: float
) -> None:
    changes = {"close": price, "score": number, "raw_oi_trend": number, "stop_price": level}
    planned = one_row(**changes)
    symbol = f"X{next(fresh)}"
    planned.index = pd.MultiIndex.from_tuples([(symbol, START)], names=planned.index.names)
    save_signals(conn, planned, no_ages(planned).assign(funding=age), PROFILE, NOW)
    stored = load_signal(conn, symbol, PROFILE.name, START)
    assert stored is not None
    assert same(stored, planned.iloc[0])
    assert stored["age_funding"] == age


def test_missing_is_null_and_never_nan(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame, frame: pd.DataFrame
) -> None:
    save_bars(conn, frame)
    save_signals(conn, planned, ages, PROFILE, NOW)
    silent = signals.c.no_signal.is_not(None)
    missing = (signals.c.score, signals.c.direction, signals.c.verdict, signals.c.multiplier)
    for column in missing:
        assert conn.scalar(select(func.count()).where(silent, column.is_not(None))) == 0
        assert conn.scalar(select(func.count()).where(~silent, column.is_(None))) == 0
    price_missing = select(func.count()).where(bars.c.close.is_(None))
    assert conn.scalar(price_missing) == frame["close"].isna().sum()
    stored = [*conn.execute(select(signals.c.plan)), *conn.execute(select(measurements))]
    assert not any("nan" in str(value).lower() for row in stored for value in row)
    assert set(conn.scalars(select(measurements.c.age_social))) == {None}


def test_a_stored_row_is_never_changed(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame, resolved: pd.DataFrame
) -> None:
    save_signals(conn, planned, ages, PROFILE, NOW)
    save_outcomes(conn, resolved, PROFILE, NOW)
    before = load_newest(conn, PROFILE.name), load_outcomes(conn, PROFILE.name)
    later = NOW + timedelta(days=1)
    assert save_signals(conn, planned.assign(score=99.0), ages + 1, PROFILE, later) == 0
    assert save_outcomes(conn, resolved.assign(net_return=1.0), PROFILE, later) == 0
    after = load_newest(conn, PROFILE.name), load_outcomes(conn, PROFILE.name)
    assert rows_in(conn, measurements) == len(planned)
    for left, right in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(left, right)


def test_only_new_rows_are_counted(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame, frame: pd.DataFrame
) -> None:
    save_signals(conn, planned.iloc[:10], ages.iloc[:10], PROFILE, NOW)
    assert save_signals(conn, planned.iloc[:15], ages.iloc[:15], PROFILE, NOW) == 5
    assert save_bars(conn, frame.iloc[:10]) == 10
    assert save_bars(conn, frame.iloc[5:12]) == 2
    assert save_bars(conn, frame.iloc[:0]) == 0


def test_outcomes_come_back_as_they_were(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame, resolved: pd.DataFrame
) -> None:
    save_signals(conn, planned, ages, PROFILE, NOW)
    assert save_outcomes(conn, resolved, PROFILE, NOW) == len(resolved) > 100
    stored = load_outcomes(conn, PROFILE.name)
    assert set(stored.pop("profile_version")) == {PROFILE.version}
    words = dict.fromkeys(("verdict", "risk_mode", "barrier"), object)
    kept = resolved.astype(words).drop(columns="opposite_net_return")  # follows from the others
    pd.testing.assert_frame_equal(stored, kept, check_exact=True)


def test_an_outcome_needs_its_signal(conn: Connection, resolved: pd.DataFrame) -> None:
    with pytest.raises(StoreError, match="no stored signal of S0USDT"):
        save_outcomes(conn, resolved, PROFILE, NOW)


def test_bars_come_back_as_they_were(conn: Connection, frame: pd.DataFrame) -> None:
    save_bars(conn, frame)
    stored = load_bars(conn, "S2USDT")
    pd.testing.assert_frame_equal(stored, frame.loc["S2USDT"], check_freq=False, check_exact=True)
    middle = stored.index[100]
    assert load_bars(conn, "S2USDT", start=middle).index[0] == middle
    assert load_bars(conn, "S2USDT", end=middle).index[-1] == middle
    assert market_range(conn) == (frame.index[0][1], frame.index[-1][1])


def test_closes_are_wide_and_reach_back_as_asked(conn: Connection, frame: pd.DataFrame) -> None:
    save_bars(conn, frame)
    closes = load_closes(conn, hours=24)
    assert closes.shape == (25, 3)
    expected = frame["close"].unstack("symbol").tail(25)
    pd.testing.assert_frame_equal(closes, expected, check_freq=False)


def test_the_newest_row_of_every_symbol_is_found(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame
) -> None:
    ended = planned.index.get_level_values("symbol") == "S0USDT"
    late = planned.index.get_level_values("time") > START + timedelta(hours=HOURS // 2)
    kept = planned[~(ended & late)]
    save_signals(conn, kept, ages.loc[kept.index], PROFILE, NOW)
    newest = load_newest(conn, PROFILE.name)
    expected = kept.groupby("symbol").tail(1)
    assert newest.index.equals(expected.index)
    assert all(same(newest.loc[at], expected.loc[at]) for at in expected.index)
    assert load_newest(conn, "balanced").empty


def test_a_stored_row_can_be_planned_for_another_account(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame
) -> None:
    account = Account(equity_usd=50_000, leverage=10)
    traded = planned[planned["quantity"].notna()].iloc[[-1]]
    save_signals(conn, traded, ages.loc[traded.index], PROFILE, NOW)
    again = plan(load_newest(conn, PROFILE.name), account)
    expected = plan(traded, account)
    assert again["quantity"].item() == expected["quantity"].item() > traded["quantity"].item()


def test_history_is_a_row_for_every_bar(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame
) -> None:
    save_signals(conn, planned, ages, PROFILE, NOW)
    history = load_history(conn, "S0USDT", PROFILE.name)
    names = ["score", "coverage", "agreement", "direction", "multiplier", "verdict", "risk_mode"]
    pd.testing.assert_frame_equal(history[names], planned.loc["S0USDT", names], check_freq=False)
    assert history["last_price"].tolist() == planned.loc["S0USDT", "close"].tolist()
    assert len(load_history(conn, "S0USDT", PROFILE.name, start=history.index[-5])) == 5


def test_what_was_said_first_counts_when_a_profile_changes(
    conn: Connection, planned: pd.DataFrame, ages: pd.DataFrame, resolved: pd.DataFrame
) -> None:
    changed = PROFILE.model_copy(update={"threshold": 55.0})
    changed.__dict__.pop("version", None)
    assert changed.version != PROFILE.version
    save_profile(conn, changed, NOW)
    save_signals(conn, planned, ages, PROFILE, NOW)
    save_outcomes(conn, resolved, PROFILE, NOW)
    shifted = planned.assign(score=planned["score"] + 1)
    assert save_signals(conn, shifted, ages, changed, NOW) == len(planned)
    assert save_outcomes(conn, resolved, changed, NOW) == len(resolved)
    history = load_history(conn, "S0USDT", PROFILE.name)
    pd.testing.assert_series_equal(
        history["score"], planned.loc["S0USDT", "score"], check_freq=False
    )
    assert load_newest(conn, PROFILE.name).index.is_unique
    stored = load_outcomes(conn, PROFILE.name)
    assert len(stored) == len(resolved)
    assert set(stored["profile_version"]) == {PROFILE.version}


def test_what_a_bar_measured_is_stored_once_for_all_modes(
    conn: Connection, frame: pd.DataFrame, ages: pd.DataFrame
) -> None:
    modes = {name: load_profile(name) for name in PROFILE_NAMES}
    planned = {name: judged_by(frame, profile) for name, profile in modes.items()}
    for name, profile in modes.items():
        save_profile(conn, profile, NOW)
        assert save_signals(conn, planned[name], ages, profile, NOW) == len(frame)
    assert rows_in(conn, measurements) == len(frame)
    assert rows_in(conn, signals) == len(frame) * len(modes)
    for name in modes:
        newest = load_newest(conn, name)
        expected = planned[name].groupby("symbol").tail(1)
        assert all(same(newest.loc[at], expected.loc[at]) for at in expected.index)


@pytest.mark.parametrize("restated", ["close", "raw_funding_rate", "age_candles", "mood"])
def test_a_signal_keeps_the_numbers_it_was_made_from(conn: Connection, restated: str) -> None:
    other = load_profile("conservative")
    save_profile(conn, other, NOW)
    planned = one_row(close=2.0, raw_funding_rate=2.0, mood=2.0)
    known = no_ages(planned).assign(candles=2.0)
    save_signals(conn, planned, known, PROFILE, NOW)
    if restated == "age_candles":
        known = known.assign(candles=3.0)
    else:
        planned = planned.assign(**{restated: 3.0})
    save_signals(conn, planned, known, other, NOW)
    (symbol, time) = planned.index[0]
    before = load_signal(conn, symbol, PROFILE.name, time)
    after = load_signal(conn, symbol, other.name, time)
    assert before is not None
    assert after is not None
    assert (before[restated], after[restated]) == (2.0, 3.0)
    assert rows_in(conn, measurements) == 2


def test_other_windows_are_another_measurement(conn: Connection) -> None:
    windows = PROFILE.windows.model_copy(update={"funding": 48.0})
    changed = Profile.model_validate({**PROFILE.model_dump(), "windows": windows.model_dump()})
    save_profile(conn, changed, NOW)
    for profile in (PROFILE, changed):
        save_signals(conn, one_row(), no_ages(one_row()), profile, NOW)
    versions = set(conn.scalars(select(measurements.c.windows_version)))
    assert versions == {PROFILE.windows_version, changed.windows_version}


def test_a_measurement_that_a_signal_was_made_from_cannot_go(engine: Engine) -> None:
    with engine.begin() as conn:
        save_profile(conn, PROFILE, NOW)
        save_signals(conn, one_row(), no_ages(one_row()), PROFILE, NOW)
    with pytest.raises(IntegrityError), engine.begin() as conn:
        conn.execute(delete(measurements))


def test_an_empty_database_gives_empty_frames_with_their_columns(conn: Connection) -> None:
    assert load_newest(conn, "balanced").empty
    assert "factor_liquidations" in load_newest(conn, "balanced")
    assert load_history(conn, "BTCUSDT", "balanced").empty
    assert load_bars(conn, "BTCUSDT").columns.tolist() == list(NAMES)
    assert load_outcomes(conn, "balanced").index.names == ["symbol", "time", "horizon"]
    assert load_closes(conn, 24).empty
    assert load_signal(conn, "BTCUSDT", "balanced", NOW) is None
    assert market_range(conn) is None


def test_an_infinite_number_is_refused(conn: Connection) -> None:
    with pytest.raises(StoreError, match="raw_liquidations holds an infinite number"):
        save_signals(conn, one_row(raw_liquidations=np.inf), no_ages(one_row()), PROFILE, NOW)
    with pytest.raises(StoreError, match="score holds an infinite number"):
        save_signals(conn, one_row(score=-np.inf), no_ages(one_row()), PROFILE, NOW)


def test_a_column_of_words_that_nobody_knows_is_refused(conn: Connection) -> None:
    with pytest.raises(StoreError, match="Column mood holds"):
        save_signals(conn, one_row(mood="calm"), no_ages(one_row()), PROFILE, NOW)


def test_times_are_stored_in_utc_whatever_zone_they_came_in(engine: Engine) -> None:
    in_tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    with engine.begin() as conn:
        save_profile(conn, PROFILE, in_tokyo)
    with engine.connect() as conn:
        if engine.dialect.name == "postgresql":
            conn.execute(text("SET TIME ZONE 'America/New_York'"))
        stored = conn.scalar(select(profiles.c.created_at))
        assert stored == NOW
        assert stored is not None
        assert stored.utcoffset() == timedelta(0)


def test_a_session_in_another_zone_reads_the_same_times(
    engine: Engine, planned: pd.DataFrame, ages: pd.DataFrame
) -> None:
    with engine.begin() as conn:
        save_profile(conn, PROFILE, NOW)
        save_signals(conn, planned, ages, PROFILE, NOW)
        if engine.dialect.name == "postgresql":
            conn.execute(text("SET TIME ZONE 'Asia/Kolkata'"))
        history = load_history(conn, "S0USDT", PROFILE.name)
        assert history.index.equals(planned.loc["S0USDT"].index)


def test_a_time_without_a_zone_is_refused(conn: Connection, frame: pd.DataFrame) -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(StatementError, match="no time zone"):
        save_profile(conn, PROFILE, naive)
    with pytest.raises(StoreError, match="no time zone"):
        save_signals(conn, one_row(), no_ages(one_row()), PROFILE, naive)


def test_rows_of_both_ways_to_write_are_the_same_row(conn: Connection, frame: pd.DataFrame) -> None:
    save_bars(conn, frame.iloc[[0]])
    symbol, time = frame.index[0]
    found = select(func.count()).where(bars.c.symbol == symbol, bars.c.time == time)
    assert conn.scalar(found) == 1


def test_each_time_only_the_rows_that_are_given_are_stored(
    engine: Engine, frame: pd.DataFrame
) -> None:
    with engine.connect() as conn:
        assert save_bars(conn, frame.iloc[:6]) == 6
        assert save_bars(conn, frame.iloc[4:8]) == 2
        conn.rollback()
    with engine.begin() as conn:
        assert save_bars(conn, frame.iloc[:2]) == 2
        assert save_bars(conn, frame.iloc[1:3]) == 1
    with engine.begin() as conn:
        assert save_bars(conn, frame.iloc[:2]) == 0
    with engine.connect() as conn:
        assert rows_in(conn, bars) == 3


def test_two_writers_of_the_same_rows_leave_one_copy(
    engine: Engine, planned: pd.DataFrame, ages: pd.DataFrame, resolved: pd.DataFrame
) -> None:
    with engine.begin() as conn:
        save_profile(conn, PROFILE, NOW)
    start, stored = threading.Barrier(2, timeout=30), []

    def write() -> None:
        start.wait()
        with engine.begin() as conn:
            new = save_signals(conn, planned, ages, PROFILE, NOW)
            stored.append((new, save_outcomes(conn, resolved, PROFILE, NOW)))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(stored) == [(0, 0), (len(planned), len(resolved))]
    with engine.connect() as conn:
        assert rows_in(conn, measurements) == rows_in(conn, signals) == len(planned)
        assert rows_in(conn, outcomes) == len(resolved)


def test_modes_written_at_once_share_what_was_measured(
    engine: Engine, frame: pd.DataFrame, ages: pd.DataFrame
) -> None:
    modes = [load_profile(name) for name in PROFILE_NAMES]
    planned = {profile.name: judged_by(frame, profile) for profile in modes}
    start, stored = threading.Barrier(len(modes), timeout=30), []

    def write(profile: Profile) -> None:
        start.wait()
        with engine.begin() as conn:
            save_profile(conn, profile, NOW)
            stored.append(save_signals(conn, planned[profile.name], ages, profile, NOW))

    writers = [threading.Thread(target=write, args=[profile]) for profile in modes]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert stored == [len(frame)] * len(modes)
    with engine.connect() as conn:
        assert rows_in(conn, measurements) == len(frame)


def test_a_reader_does_not_wait_for_a_writer(engine: Engine, frame: pd.DataFrame) -> None:
    other = open_database(engine.url.render_as_string(hide_password=False))
    with engine.begin() as writer:
        save_bars(writer, frame)
        began = monotonic()
        with other.connect() as reader:
            assert market_range(reader) is None
        assert monotonic() - began < 2
    with other.connect() as reader:
        assert market_range(reader) is not None
    other.dispose()
