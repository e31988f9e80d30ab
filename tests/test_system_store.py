"""What the database is asked for an operator, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from core.jobs.durable import durable_rounds
from core.jobs.round import Jobs
from core.market.files import FILES
from core.market.source_state import SourceState
from core.store.bookkeeping import load_work
from core.store.health import save_health
from core.store.leases import load_holdings, take_lease
from core.store.observations import save_observations
from core.store.opening import newest_revision
from core.store.operation import load_operation
from core.store.published import load_all_published, load_published, load_suspicions
from core.store.rounds import end_round, start_round
from core.store.system import load_about
from tests.live_market import TablesCollector

NOW = datetime(2025, 11, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=20)


def rows_of(name: str, symbols: int = 5, hours: int = 12, venue: str = "okx", **columns: object):
    """Different numbers in every column of a table, up to now; ``columns`` replace them."""
    file = FILES[name]
    times = pd.date_range(end=NOW, periods=hours, freq="1h")
    keys = [(f"S{n}USDT", at) for n in range(symbols) for at in times]
    frame = pd.DataFrame(keys, columns=["symbol", file.known_at]).assign(venue=venue)
    if file.has_open:
        frame["open_at"] = frame[file.known_at] - pd.Timedelta(hours=1)
    for place, column in enumerate((*file.numbers, *file.optional)):
        frame[column] = np.arange(len(frame)) + 100.0 * place
    return frame.assign(**columns)


def suspicions(engine: Engine, **tables: pd.DataFrame) -> dict[tuple[str, str], tuple[object, ...]]:
    with engine.begin() as conn:
        save_observations(conn, tables, NOW)
        found = load_suspicions(conn, NOW)
    return {(one.venue, one.column): (one.value, one.share, one.n) for one in found}


def test_one_value_in_over_90_percent_is_suspicious_and_in_90_is_not(engine):
    values = np.where(np.arange(60) < 55, 0.5, np.arange(60))
    ordinary = np.where(np.arange(60) < 54, 0.5, np.arange(60))
    found = suspicions(
        engine,
        long_short=rows_of(
            "long_short", long_account_share=values, top_account_long_share=ordinary
        ),
    )
    assert found == {("okx", "long_account_share"): (0.5, 55 / 60, 60)}


def test_venues_are_judged_apart_and_few_or_old_rows_not_at_all(engine):
    many = rows_of("open_interest", venue="bybit", open_interest=7.0)
    few = rows_of("open_interest", symbols=4, venue="okx", open_interest=7.0)
    old = rows_of("social", venue="", social_score=50.0)
    old["published_at"] -= pd.Timedelta(days=2)
    found = suspicions(engine, open_interest=pd.concat([many, few]), social=old)
    assert set(found) == {("bybit", "open_interest")}


def test_a_column_without_a_value_is_published_empty(engine):
    found = suspicions(engine, open_interest=rows_of("open_interest", open_interest=np.nan))
    assert found == {("okx", "open_interest"): (None, 1.0, 60)}


def test_values_that_are_missing_do_not_hide_a_constant(engine):
    values = np.where(np.arange(120) < 55, np.nan, 3.0)
    found = suspicions(engine, social=rows_of("social", symbols=10, social_score=values))
    assert found == {("okx", "social_score"): (3.0, 1.0, 65)}


def test_no_liquidation_is_ordinary_and_none_at_all_is_not(engine):
    seldom = np.where(np.arange(60) == 3, 1e6, 0.0)
    found = suspicions(
        engine,
        liquidations_4h=rows_of(
            "liquidations_4h", long_liquidations_usd=seldom, short_liquidations_usd=0.0
        ),
        funding=rows_of("funding", interval_hours=8.0),
    )
    assert set(found) == {("okx", "short_liquidations_usd")}


def test_recent_rows_are_counted_by_venue_and_symbol_and_older_ones_are_found(engine):
    old = rows_of("funding", symbols=1, venue="binance")
    old["settled_at"] -= pd.Timedelta(days=3)
    with engine.begin() as conn:
        save_observations(conn, {"candles_1h": rows_of("candles_1h"), "funding": old}, NOW)
        found = load_published(conn, NOW)
        expected = [("candles_1h", "okx"), ("funding", "binance"), ("social", "")]
        everything = load_all_published(conn, expected, NOW)
    assert len(found) == 5
    assert set(found["rows"]) == {12}
    assert set(found["newest_at"]) == {pd.Timestamp(NOW)}
    assert everything.older == {
        ("funding", "binance"): NOW - timedelta(days=3),
        ("social", ""): None,
    }


def test_an_empty_database_has_published_nothing(engine):
    with engine.connect() as conn:
        assert load_published(conn, NOW).empty
        assert load_suspicions(conn, NOW) == []
        operation = load_operation(conn, NOW)
    assert operation.workers.empty
    assert operation.first_round_at is None


def test_a_lease_tells_since_when_its_present_holder_has_it(engine):
    with engine.begin() as conn:
        take_lease(conn, "stream okx", "first", NOW, LENGTH)
        take_lease(conn, "stream okx", "first", NOW + LENGTH / 2, LENGTH)
        assert load_holdings(conn, NOW + LENGTH)["taken_at"].loc["stream okx"] == NOW
        take_lease(conn, "stream okx", "second", NOW + 2 * LENGTH, LENGTH)
        held = load_holdings(conn, NOW + 2 * LENGTH).loc["stream okx"]
        assert (held["holder"], held["taken_at"]) == ("second", NOW + 2 * LENGTH)
        assert load_holdings(conn, NOW + 3 * LENGTH).empty


def test_an_operation_holds_the_last_day_and_only_that(engine):
    with engine.begin() as conn:
        take_lease(conn, "worker a", "a", NOW, LENGTH)
        save_health(conn, [SourceState("okx", requests=3)], "a", NOW)
        for hours in (0, 5, 24, 30):
            bar = NOW - timedelta(hours=hours)
            start_round(conn, bar, "a", bar)
            end_round(conn, bar, bar + LENGTH)
        found = load_operation(conn, NOW)
    assert list(found.workers.index) == ["a"]
    assert list(found.rounds.index) == [NOW, NOW - timedelta(hours=5)]
    assert found.first_round_at == NOW - timedelta(hours=30)
    assert found.health["state"].loc["okx"]["requests"] == 3


def test_a_database_tells_what_it_is_and_holds(engine):
    with engine.begin() as conn:
        save_observations(conn, {"candles_1h": rows_of("candles_1h")}, NOW)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("ANALYZE observed_candles_1h")
    with engine.connect() as conn:
        about = load_about(conn)
    assert about.rows["observed_candles_1h"] == 60
    assert about.revision == newest_revision()
    assert about.size_bytes > 100_000
    assert about.kind == {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[engine.dialect.name]
    assert about.rows_are_about == (engine.dialect.name == "postgresql")


@dataclass
class Slow(TablesCollector):
    """A collector that gives nothing until it may."""

    may: threading.Event = field(default_factory=threading.Event)

    def fetch(self, since: datetime, bar: datetime) -> dict[str, pd.DataFrame]:
        assert self.may.wait(20)
        return super().fetch(since, bar)


def test_pieces_of_work_are_told_without_taking_part_in_them(engine):
    def told() -> list[tuple[str, str, int]]:
        with engine.connect() as conn:
            return [(one.name, one.state, one.count) for one in load_work(conn)]

    assert told() == []
    collector = Slow({}, down=True)
    jobs = Jobs(engine, collector, "a", lambda: NOW, batches=1)
    with durable_rounds(jobs, 0.05) as rounds:
        assert rounds.request(NOW, NOW)
        wait_for(lambda: told() == [("round", "PENDING", 1)])
        collector.may.set()
        wait_for(lambda: told() == [])


def wait_for(what: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.05)
