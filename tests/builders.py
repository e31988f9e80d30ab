"""Small markets for tests: everything that a test does not name is ordinary."""

from __future__ import annotations

import numpy as np
import pandas as pd

START = pd.Timestamp("2025-09-01T01:00Z")


def make_frame(
    symbols: int | list[str] = 2,
    hours: int = 24 * 12,
    seed: int = 1,
    step: str = "1h",
    **changes: object,
) -> pd.DataFrame:
    """A random market frame with every column known; ``changes`` replace whole columns."""
    names = [f"S{n}USDT" for n in range(symbols)] if isinstance(symbols, int) else symbols
    random = np.random.default_rng(seed)
    shape = (len(names), hours)

    def wave(mean: float, size: float, memory: float = 0.9) -> np.ndarray:
        noise = random.normal(size=shape)
        for at in range(1, hours):
            noise[:, at] = memory * noise[:, at - 1] + np.sqrt(1 - memory**2) * noise[:, at]
        return mean + size * noise

    close = 100 * np.exp(np.cumsum(0.006 * random.standard_t(4, size=shape), axis=1))
    opened = np.hstack([close[:, :1], close[:, :-1]])
    contracts = np.exp(wave(15, 0.1, 0.99))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * (1 + np.abs(random.normal(scale=0.002, size=shape))),
        "low": np.minimum(opened, close) / (1 + np.abs(random.normal(scale=0.002, size=shape))),
        "close": close,
        "volume_usd": np.exp(wave(14, 0.5)),
        "funding_rate_8h": wave(1e-4, 1e-4),
        "open_interest_usd": contracts * close,
        "open_interest": contracts,
        "long_account_share": np.clip(wave(0.55, 0.05), 0.01, 0.99),
        "top_long_share": np.clip(wave(0.6, 0.05), 0.01, 0.99),
        "long_liquidations_usd": np.exp(wave(9, 1)),
        "short_liquidations_usd": np.exp(wave(9, 1)),
        "social_score": np.clip(wave(55, 8), 0, 100),
        "fear_greed": np.clip(wave(50, 15, 0.99), 0, 100),
    }
    times = pd.date_range(START, periods=hours, freq=step)
    index = pd.MultiIndex.from_product([names, times], names=["symbol", "time"])
    frame = pd.DataFrame({name: values.reshape(-1) for name, values in columns.items()}, index)
    return frame.assign(**changes)


def mirror(frame: pd.DataFrame) -> pd.DataFrame:
    """The market seen from the other side: whatever was bullish is as bearish."""
    scale = 10_000.0
    flipped = frame.assign(
        open=scale / frame["open"],
        high=scale / frame["low"],
        low=scale / frame["high"],
        close=scale / frame["close"],
        funding_rate_8h=-frame["funding_rate_8h"],
        long_account_share=1 - frame["long_account_share"],
        top_long_share=1 - frame["top_long_share"],
        long_liquidations_usd=frame["short_liquidations_usd"],
        short_liquidations_usd=frame["long_liquidations_usd"],
        social_score=100 - frame["social_score"],
        fear_greed=100 - frame["fear_greed"],
    )
    in_base = frame["open_interest_usd"] / frame["close"]
    return flipped.assign(open_interest_usd=in_base * flipped["close"])


def make_scored(**changes: object) -> pd.DataFrame:
    """One scored LONG row at 100 USDT with nothing against it, and what is changed about it."""
    row: dict[str, object] = {
        "close": 100.0,
        "score": 64.0,
        "coverage": 1.0,
        "agreement": 0.6,
        "direction": 1.0,
        "volatility_ratio": 1.0,
        "raw_funding_rate": 0.0001,
        "normal_funding_rate": 0.0001,
        "factor_funding_rate": 50.0,
        "raw_long_short_ratio": 0.5,
        "normal_long_short_ratio": 0.5,
        "factor_long_short_ratio": 50.0,
        "atr": 2.0,
        "normal_atr": 2.0,
        **changes,
    }
    index = pd.MultiIndex.from_tuples([("BTCUSDT", START)], names=["symbol", "time"])
    return pd.DataFrame({name: [value] for name, value in row.items()}, index=index)


def make_bars(closes: list[float], symbol: str = "BTCUSDT", **changes: list[float]) -> pd.DataFrame:
    """Hourly bars from `START` on whose open is the close before and whose range is the body."""
    close = np.array(closes, dtype=float)
    opened = np.concatenate(([close[0]], close[:-1]))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
        "funding_rate_8h": np.zeros(len(close)),
        **{name: np.array(values, dtype=float) for name, values in changes.items()},
    }
    times = pd.date_range(START, periods=len(close), freq="1h")
    index = pd.MultiIndex.from_product([[symbol], times], names=["symbol", "time"])
    return pd.DataFrame(columns, index=index)
