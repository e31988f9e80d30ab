"""The demo market: a simulated market written as a recording, with the gaps a real one has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import RecordingError
from core.market.files import FILES
from core.market.recording import write
from core.market.simulator import COINS, SimulatedMarket, simulate

SEED = 70
END = datetime(2025, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Outage:
    """Nothing of a table (for one symbol, or all) for some hours from days before the end."""

    table: str
    symbol: str | None
    days_before_end: float
    hours: float


OUTAGES: tuple[Outage, ...] = (
    Outage("long_short", None, 12, 48),
    Outage("open_interest", "AVAXUSDT", 20.3, 22),
    Outage("funding", "ADAUSDT", 8.4, 26),
    Outage("fear_greed", None, 25, 26),
    Outage("social", None, 31.5, 9),
    Outage("candles_1h", "LTCUSDT", 17.2, 3),
    Outage("candles_1h", "SUIUSDT", 44.6, 5),
    Outage("candles_1h", "DOGEUSDT", 71.1, 1),
)
# The share of single rows that never arrived, and of candles that arrived after their close.
LOST = {"funding": 0.004, "open_interest": 0.01, "long_short": 0.01, "liquidations_4h": 0.006}
LOST |= {"social": 0.02}
LATE_CANDLES = 0.0003
LISTED_LATE = "HYPEUSDT"
# Single rows are lost up to here only, so that the newest rows show a market at work.
COMPLETE = timedelta(hours=48)


def write_demo(path: str | Path, *, seed: int = SEED, end: datetime = END, days: int = 120) -> None:
    """Write a simulated market as a recording of ``days`` up to ``end`` (aware, on the hour).

    The same arguments give the same values. Raises `RecordingError` when the folder holds
    something else, or when an argument makes no sense.
    """
    write(path, demo_tables(seed=seed, end=end, days=days))


def demo_tables(
    *, seed: int = SEED, end: datetime = END, days: int = 120
) -> dict[str, pd.DataFrame]:
    """The tables of the demo, named as the files of a recording."""
    last = pd.Timestamp(end)
    if last.tz is None or last != last.floor("h"):
        raise RecordingError(f"The demo cannot end at {end}; give an aware time on the hour.")
    if days < 1:
        raise RecordingError(f"The demo cannot last {days} days; give 1 or more.")
    open_at = pd.date_range(end=last.tz_convert("UTC"), periods=days * 24 + 1, freq="h")[:-1]
    market = simulate(seed, open_at)
    tables = {
        "candles_1h": _candles(market),
        "funding": _funding(market),
        "open_interest": _open_interest(market),
        "long_short": _long_short(market),
        "liquidations_4h": _liquidations(market),
        "social": _social(market),
        "fear_greed": _fear_greed(market),
    }
    return _with_gaps(tables, np.random.default_rng((seed, 3)), open_at)


def _candles(market: SimulatedMarket) -> pd.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    columns = {name: getattr(market, name) for name in names}
    times = {"open_at": market.open_at, "published_at": _closes(market)}
    return _table(times, columns)


def _funding(market: SimulatedMarket) -> pd.DataFrame:
    parts = []
    for hours in sorted({coin.funding_hours for coin in COINS}):
        coins = [i for i, coin in enumerate(COINS) if coin.funding_hours == hours]
        settled = _closes(market).hour % hours == 0
        mean = pd.DataFrame(market.funding_8h[:, coins]).rolling(hours, min_periods=1).mean()
        rate = np.round(mean.to_numpy()[settled] * hours / 8, 8)
        table = _table({"settled_at": _closes(market)[settled]}, {"funding_rate": rate}, coins)
        parts.append(table.assign(interval_hours=hours))
    return pd.concat(parts).sort_values(["symbol", "settled_at"], ignore_index=True)


def _open_interest(market: SimulatedMarket) -> pd.DataFrame:
    columns = {
        "open_interest_usd": np.round(market.open_interest * market.close),
        "open_interest": np.round(market.open_interest, 1),
    }
    return _every_4h(market, columns)


def _long_short(market: SimulatedMarket) -> pd.DataFrame:
    names = ("long_account_share", "top_account_long_share", "top_position_long_share")
    return _every_4h(market, {name: getattr(market, name) for name in names})


def _liquidations(market: SimulatedMarket) -> pd.DataFrame:
    totals = {
        name: pd.DataFrame(getattr(market, name)).rolling(4).sum().round(2).to_numpy()
        for name in ("long_liquidations_usd", "short_liquidations_usd")
    }
    table = _every_4h(market, totals).dropna()
    table.insert(2, "open_at", table["published_at"] - pd.Timedelta(hours=4))
    return table.reset_index(drop=True)


def _social(market: SimulatedMarket) -> pd.DataFrame:
    times = {"published_at": _closes(market) + pd.Timedelta(minutes=2)}
    return _table(times, {"social_score": market.social_score})


def _fear_greed(market: SimulatedMarket) -> pd.DataFrame:
    midnight = _closes(market).hour == 0
    published_at = _closes(market)[midnight] + pd.Timedelta(minutes=5)
    return pd.DataFrame(
        {
            "published_at": published_at.as_unit("ms"),
            "fear_greed": market.fear_greed[midnight],
        }
    )


def _closes(market: SimulatedMarket) -> pd.DatetimeIndex:
    return market.open_at + pd.Timedelta(hours=1)


def _every_4h(market: SimulatedMarket, columns: dict[str, NDArray[np.float64]]) -> pd.DataFrame:
    chosen = _closes(market).hour % 4 == 0
    times = {"published_at": _closes(market)[chosen]}
    return _table(times, {name: values[chosen] for name, values in columns.items()})


def _table(
    times: dict[str, pd.DatetimeIndex],
    columns: dict[str, NDArray[np.float64]],
    coins: list[int] | None = None,
) -> pd.DataFrame:
    """From arrays of time x coin to one row per symbol and time, sorted."""
    symbols = [COINS[i].symbol for i in (range(len(COINS)) if coins is None else coins)]
    count = len(next(iter(times.values())))
    table: dict[str, object] = {"symbol": np.repeat(symbols, count), "venue": "simulated"}
    every = np.tile(np.arange(count), len(symbols))
    table |= {name: time.as_unit("ms")[every] for name, time in times.items()}
    table |= {name: values.ravel(order="F") for name, values in columns.items()}
    return pd.DataFrame(table).astype({"symbol": "str", "venue": "str"})


def _with_gaps(
    tables: dict[str, pd.DataFrame], random: np.random.Generator, open_at: pd.DatetimeIndex
) -> dict[str, pd.DataFrame]:
    end = open_at[-1] + pd.Timedelta(hours=1)
    listed_at = open_at[len(open_at) // 3]
    shown = {}
    for name, table in tables.items():
        known_at = table[FILES[name].known_at]
        gone = random.random(len(table)) < LOST.get(name, 0.0)
        gone &= (known_at < end - COMPLETE).to_numpy()
        if "symbol" in table:
            gone |= ((table["symbol"] == LISTED_LATE) & (known_at <= listed_at)).to_numpy()
        for outage in OUTAGES:
            if outage.table == name:
                gone |= _in_outage(outage, table, known_at, end)
        shown[name] = table[~gone].reset_index(drop=True)
    shown["candles_1h"] = _some_late(shown["candles_1h"], random, end)
    return shown


def _in_outage(
    outage: Outage, table: pd.DataFrame, known_at: pd.Series, end: pd.Timestamp
) -> NDArray[np.bool_]:
    since = end - pd.Timedelta(days=outage.days_before_end)
    inside = (known_at > since) & (known_at <= since + pd.Timedelta(hours=outage.hours))
    if outage.symbol is not None:
        inside &= table["symbol"] == outage.symbol
    return inside.to_numpy(dtype=np.bool_)


def _some_late(
    candles: pd.DataFrame, random: np.random.Generator, end: pd.Timestamp
) -> pd.DataFrame:
    late = random.random(len(candles)) < LATE_CANDLES
    late &= (candles["published_at"] < end - COMPLETE).to_numpy()
    delay = pd.to_timedelta(random.integers(15, 90, len(candles)), unit="min").as_unit("ms")
    published_at = candles["published_at"].where(~late, candles["published_at"] + delay)
    return candles.assign(published_at=published_at)
