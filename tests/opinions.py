"""Live signals that a model can be asked about, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import pandas as pd
from sqlalchemy import Engine, select

from core.backtest import decide
from core.jobs.opinions import Opinions
from core.market.frame import SOURCES
from core.settings import load_settings
from core.signals import PROFILE_NAMES, load_profile
from core.store.signals import save_bars, save_profile, save_signals
from core.store.tables import signals, verdicts
from tests.builders import START, make_frame

HOURS = 24 * 10
BAR = (START + timedelta(hours=HOURS - 1)).to_pydatetime()
SOON = BAR + timedelta(seconds=5)
NOW = BAR + timedelta(seconds=10)
MANY = [f"S{number}USDT" for number in range(170)]
SYMBOLS = MANY[:8]
KEY = "sk-secret-of-ours"


@cache
def market() -> pd.DataFrame:
    return make_frame(MANY, hours=HOURS, seed=5)


@cache
def planned(profile_name: str) -> pd.DataFrame:
    """The signals of the last bar."""
    rows = decide(market(), load_profile(profile_name))
    return rows[rows.index.get_level_values("time") == pd.Timestamp(BAR)]


def speaking(symbols: list[str] = SYMBOLS) -> pd.DataFrame:
    """Those with a direction, of every mode; column profile_name."""
    found = pd.concat([planned(name).assign(profile_name=name) for name in PROFILE_NAMES])
    return found[(found["direction"].abs() == 1) & found.index.isin(symbols, level="symbol")]


def store(engine: Engine, recorded_at: datetime = SOON, symbols: list[str] = SYMBOLS) -> None:
    """Store some bars, and of each mode the signals of the last one."""
    bars = market()
    bars = bars[bars.index.get_level_values("time") > pd.Timestamp(BAR - timedelta(hours=6))]
    bars = bars[bars.index.isin(symbols, level="symbol")]
    ages = pd.DataFrame(0.5, index=bars.index, columns=list(SOURCES))
    with engine.begin() as conn:
        save_bars(conn, bars)
        for name in PROFILE_NAMES:
            profile, rows = load_profile(name), planned(name)
            rows = rows[rows.index.isin(symbols, level="symbol")]
            save_profile(conn, profile, recorded_at)
            save_signals(conn, rows, ages.loc[rows.index], profile, recorded_at)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def make_opinions(
    engine: Engine, url: str, worker: str = "one", clock: Clock | None = None, **changes: str
) -> Opinions:
    """What asks the stand-in at ``url``; ``changes`` are settings without CRYPTOSATX_MODEL_."""
    settings = load_settings(
        {
            "CRYPTOSATX_MODEL": "stand-in",
            "CRYPTOSATX_MODEL_TIMEOUT": "5",
            "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": KEY,
            **{f"CRYPTOSATX_MODEL_{name}": value for name, value in changes.items()},
        }
    )
    return Opinions(engine, settings, worker, clock or Clock(), first_wait=0.01)


def stored_verdicts(engine: Engine) -> pd.DataFrame:
    """Every verdict beside its signal: the columns of both, the signal's with signal_ before them."""
    columns = [column.label(f"signal_{column.name}") for column in signals.c if column.name != "id"]
    query = select(verdicts, *columns).join(signals, signals.c.id == verdicts.c.signal_id)
    with engine.connect() as conn:
        found = conn.execute(query.order_by(verdicts.c.id)).mappings().all()
    return pd.DataFrame(found)
