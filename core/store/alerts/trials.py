"""A rule tried on the history that is stored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from core.alerts import Rule, compile_rule
from core.alerts.definition import RuleDefinition
from core.alerts.history import RuleHistory, backtest
from core.errors import Cancelled, RuleError
from core.store.alerts.frame import load_alert_frame

# So much of the work is reading; the rest is judging.
_READING, _PARTS = 0.7, 8


@dataclass(frozen=True)
class Asked:
    """What a trial is of: a definition over the days up to the newest bar of a store."""

    address: str
    definition: RuleDefinition
    start: datetime
    end: datetime
    symbols: tuple[str, ...]

    @property
    def key(self) -> str:
        """The same for trials that give the same."""
        told = self.definition.body_without(
            "name", "severity", "description", "channels", "title", "body", "muted", "enabled",
            "expires_at",
        )  # fmt: skip
        said = f"{self.address} {sorted(told.items())!r} {self.start} {self.end}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def run(
    engine: Engine,
    asked: Asked,
    *,
    progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> RuleHistory:
    """Read what the rule needs and judge it. Raises `Cancelled` when told to stop."""
    definition = asked.definition
    rule = compile_rule(definition.expression)
    frame = _read(engine, asked, rule, lambda share: progress(_READING * share), cancelled)
    history = backtest(
        definition.model_copy(update={"expires_at": None, "enabled": True}),
        frame,
        asked.start,
        asked.end,
        rule=rule,
        progress=lambda share: progress(_READING + (1 - _READING) * share),
        cancelled=cancelled,
    )
    missing = tuple(
        name for name in rule.needs if name not in frame.columns or frame[name].isna().all()
    )
    # What the machine was given is large, and nothing of it is shown.
    return replace(history, missing=missing, truth=np.empty((0, 0), dtype=np.int8))


def _read(
    engine: Engine,
    asked: Asked,
    rule: Rule,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> pd.DataFrame:
    """Only the columns and, unless it ranks among all, the markets of the rule; a few markets at a
    time, so that it can be stopped."""
    covered = [name for name in asked.symbols if asked.definition.covers(name)]
    symbols = list(asked.symbols) if "rank" in rule.functions else covered
    size = max(1, math.ceil(len(symbols) / _PARTS))
    parts = [symbols[at : at + size] for at in range(0, len(symbols), size)]
    start = asked.start - timedelta(hours=rule.lookback_hours)
    found = []
    for at, part in enumerate(parts):
        if cancelled():
            raise Cancelled("The backtest was cancelled.")
        with engine.connect() as conn:
            found.append(
                load_alert_frame(
                    conn,
                    asked.definition.profile_name,
                    rule.needs,
                    start=start,
                    end=asked.end,
                    symbols=part,
                )
            )
        progress((at + 1) / len(parts))
    if not found:
        raise RuleError("There is no market that the rule is about.")
    return pd.concat(found).sort_index()
