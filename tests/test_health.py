"""Health: what each dependency's state is, and when a server is not ready."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.instance import instance
from core.market.source_state import SourceState
from core.market.stream.batch import StreamState
from core.store import tables
from core.store.health import save_health
from core.store.leases import take_lease
from core.store.liquidations import save_stream
from core.store.rounds import end_round, start_round
from tests.dashboard import client, here  # noqa: F401 - client and here are fixtures


def test_health_tells_each_dependency_s_state(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "database": {"state": "ok", "kind": "sqlite"},
        "market": {"state": "empty", "kind": "demo"},
        "replay": {"state": "off"},
        "backups": {"state": "off"},
    }


def test_health_fails_when_the_database_does_not_answer(here, client):
    tables.metadata.drop_all(here.engine)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["database"]["state"] == "unreachable"
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert ready.json()["people"] == {"state": "unreachable"}
    assert client.get("/health/live").status_code == 200


def test_a_server_is_not_ready_where_its_database_cannot_even_be_opened(client, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:////dev/null/no.sqlite")
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert client.get("/health/live").text == "ok"


def test_a_new_server_is_ready_before_there_is_any_data(client):
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.headers["cache-control"]) == (200, "no-store")
    body = ready.json()
    assert body["status"] == "ready"
    assert body["market"] == {"state": "empty", "kind": "demo", "newest_bar_age_seconds": None}
    assert body["deliveries"]["states"] == {"waiting": 0, "sent": 0, "dead": 0, "dropped": 0}
    assert set(body["pools"]) == {"market", "people"}


def test_metrics_are_shown_to_this_machine_in_development_only(client, monkeypatch):
    assert "cryptosatx_requests" in client.get("/metrics").text
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    assert client.get("/metrics").status_code == 404


def test_health_fails_when_the_replay_has_failed(here, client):
    now = datetime.now(UTC)
    with here.engine.begin() as conn:
        conn.execute(
            tables.replays.insert().values(
                key="demo",
                source="demo",
                profile_name="balanced",
                profile_version="x",
                state="failed",
                rows_done=1,
                rows_total=9,
                started_at=now,
                updated_at=now,
            )
        )
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["replay"] == {"state": "failed", "rows_done": 1, "rows_total": 9}


def test_health_of_the_live_market_tells_sources_worker_and_streams(here, client, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"{here.settings.database_url}.live")
    monkeypatch.setenv("CRYPTOSATX_MARKET", "live")
    live, now = instance(), datetime.now(UTC)
    working = SourceState("binance", requests=1, last_success_at=now)
    failing = SourceState("okx", requests=1, failures=1, troubles={"/x": "okx is not working."})
    bar = now.replace(minute=0, second=0, microsecond=0)
    with live.engine.begin() as conn:
        take_lease(conn, "worker a", "a", now, timedelta(minutes=1))
        take_lease(conn, "stream okx", "a", now, timedelta(minutes=1))
        save_health(conn, [working, failing], "a", now)
        save_stream(conn, StreamState("okx", "live", heard_at=now), now)
        start_round(conn, bar, "a", bar)
        end_round(conn, bar, now)
    answer = client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "ok")
    assert body["sources"] == {"state": "degraded", "healthy": 1, "failing": ["okx"]}
    assert body["worker"] == {
        "state": "alive",
        "alive": 1,
        "last_round_of": bar.isoformat(),
        "last_round_finished_at": now.isoformat(),
    }
    venues = {"binance": "not begun", "bybit": "not begun", "okx": "live"}
    assert body["streams"] == {"state": "degraded", "venues": venues}
    ready = client.get("/health/ready").json()
    assert ready["status"] == "ready"
    assert 0 <= ready["sources"]["success_age_seconds"]["binance"] < 60
    assert 0 <= ready["streams"]["lag_seconds"]["okx"] < 60
    assert ready["worker"]["newest_round_age_seconds"] >= 0
    assert ready["worker"]["alive"] == 1


def test_health_of_a_live_market_without_a_worker_is_no_failure(here, client, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"{here.settings.database_url}.live")
    monkeypatch.setenv("CRYPTOSATX_MARKET", "live")
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["worker"]["state"] == "none"
    assert answer.json()["sources"] == {"state": "unknown", "healthy": 0, "failing": []}
