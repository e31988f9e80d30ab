"""What a list of rules shows of each, and what rules see of outcomes alone, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
from sqlalchemy import Connection, Engine

from core.alerts.definition import parse_definition
from core.alerts.states import fresh
from core.store.alerts.frame import load_alert_frame
from core.store.alerts.overview import count_firing_by_rule, load_last_fired
from core.store.alerts.rules import create_rule
from core.store.alerts.states import StoredEvent, add_events
from tests.alert_rows import save_rows, to_rows
from tests.builders import make_frame
from tests.pages import store_past

NOW = datetime(2025, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_firing_markets_are_counted_and_the_last_firing_is_known(engine: Engine) -> None:
    with engine.begin() as conn:
        hot, calm = (make(conn, name) for name in ("Hot", "Calm"))
        put(conn, hot, BTCUSDT="firing", ETHUSDT="recovering", SOLUSDT="pending")
        happened(conn, hot, "fired", NOW - 5 * HOUR)
        happened(conn, hot, "fired", NOW - 2 * HOUR)
        happened(conn, hot, "ended", NOW)
        happened(conn, calm, "held", NOW)
        assert count_firing_by_rule(conn) == {hot: 2}
        assert load_last_fired(conn) == {hot: NOW - 2 * HOUR}


def make(conn: Connection, name: str) -> int:
    definition = parse_definition({"name": name, "expression": "score > 60"})
    return create_rule(conn, definition, by="ada", now=NOW).id


def put(conn: Connection, rule_id: int, **phases: str) -> None:
    own = {"rule_id": rule_id, "fired_parts": None}
    rows = to_rows(fresh(tuple(phases)))
    save_rows(conn, [{**row, **own, "phase": phases[row["symbol"]]} for row in rows])


def happened(conn: Connection, rule_id: int, kind: str, at: datetime) -> None:
    event = StoredEvent(rule_id, 1, "BTCUSDT", kind, at, at, at, "warning", "", "told", None, at)
    add_events(conn, [event])


def test_a_rule_that_asks_for_outcomes_alone_is_given_them(engine: Engine) -> None:
    frame = make_frame(["BTCUSDT"], hours=24 * 20)
    store_past(engine, frame)
    names = ["outcome_count_downsize_7d_4h"]
    times = frame.index.get_level_values("time")
    with engine.connect() as conn:
        alone = load_alert_frame(conn, "balanced", names, start=times.min(), end=times.max())
        more = load_alert_frame(
            conn, "balanced", [*names, "score"], start=times.min(), end=times.max()
        )
    assert list(alone.columns) == names
    pd.testing.assert_series_equal(alone[names[0]], more[names[0]])
    assert alone[names[0]].max() > 0
