"""Alert rules as they stand, and what an expression says to the newest rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from core.errors import RuleError
from core.store import channels
from core.store.alerts import newest
from core.store.alerts import rules as store
from core.store.alerts.newest import NewestRows
from core.store.alerts.overview import count_firing_by_rule, load_last_fired
from core.store.alerts.states import Progress, load_progress
from core.ui.loaders.kept import KEPT_SECONDS, State, reading, state_now


@dataclass(frozen=True)
class RuleNow:
    """A rule and how it stands; ``progress`` is None before a worker judged it."""

    rule: store.StoredRule
    progress: Progress | None
    firing: int
    last_fired: datetime | None


def load_rules_now() -> list[RuleNow]:
    """Every rule in use with how it stands, by name."""
    with reading() as conn:
        progress, firing = load_progress(conn), count_firing_by_rule(conn)
        fired = load_last_fired(conn)
        return [
            RuleNow(rule, progress.get(rule.id), firing.get(rule.id, 0), fired.get(rule.id))
            for rule in store.list_rules(conn)
        ]


def load_rule(rule_id: int) -> store.StoredRule | None:
    """A rule in use; None where there is none."""
    with reading() as conn:
        try:
            return store.load_rule(conn, rule_id)
        except RuleError:
            return None


def load_names_of_rules() -> dict[int, str]:
    """The names of the rules in use by id."""
    with reading() as conn:
        return store.load_names(conn)


def load_rule_versions(rule_id: int) -> list[store.Version]:
    """All versions of a rule, the newest first."""
    with reading() as conn:
        return store.list_versions(conn, rule_id)


def load_shared_channels() -> dict[int, str]:
    """The names of the shared channels by id."""
    with reading() as conn:
        return {one.id: one.name for one in channels.list_channels(conn)}


def load_newest_rows(expression: str, conditions: tuple[str, ...], profile_name: str) -> NewestRows:
    """What an expression that compiles is at the newest bar of every market."""
    return _newest_rows(state_now(), expression, conditions, profile_name)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=32, show_spinner=False)
def _newest_rows(
    state: State,  # noqa: ARG001
    expression: str,
    conditions: tuple[str, ...],
    profile_name: str,
) -> NewestRows:
    with reading() as conn:
        return newest.load_newest_rows(conn, expression, conditions, profile_name)
