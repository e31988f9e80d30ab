"""Signals, verdicts and outcomes for tests of the record, and what they add up to, plainly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from sqlalchemy import Connection, insert, select

from core.accuracy.tallies import CELL, LATER, LIVE, RULES, tally
from core.backtest import decide
from core.outcomes import resolve
from core.signals import Profile, load_profile
from core.store.signals import save_bars, save_outcomes, save_profile, save_signals
from core.store.tables import outcomes, signals, verdicts
from tests.builders import make_frame

NOW = datetime(2025, 10, 1, 12, tzinfo=UTC)
MODELS = (("gpt-a", "1"), ("gpt-b", "1"), ("gpt-b", "2"))
# Two versions of one profile, and another profile.
PROFILES = (
    load_profile("aggressive"),
    load_profile("aggressive").model_copy(update={"threshold": 53.0}),
    load_profile("balanced"),
)


def make_record(
    seed: int = 1, symbols: int = 2, days: int = 12
) -> tuple[pd.DataFrame, list[tuple[Profile, pd.DataFrame, pd.DataFrame]]]:
    """Bars, and of every profile the planned rows and the outcomes, with everything that is rare."""
    frame = make_frame(symbols, hours=24 * days, seed=seed)
    chance = np.random.default_rng(seed)
    made = []
    for profile in PROFILES:
        planned = decide(frame, profile)
        spoken = planned["direction"].abs() == 1
        planned.loc[spoken & (chance.random(len(planned)) < 0.2), "score"] = 65.0
        resolved = resolve(planned, frame)
        n = len(resolved)
        resolved["r_multiple"] = resolved["r_multiple"].mask(chance.random(n) < 0.05)
        edge = chance.random(n) < 0.1
        resolved.loc[edge, "r_multiple"] = chance.integers(-12, 12, edge.sum()) / 4
        resolved["mae_r"] = resolved["mae_r"].mask(chance.random(n) < 0.05)
        resolved["funding_assumed"] = chance.random(n) < 0.2
        resolved.loc[chance.random(n) < 0.05, "net_return"] = 0.0
        made.append((profile, planned, resolved))
    return frame, made


def store_signals(
    conn: Connection,
    frame: pd.DataFrame,
    made: Sequence[tuple[Profile, pd.DataFrame, pd.DataFrame]],
    live_from: pd.Timestamp | None = None,
) -> None:
    """Bars and signals; those of bars from ``live_from`` on as if stored a moment after them."""
    save_bars(conn, frame)
    for profile, planned, _ in made:
        save_profile(conn, profile, NOW)
        times = planned.index.get_level_values("time")
        for time in times.unique() if live_from is not None else []:
            if time >= live_from:
                rows = planned[times == time]
                save_signals(conn, rows, ages(rows), profile, time + pd.Timedelta("3s"))
        past = planned if live_from is None else planned[times < live_from]
        save_signals(conn, past, ages(past), profile, NOW)


def store_outcomes(
    conn: Connection, made: Sequence[tuple[Profile, pd.DataFrame, pd.DataFrame]]
) -> None:
    for profile, _, resolved in made:
        save_outcomes(conn, resolved, profile, NOW)


def ages(planned: pd.DataFrame) -> pd.DataFrame:
    from core.market.frame import SOURCES

    return pd.DataFrame(1.0, index=planned.index, columns=list(SOURCES))


def store_verdict(conn: Connection, signal_id: int, number: int = 0) -> None:
    """A model's answer, or that there was none; which one follows from ``number``."""
    model, prompt = MODELS[number % len(MODELS)]
    answered = number % 7 != 6
    verdict, mode, multiplier = [
        ("CONFIRM", "NORMAL", 1.0),
        ("DOWNSIZE", "REDUCED", 0.5),
        ("WAIT", "REDUCED", 0.0),
        ("SKIP", "AVOID", 0.0),
    ][number % 4]
    conn.execute(
        insert(verdicts).values(
            signal_id=signal_id,
            endpoint="http://127.0.0.1/v1",
            model=model,
            prompt_version=prompt,
            state="answered" if answered else "timed_out",
            verdict=verdict if answered else None,
            risk_mode=mode if answered else None,
            multiplier=multiplier if answered else None,
            reasons=[],
            attempts=1,
            asked_at=NOW,
            recorded_at=NOW,
        )
    )


def load_plainly(conn: Connection) -> pd.DataFrame:
    """Every outcome of every judge with what `tally` needs of it, made by pandas alone."""
    of_signal = ("profile_name", "profile_version", "direction", "score", "coverage", "symbol")
    judged = ("verdict", "risk_mode", "multiplier")
    query = (
        select(
            *(signals.c[name] for name in of_signal),
            *(signals.c[name].label(f"rules_{name}") for name in judged),
            *(verdicts.c[name].label(f"model_{name}") for name in judged),
            signals.c.time,
            signals.c.recorded_at.label("signal_recorded_at"),
            verdicts.c.model,
            verdicts.c.prompt_version,
            *(column for column in outcomes.c if column.name != "recorded_at"),
        )
        .select_from(outcomes)
        .join(signals, signals.c.id == outcomes.c.signal_id)
        .outerjoin(verdicts, verdicts.c.signal_id == signals.c.id)
    )
    result = conn.execute(query)
    found = pd.DataFrame(result.mappings().all(), columns=list(result.keys()))
    for name in ("time", "signal_recorded_at", "exit_at"):
        found[name] = pd.to_datetime(found[name], utc=True)
    soon = found["signal_recorded_at"] - found["time"] <= pd.Timedelta("2h")
    found["recorded"] = np.where(soon, LIVE, LATER)
    rules = found.assign(
        judge=RULES, allowed_multiplier=1.0, **{name: found[f"rules_{name}"] for name in judged}
    )
    asked = found[found["model_verdict"].notna()]
    models = asked.assign(
        judge=asked["model"] + " / " + asked["prompt_version"],
        allowed_multiplier=asked["rules_multiplier"],
        **{name: asked[f"model_{name}"] for name in judged},
        traded=asked["traded"] & asked["model_verdict"].isin(["CONFIRM", "DOWNSIZE"]),
    )
    return pd.concat([rules, models], ignore_index=True)


def tally_plainly(conn: Connection, by: Sequence[str] = CELL) -> pd.DataFrame:
    return tally(load_plainly(conn), by)
