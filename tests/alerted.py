"""A live market whose bars end now, with rules that were judged on it: what the Alerts page is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.silences import parse_silence
from core.backtest import decide
from core.jobs.alerting import Alerting
from core.jobs.round import newest_bar
from core.market.frame import SOURCES
from core.signals import load_profile
from core.store.alerts.rules import StoredRule, create_rule
from core.store.alerts.silences import make_silence
from core.store.signals import save_bars, save_profile, save_signals
from tests.builders import make_frame

HOUR = timedelta(hours=1)
DAYS, LIVE = 10, 30
NAMES = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@cache
def _random(symbols: Sequence[str]) -> pd.DataFrame:
    return make_frame(list(symbols), hours=24 * DAYS, seed=5)


def market(until: datetime, symbols: Sequence[str] = NAMES) -> pd.DataFrame:
    """Ten days of markets up to a bar; the last one has no funding rate."""
    frame = _random(tuple(symbols)).copy()
    late = until - frame.index.get_level_values("time").max()
    times = frame.index.get_level_values("time") + late
    names = frame.index.get_level_values("symbol")
    frame.index = pd.MultiIndex.from_arrays([names, times], names=["symbol", "time"])
    frame.loc[names == symbols[-1], "funding_rate_8h"] = float("nan")
    return frame


@cache
def _judged(until: datetime, symbols: Sequence[str]) -> pd.DataFrame:
    return decide(market(until, symbols), load_profile("balanced"))


def store_market(
    engine: Engine, until: datetime | None = None, symbols: Sequence[str] = NAMES
) -> list[datetime]:
    """Store it; the last bars, to judge rules at."""
    until = until or newest_bar(datetime.now(UTC))
    frame, profile = market(until, symbols), load_profile("balanced")
    planned = _judged(until, tuple(symbols))
    ages = pd.DataFrame(0.5, index=planned.index, columns=list(SOURCES))
    with engine.begin() as conn:
        save_bars(conn, frame)
        save_profile(conn, profile, until)
        save_signals(conn, planned, ages, profile, until)
    times = frame.index.get_level_values("time").unique().sort_values()
    return [time.to_pydatetime() for time in times[-LIVE:]]


def rule(name: str, expression: str, **changes: Any) -> RuleDefinition:
    return parse_definition({"name": name, "expression": expression, **changes})


def save(engine: Engine, definition: RuleDefinition, at: datetime) -> StoredRule:
    with engine.begin() as conn:
        return create_rule(conn, definition, by="ada", now=at)


def judge(engine: Engine, at: Sequence[datetime]) -> None:
    """As a worker does, a few seconds after the close of each bar."""
    now = {"time": at[0]}
    alerting = Alerting(engine, lambda: now["time"], link="https://desk.example")
    for bar in at:
        now["time"] = bar + timedelta(seconds=5)
        alerting.judge(bar)


def silence(engine: Engine, *matchers: str, at: datetime, **changes: Any) -> int:
    body = {
        "matchers": list(matchers),
        "reason": "maintenance",
        "author": "ada",
        "starts_at": at.isoformat(),
        "ends_at": (at + 4 * HOUR).isoformat(),
    }
    with engine.begin() as conn:
        return make_silence(conn, parse_silence(body | changes), now=at)
