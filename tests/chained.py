"""A small record: signals of two modes, verdicts of a model on some, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import numpy as np
import pandas as pd
from sqlalchemy import Connection, select

from core.backtest import decide
from core.market.frame import SOURCES
from core.outcomes import resolve
from core.signals import load_profile
from core.store import ledger
from core.store.signals import save_bars, save_outcomes, save_profile, save_signals
from core.store.tables import signals, verdicts
from core.store.tallies import keep_verdict_tallies
from tests.builders import make_frame

NOW = datetime(2025, 10, 1, 12, tzinfo=UTC)
MODES = ("aggressive", "balanced")


@cache
def market(hours: int = 24 * 9, symbols: int = 2) -> pd.DataFrame:
    return make_frame(symbols, hours=hours, seed=4)


def save_record(conn: Connection, rows: int = 30, frame: pd.DataFrame | None = None) -> None:
    """The newest ``rows`` bars of every symbol, without the last day, which outcomes need."""
    frame = market() if frame is None else frame
    times = frame.index.get_level_values("time").unique()
    chosen = times[-rows - 24 : -24]
    kept = frame[frame.index.get_level_values("time").isin(chosen)]
    ages = pd.DataFrame(0.25, index=kept.index, columns=list(SOURCES))
    first = kept.index.get_level_values("symbol") == kept.index[0][0]
    save_bars(conn, frame)
    for name in MODES:
        profile = load_profile(name)
        save_profile(conn, profile, NOW)
        planned = decide(frame, profile).loc[kept.index]
        planned["mood"] = np.where(first, np.nan, 1.5)  # a number that has no column
        save_signals(conn, planned, ages, profile, NOW)
        save_outcomes(conn, resolve(planned, frame), profile, NOW)
    for signal_id in conn.scalars(
        select(signals.c.id).where(signals.c.direction != 0).order_by(signals.c.id).limit(3)
    ).all():
        save_verdict(conn, signal_id)


def save_verdict(conn: Connection, signal_id: int, **changes: object) -> None:
    row: dict[str, object] = {
        "signal_id": signal_id,
        "shared_with": None,
        "endpoint": "http://model/v1",
        "model": "careful",
        "prompt_version": "p1",
        "temperature": 0.0,
        "state": "answered",
        "verdict": "DOWNSIZE",
        "risk_mode": "REDUCED",
        "multiplier": 0.5,
        "reasons": [{"factor": "funding_rate", "text": "Crowded."}],
        "change_of_mind": "Calm.",
        "error": None,
        "attempts": 1,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cost_usd": 0.001,
        "latency_ms": 12.5,
        "question": "What now?",
        "raw_reply": "{}",
        "asked_at": NOW,
        "recorded_at": NOW,
        **changes,
    }
    ledger.hold(conn)
    row_id = ledger.next_id(conn, verdicts, "verdict")
    conn.execute(verdicts.insert().values(id=row_id, **row))
    ledger.spend_ids(conn, verdicts, row_id)
    ledger.append(conn, "verdict", [(row_id, ledger.verdict_content(row))])
    keep_verdict_tallies(conn, [signal_id])
