"""What an expression is at the newest bar of every market."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
from sqlalchemy import Connection

from core.alerts import Evaluation, Shown, compile_rule
from core.alerts.kernels import TRUE, UNKNOWN
from core.store.alerts.frame import load_alert_frame
from core.store.signals import market_range

# A market that has no row for so long is not there any more.
_NEWEST_WITHIN = timedelta(hours=3)


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


def load_newest_rows(
    conn: Connection, expression: str, conditions: tuple[str, ...], profile_name: str
) -> NewestRows:
    """Of an expression that compiles, and of conditions that "and" joins at its top."""
    rule = compile_rule(expression)
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
