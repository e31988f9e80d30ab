"""Whether this server can do its work, and in what state each thing is that it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from core.accounts.people import any_people
from core.errors import CryptoSatXError
from core.instance import Instance, instance
from core.keeping.schedule import is_overdue, is_scheduled
from core.market.choice import Market
from core.market.sources import followed
from core.observing.stored import Databases, Readings, read_stored
from core.settings import Settings
from core.store.backup_state import BackupState, load_backup_state
from core.store.operation import Operation, load_operation
from core.store.signals import load_progress, market_range
from core.ui.system_sources import source_views
from core.ui.system_worker import last_done, stream_views


@dataclass(frozen=True)
class Report:
    """``working`` is False when the database does not answer or the replay has failed.

    A source, a worker or a stream that fails is told, but the dashboard does its work without.
    """

    working: bool
    body: dict[str, Any]


def check_health() -> Report:
    """Ask the database; a market that has no data yet is a state and not a failure."""
    here = instance()
    try:
        with here.accounts.connect() as conn:
            any_people(conn)
            backups = load_backup_state(conn)
        with here.engine.connect() as conn:
            parts: dict[str, dict[str, Any]] = {
                "database": {"state": "ok", "kind": here.engine.dialect.name},
                "market": _market(conn, here.market),
                "replay": _replay(conn, here),
                "backups": _backups(backups, here.settings, datetime.now(UTC)),
            }
            if here.market.kind == "live":
                parts |= _live(conn, here.settings, datetime.now(UTC))
    except SQLAlchemyError:
        parts = {"database": {"state": "unreachable", "kind": here.engine.dialect.name}}
    states = {part["state"] for part in parts.values()}
    working = not states & {"unreachable", "failed"}
    return Report(working, {"status": "ok" if working else "failing", **parts})


def late_report(status: str) -> Report:
    """What is told while the databases take longer than anybody waits."""
    return Report(False, {"status": status, "database": {"state": "unreachable", "reason": "late"}})


def databases() -> Databases:
    """Those of this server's instance, as it is now."""
    here = instance()
    return Databases(here.engine, here.accounts)


def check_ready(now: datetime | None = None) -> Report:
    """Whether people can be sent to this server, and every dependency with its age or lag in seconds.

    It is ready while its databases answer and its market is not broken. What lies beyond it, such as
    a source or a worker, is told with its state, but every server like this one lacks it too.
    """
    try:
        health = check_health()
        found = read_stored(databases(), now or datetime.now(UTC))
    except (CryptoSatXError, SQLAlchemyError, OSError) as error:
        told = {"state": "unreachable", "reason": type(error).__name__}
        return Report(False, {"status": "not ready", "database": told})
    up = found["database_up"]
    working = health.working and all(up.values())
    body = {**health.body, "status": "ready" if working else "not ready"}
    body["people"] = {"state": "ok" if up["people",] else "unreachable"}
    body["pools"] = _by_two(found["database_pool_connections"])
    for part, names in _AGES.items():
        body[part] = {**body.get(part, {}), **_ages(found, names)}
    return Report(working, body)


# Of each part, how what is told of it is called here and in `core.observing.stored.GAUGES`.
_AGES: dict[str, dict[str, str]] = {
    "market": {"newest_bar_age_seconds": "newest_bar_age_seconds"},
    "worker": {"alive": "workers", "newest_round_age_seconds": "newest_round_age_seconds"},
    "sources": {"success_age_seconds": "source_success_age_seconds"},
    "streams": {"lag_seconds": "stream_lag_seconds"},
    "alerts": {"judged_age_seconds": "alert_judged_age_seconds", "rules": "alert_rules"},
    "deliveries": {"states": "deliveries", "waiting_age_seconds": "delivery_waiting_age_seconds"},
    "backups": {"age_seconds": "backup_age_seconds", "failing": "backup_failing"},
    "ledger": {"length": "ledger_length"},
}


def _ages(found: Readings, names: dict[str, str]) -> dict[str, Any]:
    """Numbers as JSON tells them: one by itself, several by what they are of; null where not known."""
    told: dict[str, Any] = {}
    for name, gauge in names.items():
        values = found.get(gauge, {})
        if set(values) <= {()}:
            told[name] = _rounded(values[()]) if values else None
        else:
            told[name] = {labels[0]: _rounded(value) for labels, value in values.items()}
    return told


def _by_two(values: Mapping[tuple[str, ...], float]) -> dict[str, dict[str, float]]:
    told: dict[str, dict[str, float]] = {}
    for (first, second), value in values.items():
        told.setdefault(first, {})[second] = value
    return told


def _rounded(value: float) -> float:
    return int(value) if value.is_integer() else round(value, 1)


def _market(conn: Connection, market: Market) -> dict[str, Any]:
    span = market_range(conn)
    if span is None:
        return {"state": "empty", "kind": market.kind}
    first, last = (time.isoformat() for time in span)
    return {"state": "ok", "kind": market.kind, "first_bar_at": first, "last_bar_at": last}


def _replay(conn: Connection, here: Instance) -> dict[str, Any]:
    rows = load_progress(conn)
    if not rows:
        return {"state": "starting" if here.settings.worker else "off"}
    states = [row["state"] for row in rows]
    state = next(each for each in ("failed", "running", "waiting", "done") if each in states)
    return {
        "state": state,
        "rows_done": sum(row["rows_done"] for row in rows),
        "rows_total": sum(row["rows_total"] for row in rows),
    }


def _live(conn: Connection, settings: Settings, now: datetime) -> dict[str, dict[str, Any]]:
    operation = load_operation(conn, now)
    living = set(operation.workers.index)
    views = source_views(operation.health, (), settings, living, now)
    failing = [one.name for one in views if one.state in ("failing", "left alone")]
    streams = {one.venue: one.state for one in stream_views(operation, followed(settings), now)}
    healthy = sum(one.state == "working" for one in views)
    return {
        "sources": {
            "state": "degraded" if failing else "ok" if healthy else "unknown",
            "healthy": healthy,
            "failing": failing,
        },
        "worker": _worker(operation),
        "streams": {
            "state": "ok" if set(streams.values()) == {"live"} else "degraded",
            "venues": streams,
        },
    }


def _backups(backups: BackupState, settings: Settings, now: datetime) -> dict[str, Any]:
    if not is_scheduled(settings):
        return {"state": "off"}
    made = backups.made_at
    state = "none yet" if made is None else "ok"
    if is_overdue(backups, settings, now):
        state = "overdue"
    elif backups.fails:
        state = "failing"
    return {
        "state": state,
        "newest_at": None if made is None else made.isoformat(),
        "newest_bytes": backups.bytes,
    }


def _worker(operation: Operation) -> dict[str, Any]:
    done = last_done(operation)
    bar, finished = (None, None) if done is None else (time.isoformat() for time in done)
    alive = len(operation.workers)
    return {
        "state": "alive" if alive else "none",
        "alive": alive,
        "last_round_of": bar,
        "last_round_finished_at": finished,
    }
