"""What the page of liquidations asks of SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, event

from core.market.stream.batch import Gap
from core.store import liquidation_reading as reading
from core.store import liquidations as store
from core.store.signals import save_bars
from tests.builders import make_frame
from tests.test_liquidations import NOON, make_event, save

MINUTE, QUARTER, HOUR = timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=1)


def rows(table: pd.DataFrame) -> list[list[object]]:
    return sorted(table.astype(object).to_numpy().tolist(), key=str)


@pytest.mark.parametrize("step", [MINUTE, 5 * MINUTE, QUARTER, HOUR])
def test_sums_of_any_step_are_the_sums_of_their_minutes(engine: Engine, step: timedelta):
    save(
        engine,
        *(make_event(n * 97, usd=n + 1.0, identity=f"{n}") for n in range(60)),
        *(make_event(n * 61, 5.0, venue="okx", liquidated_side="short") for n in range(30)),
    )
    with engine.connect() as conn:
        minutes = reading.load_sums(conn, NOON)
        found = reading.load_sums(conn, NOON, None, step)
    keys = ["slot", "symbol", "venue"]
    minutes = minutes.assign(slot=minutes["slot"].dt.floor(step)).astype({"venue": str})
    expected = minutes.groupby(keys, observed=True)[["long_usd", "short_usd"]].sum().reset_index()
    assert rows(found) == rows(expected)
    assert found["long_usd"].sum() == sum(range(1, 61))
    assert str(found["slot"].dtype) == "datetime64[us, UTC]"


def test_sums_end_before_the_end(engine: Engine):
    save(engine, make_event(-1), make_event(0), make_event(59), make_event(60))
    with engine.connect() as conn:
        assert reading.load_sums(conn, NOON, NOON + MINUTE)["long_usd"].sum() == 200
        assert reading.load_sums(conn, NOON + HOUR).empty


def test_a_past_has_a_column_per_market_and_nothing_where_nothing_was_reported(engine: Engine):
    save(
        engine,
        make_event(0, 3),
        make_event(1, 4, liquidated_side="short"),
        make_event(1000, 5, symbol="ETHUSDT"),
        make_event(2, 9, venue="okx"),
    )
    with engine.connect() as conn:
        past = reading.load_past(conn, NOON, NOON + HOUR, QUARTER, ["binance"])
        nothing = reading.load_past(conn, NOON, NOON + HOUR, QUARTER, ["bybit"])
    assert past.columns.tolist() == ["BTCUSDT", "ETHUSDT"]
    assert past.fillna(-1).to_numpy().tolist() == [[7, -1], [-1, 5]]
    assert nothing.empty


def test_every_symbol_and_venue_that_reported_is_known(engine: Engine):
    save(engine, make_event(0), make_event(1), make_event(2, venue="okx", symbol="ETHUSDT"))
    with engine.connect() as conn:
        assert reading.load_pairs(conn, NOON) == [("BTCUSDT", "binance"), ("ETHUSDT", "okx")]
        assert reading.load_pairs(conn, NOON + HOUR) == []


def test_a_stream_is_known_since_its_first_gap_and_live_since_the_end_of_its_last(engine: Engine):
    with engine.begin() as conn:
        store.save_gap(conn, Gap("okx", NOON, NOON + MINUTE, "x"))
        store.save_gap(conn, Gap("okx", NOON + HOUR, NOON + HOUR + MINUTE, "x"))
        store.save_gap(conn, Gap("bybit", NOON, None, "x"))
        first, since = reading.load_first_known(conn), reading.load_live_since(conn)
    assert first.to_dict() == {"okx": NOON, "bybit": NOON}
    assert since.to_dict() == {"okx": NOON + HOUR + MINUTE}


def test_bars_give_their_totals_and_their_gaps(engine: Engine):
    frame = make_frame(["AUSDT"], hours=3)
    frame.iloc[1, frame.columns.get_loc("long_liquidations_usd")] = float("nan")
    times = frame.index.get_level_values("time")
    with engine.begin() as conn:
        save_bars(conn, frame)
        found = reading.load_bar_totals(conn, times[0].to_pydatetime(), times[2].to_pydatetime())
    assert found["time"].tolist() == list(times[1:])
    assert found["long_usd"].isna().tolist() == [True, False]
    assert found["short_usd"].tolist() == frame["short_liquidations_usd"].tolist()[1:]


def test_small_events_can_be_left_out(engine: Engine):
    save(engine, make_event(0, 5), make_event(1, 900), make_event(2, 20))
    with engine.connect() as conn:
        found = store.load_events(conn, limit=10, least_usd=20)
    assert found["usd"].tolist() == [20, 900]


def test_events_of_some_venues_are_looked_for_in_their_stretch_of_time_only(sqlite_engine: Engine):
    asked: list[tuple[str, object]] = []

    def note(conn: Connection, cursor: object, statement: str, parameters: object, *_: object):
        asked.append((statement, parameters))

    with sqlite_engine.connect() as conn:
        event.listen(sqlite_engine, "before_cursor_execute", note)
        store.load_events(conn, limit=9, start=NOON, venues=["okx", "bybit"], largest=True)
        event.remove(sqlite_engine, "before_cursor_execute", note)
        statement, parameters = asked[-1]
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "ix_liquidations_occurred_at" in str(plan)
