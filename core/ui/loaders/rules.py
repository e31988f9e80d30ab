"""Alert rules as they stand, and what an expression says to the newest rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from core.alerts import Evaluation, Shown, compile_rule
from core.alerts.kernels import TRUE, UNKNOWN
from core.errors import RuleError
from core.store import channels
from core.store.alerts import rules as store
from core.store.alerts.frame import load_alert_frame
from core.store.alerts.overview import count_firing_by_rule, load_last_fired
from core.store.alerts.states import Progress, load_progress
from core.store.signals import market_range
from core.ui.loaders.kept import KEPT_SECONDS, State, reading, state_now

# A market that has no row for so long is not there any more.
_NEWEST_WITHIN = timedelta(hours=3)


@dataclass(frozen=True)
class RuleNow:
    """A rule and how it stands; ``progress`` is None before a worker judged it."""

    rule: store.StoredRule
    progress: Progress | None
    firing: int
    last_fired: datetime | None


@dataclass(frozen=True)
class MarketNow:
    """What an expression is for a market at its newest bar: true, false or None for unknown; of every
    piece and of every condition that "and" joins at its top."""

    symbol: str
    time: datetime
    truth: bool | None
    pieces: tuple[Shown, ...]
    conditions: tuple[bool | None, ...]


@dataclass(frozen=True)
class NewestRows:
    """Every market at its newest bar; ``missing`` are columns that nothing is stored of."""

    markets: tuple[MarketNow, ...]
    missing: tuple[str, ...]


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
    rule = compile_rule(expression)
    with reading() as conn:
        span = market_range(conn)
        if span is None:
            return NewestRows((), ())
        start = span[1] - timedelta(hours=rule.lookback_hours) - _NEWEST_WITHIN
        frame = load_alert_frame(conn, profile_name, rule.needs, start=start, end=span[1])
    if frame.empty:
        return NewestRows((), ())
    missing = tuple(
        name for name in rule.needs if name not in frame.columns or frame[name].isna().all()
    )
    since = pd.Timestamp(span[1] - _NEWEST_WITHIN)
    evaluation = Evaluation(frame, since)
    rows = pd.Series(range(len(evaluation.index)), evaluation.index).groupby(level="symbol").max()
    truth = rule.truth_in(evaluation)
    pieces = rule.explain(evaluation, rows.to_list())
    joined = [compile_rule(one).truth_in(evaluation) for one in conditions]
    times = evaluation.index.get_level_values("time")
    return NewestRows(
        tuple(
            MarketNow(
                str(symbol),
                times[row].to_pydatetime(),
                _known(truth[row]),
                shown,
                tuple(_known(one[row]) for one in joined),
            )
            for (symbol, row), shown in zip(rows.items(), pieces, strict=True)
        ),
        missing,
    )


def _known(truth: int) -> bool | None:
    return None if truth == UNKNOWN else bool(truth == TRUE)
