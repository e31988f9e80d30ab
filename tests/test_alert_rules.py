"""Rules as they are stored and changed, and what goes with a change of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from core.store.alerts import changing
from core.store.alerts.watching import load_watch
from core.store.tables import alert_progress
from tests.alerted import rule, save

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_rule_with_an_error_is_told_of_until_it_is_switched_off(engine: Engine) -> None:
    failing = save(engine, rule("Old", "score > 60"), NOON)
    save(engine, rule("Good", "score > 60"), NOON)
    with engine.begin() as conn:
        conn.execute(
            alert_progress.insert().values(
                rule_id=failing.id, version=1, bar=NOON, health="error", message="gone",
                unknown=0, symbols=0, stepped_at=NOON,
            )
        )  # fmt: skip
        assert load_watch(conn).failing == 1
        changing.switch(conn, failing.id, "enabled", to=False, by="ada", now=NOON + HOUR)
        watch = load_watch(conn)
        assert (watch.failing, watch.rules, watch.judged_bar) == (0, 1, NOON)
        changing.switch(conn, failing.id, "enabled", to=True, by="ada", now=NOON + 2 * HOUR)
        assert load_watch(conn).failing == 1
