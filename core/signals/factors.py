"""The raw input of each factor, from windows that end at the bar.

Every function takes the dense columns and returns an array (symbols, times); NaN where the input
is unknown. Nothing here looks at a later bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.market.grid import (
    Floats,
    Grid,
    shift,
    window_mean,
    window_moments,
    window_total,
)
from core.signals.profile import Windows


class Market:
    """Dense columns of a market frame, read once each, and what several factors share."""

    def __init__(self, frame: pd.DataFrame, windows: Windows) -> None:
        self.grid = Grid.of(frame.index)
        self.windows = windows
        self._frame = frame
        with np.errstate(divide="ignore", invalid="ignore"):
            self.log_price = np.log(self.column("close"))
        self._hourly = self.log_price - shift(self.log_price, self.grid.bars(1))
        self.volatility = self._deviation(windows.history, windows.least_history)

    def volatility_ratio(self, first: int = 0) -> Floats:
        """Volatility of the last day over that of the last 30 days, from column ``first`` on."""
        hours = self.windows.fast_volatility
        fast = self._deviation(hours, self.windows.least_known * hours, first)
        with np.errstate(divide="ignore", invalid="ignore"):
            return fast / self.volatility[:, first:]

    def column(self, name: str) -> Floats:
        """A column as (symbols, times); all NaN where the frame does not have it."""
        if name not in self._frame.columns:
            return np.full(self.grid.shape, np.nan)
        return self.grid.spread(self._frame[name].to_numpy())

    def change(self, hours: float) -> Floats:
        """Log return of the close over the last ``hours``."""
        return self.log_price - shift(self.log_price, self.grid.bars(hours))

    def total(self, name: str, hours: float) -> Floats:
        """Sum of a column over the last ``hours``."""
        return window_total(self.column(name), self.grid.bars(hours), self.windows.least_known)

    def mean(self, values: Floats, hours: float) -> Floats:
        """Mean over the last ``hours``."""
        bars = self.grid.bars(hours)
        return window_mean(values, bars, self.windows.least_known * bars)

    def _deviation(self, hours: float, least_hours: float, first: int = 0) -> Floats:
        bars = self.grid.bars
        return window_moments(self._hourly, bars(hours), bars(least_hours), first)[1]


def liquidations(market: Market) -> Floats:
    """Log ratio of longs to shorts liquidated; a small part of the usual total steadies it."""
    hours = market.windows.liquidations
    longs = market.total("long_liquidations_usd", hours)
    shorts = market.total("short_liquidations_usd", hours)
    usual = window_mean(longs + shorts, market.grid.bars(market.windows.history), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log((longs + 0.01 * usual) / (shorts + 0.01 * usual))
    return np.where(usual > 0, ratio, np.nan)


def price_momentum(market: Market) -> Floats:
    """Mean of the returns over several windows, each in units of its own usual size."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = [
            market.change(hours) / (market.volatility * np.sqrt(hours))
            for hours in market.windows.momentum
        ]
    return np.asarray(sum(scaled) / len(scaled), dtype=np.float64)


def funding_rate(market: Market) -> Floats:
    """Mean funding rate, a fraction per 8 h."""
    return market.mean(market.column("funding_rate_8h"), market.windows.funding)


def long_short_ratio(market: Market) -> Floats:
    """Share of accounts that are long."""
    return market.column("long_account_share")


def smart_money(market: Market) -> Floats:
    """Share of the venue's top traders that is long."""
    return market.column("top_long_share")


def oi_trend(market: Market) -> Floats:
    """Relative change of open interest in base units, signed by the price's direction."""
    bars = market.grid.bars(market.windows.open_interest)
    with np.errstate(divide="ignore", invalid="ignore"):
        in_base = _relative_change(market.column("open_interest"), bars)
        from_usd = _relative_change(
            market.column("open_interest_usd") / market.column("close"), bars
        )
    growth = np.where(np.isnan(in_base), from_usd, in_base)
    return np.asarray(np.sign(market.change(market.windows.open_interest)) * growth)


def social_sentiment(market: Market) -> Floats:
    """Social score above its own mean of the week."""
    published = market.column("social_score")
    return published - market.mean(published, market.windows.social_mean)


def fear_greed(market: Market) -> Floats:
    """The index itself."""
    return market.column("fear_greed")


def _relative_change(values: Floats, bars: int) -> Floats:
    past = shift(values, bars)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(past > 0, values / past - 1, np.nan)


@dataclass(frozen=True)
class Factor:
    """A factor: its raw input, and whether a high input is bullish (+1) or bearish (-1)."""

    raw: Callable[[Market], Floats]
    sign: int
    title: str
    source: str


BY_NAME: dict[str, Factor] = {
    "liquidations": Factor(liquidations, +1, "Liquidations", "liquidations"),
    "price_momentum": Factor(price_momentum, +1, "Price momentum", "candles"),
    "funding_rate": Factor(funding_rate, -1, "Funding rate", "funding"),
    "long_short_ratio": Factor(long_short_ratio, -1, "Long/short accounts", "long_short"),
    "smart_money": Factor(smart_money, +1, "Top traders", "long_short"),
    "oi_trend": Factor(oi_trend, +1, "Open interest trend", "open_interest"),
    "social_sentiment": Factor(social_sentiment, +1, "Social score", "social"),
    "fear_greed": Factor(fear_greed, -1, "Fear & greed", "fear_greed"),
}
