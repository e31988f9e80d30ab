"""Made markets of many symbols, and a database in which their past is there already."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from core.bench import made_market
from core.market.demo import demo_tables
from core.market.files import FILES
from core.market.recording import assemble
from core.store.observations import save_observations
from core.store.rounds import end_round, start_round
from core.store.signals import save_bars
from tests.live_market import few

Tables = dict[str, pd.DataFrame]
HOUR = timedelta(hours=1)


def made_tables(symbols: int, end: datetime, days: int) -> Tables:
    """Tables of a market of noise, every value published on the hour and without a gap."""
    frame = made_market(symbols, days * 24).reset_index().rename(columns={"time": "published_at"})
    times = pd.date_range(end=end, periods=days * 24, freq="h").as_unit("ms")
    frame["published_at"] = np.tile(times, symbols)
    frame = frame.astype({"symbol": "str"}).assign(venue="made")
    candles = frame.assign(
        open_at=frame["published_at"] - HOUR,
        quote_volume=frame["volume_usd"],
        volume=frame["volume_usd"] / frame[["open", "high", "low", "close"]].mean(axis=1),
    )
    settled = frame[frame["published_at"].dt.hour % 8 == 0].rename(
        columns={"published_at": "settled_at", "funding_rate_8h": "funding_rate"}
    )
    ratios = frame.assign(
        top_account_long_share=frame["top_long_share"],
        top_position_long_share=frame["top_long_share"],
    )
    days_of = frame[(frame["symbol"] == frame["symbol"][0]) & (frame["published_at"].dt.hour == 0)]
    found = {
        "candles_1h": candles,
        "funding": settled.assign(interval_hours=8.0),
        "open_interest": frame,
        "long_short": ratios,
        "fear_greed": days_of.round({"fear_greed": 0}),
    }
    return {name: _columns(name, table) for name, table in found.items()}


def demo_without_late_candles(symbols: list[str], end: datetime, days: int) -> Tables:
    """Symbols of the demo. A venue does not say when a candle came, so none came late."""
    tables = few(demo_tables(days=days, end=end), symbols)
    closes = tables["candles_1h"]["open_at"] + pd.Timedelta(hours=1)
    return {**tables, "candles_1h": tables["candles_1h"].assign(published_at=closes)}


def fill(engine: Engine, tables: Mapping[str, pd.DataFrame], through: datetime) -> int:
    """Have everything up to a bar be there, without signals of the past; how many bars."""
    known = {name: table[table[FILES[name].known_at] <= through] for name, table in tables.items()}
    frame = assemble(known).frame
    with engine.begin() as conn:
        save_observations(conn, known, through)
        save_bars(conn, frame)
        start_round(conn, through, "filled beforehand", through)
        end_round(conn, through, through)
    return len(frame)


def _columns(name: str, table: pd.DataFrame) -> pd.DataFrame:
    source = FILES[name]
    wanted = ["symbol"] if source.per_symbol else []
    wanted += ["venue", *source.times, *source.numbers]
    wanted += [one for one in source.optional if one in table]
    return table[wanted].reset_index(drop=True)
