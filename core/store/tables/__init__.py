"""The tables. A migration under migrations/ makes each change; a test holds the two together."""

from __future__ import annotations

from core.store.append_only import make_append_only
from core.store.tables.accuracy import factor_days, pair_days, tallies, tally_cells
from core.store.tables.alerts import (
    acknowledgements,
    alert_events,
    alert_progress,
    alert_rule_versions,
    alert_rules,
    alert_states,
    audit_log,
    channels,
    deliveries,
    delivery_attempts,
    silences,
    subscriptions,
)
from core.store.tables.base import RowId, metadata
from core.store.tables.keys import api_keys
from core.store.tables.liquidation import liquidation_minutes, liquidations, stream_gaps, streams
from core.store.tables.live import coins, leases, observed, rounds, source_health
from core.store.tables.people import (
    invitations,
    journeys,
    recovery_codes,
    second_factors,
    sessions,
    sign_in_attempts,
    tickets,
    users,
)
from core.store.tables.record import (
    bars,
    ledger,
    measurements,
    meta,
    outcomes,
    profiles,
    questions,
    signals,
    verdicts,
)
from core.store.tables.runs import backtests, looks, profiles_in_force, replays

__all__ = [
    "RowId",
    "acknowledgements",
    "alert_events",
    "alert_progress",
    "alert_rule_versions",
    "alert_rules",
    "alert_states",
    "api_keys",
    "audit_log",
    "backtests",
    "bars",
    "channels",
    "coins",
    "deliveries",
    "delivery_attempts",
    "factor_days",
    "invitations",
    "journeys",
    "leases",
    "ledger",
    "liquidation_minutes",
    "liquidations",
    "looks",
    "measurements",
    "meta",
    "metadata",
    "observed",
    "outcomes",
    "pair_days",
    "profiles",
    "profiles_in_force",
    "questions",
    "recovery_codes",
    "replays",
    "rounds",
    "second_factors",
    "sessions",
    "sign_in_attempts",
    "signals",
    "silences",
    "source_health",
    "stream_gaps",
    "streams",
    "subscriptions",
    "tallies",
    "tally_cells",
    "tickets",
    "users",
    "verdicts",
]

# What makes up the record can be added to and nothing else, which the database itself sees to.
make_append_only(metadata)
