"""What the databases know of how things are, for whoever reads the metrics.

Dashboard and worker tell the same of it; rules take the largest. It is read at most every few seconds,
however many readers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Any

from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool
from typing_extensions import override

from core.alerts.engine import KINDS
from core.observing.instruments import REGISTRY
from core.production import OFF
from core.settings import load_settings
from core.store.alerts.watching import load_rule_health
from core.store.backup_state import load_backup_state
from core.store.health import load_health
from core.store.ledger import head
from core.store.tables import alert_events, alert_states, deliveries, rounds
from core.store.verdicts import load_spent
from core.store.vitals import load_vitals

EVERY_SECONDS = 5.0
_DAY = timedelta(days=1)

# Name, what it says, labels; every one of them begins with cryptosatx_.
GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "database_up": ("1 where a database answers.", ("database",)),
    "database_pool_connections": ("Connections to a database, by what they do.", ("database", "state")),
    "newest_bar_age_seconds": ("Since the newest bar that is stored closed.", ()),
    "newest_round_age_seconds": ("Since the newest bar closed that everything was done for.", ()),
    "rounds_24h": ("Rounds of the last 24 hours, by what became of them.", ("state",)),
    "workers": ("Workers that are alive.", ()),
    "source_up": ("1 where a source gives good answers.", ("source",)),
    "source_requests": ("Requests to a source, since the worker that leads began.", ("source",)),
    "source_failures": ("Failures of a source, since the worker that leads began.", ("source",)),
    "source_breaker_open": ("1 where a source is left alone after failures.", ("source",)),
    "source_budget_used_ratio": ("Share of a source's budget that is spent.", ("source", "budget")),
    "source_success_age_seconds": ("Since a source last gave a good answer.", ("source",)),
    "stream_up": ("1 where a venue's stream of liquidations is open.", ("venue",)),
    "stream_lag_seconds": ("Since a stream gave a sign of life.", ("venue",)),
    "model_calls_today": ("Requests to the language model in this UTC day.", ()),
    "model_usd_today": ("USD for the language model in this UTC day.", ()),
    "alert_rules": ("Alert rules in use, by how judging them went.", ("health",)),
    "alert_judged_age_seconds": ("Since the oldest bar closed that a rule in use was judged at last.", ()),
    "alerts": ("Alerts, by phase.", ("phase",)),
    "alert_events_24h": ("What happened to alerts in the last 24 hours.", ("kind",)),
    "deliveries": ("Messages, by state.", ("state",)),
    "delivery_waiting_age_seconds": ("Since the oldest message that waits was made.", ()),
    "ledger_length": ("Entries of the ledger.", ()),
    "backup_age_seconds": (
        "Since the moment that the newest backup shows; where they are wanted and there is none, since "
        "the first person came.",
        (),
    ),
    "backup_failing": ("1 where the newest attempt at a backup failed.", ()),
}  # fmt: skip
Readings = dict[str, dict[tuple[str, ...], float]]


@dataclass(frozen=True)
class Databases:
    """The database of the market and that of people, which may be one."""

    market: Engine
    people: Engine


@dataclass(eq=False)
class Stored(Collector):
    """Collects for Prometheus what ``databases`` say; ``clock`` is the time on the wall."""

    databases: Callable[[], Databases]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    every_seconds: float = EVERY_SECONDS
    _lock: Lock = field(default_factory=Lock)
    _read_at: float = -1e9
    _kept: Readings = field(default_factory=dict)

    @override
    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if monotonic() - self._read_at >= self.every_seconds:
                self._kept = read_stored(self.databases(), self.clock())
                self._read_at = monotonic()
            found = self._kept
        for name, (words, labels) in GAUGES.items():
            if name in found:
                family = Gauge(f"cryptosatx_{name}", words, labels=labels)
                for values, number in found[name].items():
                    family.add_metric(values, number)
                yield family

    def describe(self) -> Iterator[Metric]:
        """Nothing is read to register this."""
        for name, (words, labels) in GAUGES.items():
            yield Gauge(f"cryptosatx_{name}", words, labels=labels)


_told: Stored | None = None


def tell_of(databases: Callable[[], Databases]) -> None:
    """Have this process's metrics tell what these databases know, in place of any before."""
    global _told
    if _told is not None:
        REGISTRY.unregister(_told)
    _told = Stored(databases)
    REGISTRY.register(_told)


def read_stored(databases: Databases, now: datetime) -> Readings:
    """Every number of `GAUGES` that is known; of a database that does not answer only that."""
    found: Readings = {"database_up": {}, "database_pool_connections": {}}
    for name, engine, read in (
        ("market", databases.market, _read_market),
        ("people", databases.people, _read_people),
    ):
        found["database_pool_connections"] |= _pool(name, engine)
        try:
            with engine.connect() as conn:
                found |= read(conn, now)
            up = 1.0
        except SQLAlchemyError:
            up = 0.0
        found["database_up"][name,] = up
    return found


def _pool(name: str, engine: Engine) -> dict[tuple[str, ...], float]:
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return {}
    busy, idle = pool.checkedout(), pool.checkedin()
    return {(name, "busy"): float(busy), (name, "idle"): float(idle)}


def _read_market(conn: Connection, now: datetime) -> Readings:
    return {
        **_rounds(conn, now),
        **_sources(conn, now),
        **_model(conn, now),
        **_alerts(conn, now),
        **_deliveries(conn, now),
        "ledger_length": {(): float(head(conn)[0])},
    }


def _read_people(conn: Connection, now: datetime) -> Readings:
    state = load_backup_state(conn)
    found: Readings = {"backup_failing": {(): float(state.fails)}}
    since = state.made_at
    if since is None and load_settings().backup_to not in (None, OFF):
        since = state.missed_since
    if since is not None:
        found["backup_age_seconds"] = {(): _age(since, now)}
    return found


def _rounds(conn: Connection, now: datetime) -> Readings:
    vitals = load_vitals(conn, now)
    query = select(rounds.c.state, func.count()).where(rounds.c.time > now - _DAY)
    found: Readings = {
        "workers": {(): float(vitals.workers)},
        "rounds_24h": _counted(conn, query.group_by(rounds.c.state), ("running", "done", "failed")),
        "stream_up": {(one.venue,): float(not one.down) for one in vitals.streams},
        "stream_lag_seconds": {
            (one.venue,): _age(one.heard_at, now) for one in vitals.streams if one.heard_at
        },
    }
    for name, bar in (("bar", vitals.newest_bar), ("round", vitals.done_bar)):
        if bar is not None:
            found[f"newest_{name}_age_seconds"] = {(): _age(bar, now)}
    return found


def _sources(conn: Connection, now: datetime) -> Readings:
    names = [name for name in GAUGES if name.startswith("source_")]
    found: Readings = {name: {} for name in names}
    for source, row in load_health(conn).iterrows():
        one, state = (str(source),), row["state"]
        found["source_up"][one] = float(row["healthy"])
        found["source_requests"][one] = float(state.get("requests", 0))
        found["source_failures"][one] = float(state.get("failures", 0))
        found["source_breaker_open"][one] = float(state.get("breaker") == "open")
        if state.get("last_success_at") is not None and row["last_success_at"] is not None:
            found["source_success_age_seconds"][one] = _age(row["last_success_at"], now)
        for use in state.get("budgets", ()):
            share = use["used"] / use["allowed"] if use["allowed"] else 0.0
            found["source_budget_used_ratio"][*one, str(use["name"])] = share
    return found


def _model(conn: Connection, now: datetime) -> Readings:
    spent = load_spent(conn, now)
    return {"model_calls_today": {(): float(spent.calls)}, "model_usd_today": {(): spent.usd}}


def _alerts(conn: Connection, now: datetime) -> Readings:
    health = [one for one in load_rule_health(conn) if one.enabled]
    phases = select(alert_states.c.phase, func.count()).group_by(alert_states.c.phase)
    kinds = select(alert_events.c.kind, func.count()).where(alert_events.c.at > now - _DAY)
    found: Readings = {
        "alert_rules": {
            (each,): float(sum(one.health == each for one in health))
            for each in ("ok", "no_data", "error")
        },
        "alerts": _counted(conn, phases, ("pending", "firing", "recovering")),
        "alert_events_24h": _counted(conn, kinds.group_by(alert_events.c.kind), KINDS),
    }
    judged = [one.judged_bar for one in health if one.judged_bar is not None]
    if judged:
        found["alert_judged_age_seconds"] = {(): _age(min(judged), now)}
    return found


def _deliveries(conn: Connection, now: datetime) -> Readings:
    states = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
    oldest = conn.scalar(
        select(func.min(deliveries.c.made_at)).where(deliveries.c.state == "waiting")
    )
    return {
        "deliveries": _counted(conn, states, ("waiting", "sent", "dead", "dropped")),
        "delivery_waiting_age_seconds": {(): 0.0 if oldest is None else _age(oldest, now)},
    }


def _counted(conn: Connection, query: Any, known: tuple[str, ...]) -> dict[tuple[str, ...], float]:
    """Counts by name; 0 where there is none of a known one."""
    found: dict[tuple[str, ...], float] = {(name,): 0.0 for name in known}
    return found | {(str(name),): float(count) for name, count in conn.execute(query)}


def _age(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()
