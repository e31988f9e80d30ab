"""A simulated market of perpetual futures, hour by hour, for the demo.

Prices are built from innovations that are symmetric given everything before them: nothing in the
market (funding, crowd, liquidations, open interest, social score, fear & greed) says where the
price goes next; all of it only reacts. What is not like a random walk: volatility comes in
clusters shared by all coins, jumps happen, and a large move liquidates positions, which makes the
same hour's move larger, flushes open interest and stirs the hours after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coin:
    """What tells one simulated perpetual from another.

    ``beta`` and ``own_volatility`` (std of hourly log returns that are not the market's) make its
    price, ``turnover_usd`` is a usual hour's, ``open_interest_usd`` its usual level,
    ``long_share`` and ``social`` the levels its crowd and its social score come back to.
    """

    symbol: str
    price: float
    decimals: int
    beta: float
    own_volatility: float
    turnover_usd: float
    open_interest_usd: float
    long_share: float
    social: float
    funding_hours: int = 8


COINS: tuple[Coin, ...] = (
    Coin("ADAUSDT", 0.8, 4, 1.30, 0.0044, 16e6, 0.42e9, 0.68, 55),
    Coin("AVAXUSDT", 26.0, 3, 1.40, 0.0050, 18e6, 0.38e9, 0.66, 54),
    Coin("BNBUSDT", 900.0, 2, 0.85, 0.0034, 45e6, 0.90e9, 0.58, 60),
    Coin("BTCUSDT", 110_000.0, 1, 0.62, 0.0015, 430e6, 9.0e9, 0.58, 64),
    Coin("DOGEUSDT", 0.22, 5, 1.40, 0.0046, 55e6, 0.95e9, 0.70, 58),
    Coin("ETHUSDT", 4_100.0, 2, 1.10, 0.0030, 580e6, 7.0e9, 0.60, 62),
    Coin("HYPEUSDT", 42.0, 3, 1.25, 0.0075, 18e6, 0.55e9, 0.57, 57),
    Coin("LINKUSDT", 21.0, 3, 1.35, 0.0050, 18e6, 0.40e9, 0.65, 59),
    Coin("LTCUSDT", 105.0, 2, 1.10, 0.0050, 9e6, 0.25e9, 0.67, 50),
    Coin("SOLUSDT", 190.0, 2, 1.25, 0.0042, 190e6, 3.2e9, 0.69, 61),
    Coin("SUIUSDT", 3.2, 4, 1.40, 0.0050, 20e6, 0.45e9, 0.67, 56, funding_hours=4),
    Coin("XRPUSDT", 2.8, 4, 1.05, 0.0038, 56e6, 1.3e9, 0.71, 60),
)

_MARKET_VOLATILITY = 0.0057
_STEPS = 12
_WARM_UP_HOURS = 45 * 24
_CROWDED = 0.0001


@dataclass(frozen=True)
class SimulatedMarket:
    """What happened in every hour: arrays of hours x coins, in the order of `COINS`.

    Liquidations are USD in the hour, ``funding_8h`` is the rate as it builds up towards the
    settlement, shares and scores are as of the hour's end. ``fear_greed`` is one number an hour.
    """

    open_at: pd.DatetimeIndex
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    open_interest: Floats
    long_liquidations_usd: Floats
    short_liquidations_usd: Floats
    funding_8h: Floats
    long_account_share: Floats
    top_account_long_share: Floats
    top_position_long_share: Floats
    social_score: Floats
    fear_greed: Floats


def simulate(seed: int, open_at: pd.DatetimeIndex) -> SimulatedMarket:
    """The market over hours that open at ``open_at`` (contiguous, UTC); the same for a seed."""
    before = pd.date_range(end=open_at[0], periods=_WARM_UP_HOURS + 1, freq="h")[:-1]
    hours = pd.DatetimeIndex(before.append(open_at))
    price, crowd, moods = (np.random.default_rng((seed, part)) for part in range(3))
    moves = _move(price, hours)
    turnover = _turnover(price, moves)
    longs, shorts = _liquidations(crowd, moves)
    everything = {
        **_bars(moves, turnover),
        "open_interest": moves.open_interest,
        "long_liquidations_usd": longs,
        "short_liquidations_usd": shorts,
        **_crowd(crowd, moves),
        **_moods(moods, moves, turnover),
    }
    shown = {name: values[_WARM_UP_HOURS:] for name, values in everything.items()}
    return SimulatedMarket(open_at=open_at, **shown)


@dataclass(frozen=True)
class _Moves:
    """The hours as they were built: log returns, how far they went, and in units of normal."""

    returns: Floats
    highest: Floats
    lowest: Floats
    volatility: Floats
    normal: Floats
    open_interest: Floats

    @property
    def sizes(self) -> Floats:
        return self.returns / self.normal


class _Draws(NamedTuple):
    """Everything that is random about the prices: hours x coins, or hours for the whole market."""

    market: Floats
    alone: Floats
    market_jump: Floats
    own_jump: Floats
    weather: Floats
    own_weather: Floats
    arrival: Floats
    bridge: Floats
    flow: Floats


def _draw(random: np.random.Generator, hours: pd.DatetimeIndex) -> _Draws:
    n, coins = len(hours), len(COINS)
    clock = np.log(_clock(hours))
    return _Draws(
        market=_fat_noise(random, n, 1)[:, 0],
        alone=_fat_noise(random, n, coins),
        market_jump=_jumps(random, n, 1, every_days=8, size=3.5)[:, 0],
        own_jump=_jumps(random, n, coins, every_days=12, size=3.5),
        weather=clock + _weather(random, n, 1)[:, 0],
        own_weather=clock[:, None] + _weather(random, n, coins),
        arrival=_arrival(random, n, coins),
        bridge=_bridges(random, n, coins),
        flow=random.normal(0, 0.006, (n, coins)),
    )


def _move(random: np.random.Generator, hours: pd.DatetimeIndex) -> _Moves:
    """Hour after hour: shocks, cascades, open interest; each feeds on what was before it."""
    n, coins = len(hours), len(COINS)
    beta, own = _column("beta"), _column("own_volatility")
    normal = np.sqrt((beta * _MARKET_VOLATILITY) ** 2 + own**2)
    draws = _draw(random, hours)
    returns, highest, lowest, volatility, interest = (np.zeros((n, coins)) for _ in range(5))
    stir, own_stir = 0.8, np.full(coins, 0.8)
    built_up, trend = np.zeros(coins), np.zeros(coins)
    for t in range(n):
        market = _MARKET_VOLATILITY * np.exp(draws.weather[t]) * stir**0.5
        alone = own * np.exp(draws.own_weather[t]) * own_stir**0.5
        common = market * draws.market[t] + _MARKET_VOLATILITY * draws.market_jump[t]
        shock = beta * common + alone * draws.alone[t] + own * draws.own_jump[t]
        volatility[t] = np.sqrt((beta * market) ** 2 + alone**2)
        cascade = np.clip(0.28 * np.exp(3 * built_up) * (np.abs(shock) / normal - 3.5), 0, 1.3)
        returns[t] = shock * (1 + cascade)
        path = returns[t] * draws.arrival[t] + volatility[t] * draws.bridge[t]
        path[_STEPS // 2] += 0.4 * shock * cascade
        highest[t] = np.maximum(path.max(axis=0), 0)
        lowest[t] = np.minimum(path.min(axis=0), 0)
        reach = np.maximum(highest[t], -lowest[t]) / normal
        flushed = 1 - np.exp(-0.016 * np.maximum(reach - 4, 0))
        trend = 0.975 * trend + 0.22 * returns[t] / normal
        built_up = 0.993 * built_up + 0.0009 * (np.abs(trend) - 0.8)
        built_up += draws.flow[t] + np.log1p(-flushed)
        interest[t] = built_up
        stir = 0.8 * stir + 0.2 * min(abs(common) / _MARKET_VOLATILITY, 5)
        own_stir = 0.8 * own_stir + 0.2 * np.minimum(np.abs(shock) / normal, 5)
    contracts = _column("open_interest_usd") / _column("price") * np.exp(interest)
    return _Moves(returns, highest, lowest, volatility, normal, contracts)


def _fat_noise(random: np.random.Generator, n: int, columns: int) -> Floats:
    """Unit variance, Student's t with 6 degrees of freedom, symmetric."""
    noise: Floats = random.standard_t(6, (n, columns)) * np.sqrt(4 / 6)
    return noise


def _jumps(
    random: np.random.Generator, n: int, columns: int, *, every_days: float, size: float
) -> Floats:
    happens = random.random((n, columns)) < 1 / (24 * every_days)
    return np.asarray(happens * random.normal(0, size, (n, columns)))


def _weather(random: np.random.Generator, n: int, columns: int) -> Floats:
    """Log volatility around its level: weeks of calm or unrest, and the mood of the day."""
    slow = _wander(random, n, columns, half_life=150)
    fast = _wander(random, n, columns, half_life=9)
    return 0.2 * slow + 0.18 * fast


def _clock(hours: pd.DatetimeIndex) -> Floats:
    """Busy when New York opens, quieter at night and at the weekend; about 1 on average."""
    hour = hours.hour.to_numpy(dtype=np.float64)
    opening = 0.45 * np.exp(-(((hour - 14.5) / 1.8) ** 2))
    evening = 0.12 * np.exp(-(((hour - 20) / 2.5) ** 2))
    weekday = np.where(hours.day_of_week >= 5, 0.82, 1.03)
    return np.asarray((0.92 + opening + evening) * weekday)


def _arrival(random: np.random.Generator, n: int, coins: int) -> Floats:
    """How much of the hour's return has arrived after each step: 0..1, often at once."""
    parts = random.gamma(0.6, 1, (n, _STEPS, coins))
    arrived: Floats = np.cumsum(parts, axis=1) / parts.sum(axis=1, keepdims=True)
    return arrived


def _bridges(random: np.random.Generator, n: int, coins: int) -> Floats:
    """Back and forth within the hour that ends where it began, in units of its volatility."""
    steps = random.normal(0, 1 / np.sqrt(_STEPS), (n, _STEPS, coins))
    walk = np.cumsum(steps, axis=1)
    elapsed = np.arange(1, _STEPS + 1)[:, None] / _STEPS
    return 1.35 * (walk - elapsed * walk[:, -1:, :])


def _bars(moves: _Moves, turnover: Floats) -> dict[str, Floats]:
    decimals = [coin.decimals for coin in COINS]
    opened = np.log(_column("price")) + np.cumsum(moves.returns, axis=0) - moves.returns
    opened -= moves.returns[:_WARM_UP_HOURS].sum(axis=0)
    bars = {
        "open": np.exp(opened),
        "high": np.exp(opened + moves.highest),
        "low": np.exp(opened + moves.lowest),
        "close": np.exp(opened + moves.returns),
    }
    ticks = {name: _round(prices, decimals) for name, prices in bars.items()}
    typical = np.mean(list(ticks.values()), axis=0)
    return {**ticks, "volume": np.round(turnover / typical, 1)}


def _turnover(random: np.random.Generator, moves: _Moves) -> Floats:
    """USD traded in the hour: more when volatility is high and when the hour moved far."""
    n, coins = moves.returns.shape
    unrest = np.log(moves.volatility / moves.normal)
    reach = np.log(0.3 + (moves.highest - moves.lowest) / moves.normal)
    usual = 0.3 * _wander(random, n, coins, half_life=60) + random.normal(0, 0.2, (n, coins))
    return _column("turnover_usd") * np.exp(0.35 * unrest + 0.9 * reach - 0.1 + usual)


def _liquidations(random: np.random.Generator, moves: _Moves) -> tuple[Floats, Floats]:
    """Longs and shorts liquidated in USD: how far the price went against them, times how many."""
    crowding = moves.open_interest * _column("price") / _column("open_interest_usd")
    usual = 1.2e-3 * _column("turnover_usd") * crowding**2

    def liquidated(against: Floats) -> Floats:
        reach = np.clip(against / moves.normal, 0, 12)
        luck = np.exp(random.normal(-0.6, 1.1, reach.shape))
        amount = usual * luck * (0.03 + 0.6 * reach**2.4)
        return np.where(amount < 400, 0.0, amount)

    return liquidated(-moves.lowest), liquidated(moves.highest)


def _crowd(random: np.random.Generator, moves: _Moves) -> dict[str, Floats]:
    """Accounts fade the trend, top traders lean with it, funding follows demand for leverage."""
    n, coins = moves.returns.shape
    trend = _recent(moves.sizes, half_life=40)
    level = np.log(_column("long_share") / (1 - _column("long_share")))
    liking = 0.26 * _wander(random, n, coins, half_life=90)
    liking += 0.1 * _wander(random, n, coins, half_life=4)
    crowd = liking - 0.13 * trend
    top = 0.2 * _wander(random, n, coins, half_life=60) + 0.01 * trend - 0.2 * liking
    heat = 0.8 * trend + liking + 0.5 * _wander(random, n, coins, half_life=30)
    premium = 6e-5 * heat + 6e-4 * np.maximum(heat - 1.7, 0) - 1.5e-4 * np.maximum(-heat - 1.4, 0)
    premium += 5e-5 * _wander(random, n, coins, half_life=4) - 4.2e-4
    return {
        "long_account_share": _share(level + crowd),
        "top_account_long_share": _share(
            level + 0.9 * crowd + 0.08 + random.normal(0, 0.02, crowd.shape)
        ),
        "top_position_long_share": _share(0.6 * level + 0.25 + top),
        "funding_8h": premium + np.clip(_CROWDED - premium, -5e-4, 5e-4),
    }


def _moods(random: np.random.Generator, moves: _Moves, turnover: Floats) -> dict[str, Floats]:
    """The social score follows attention, fear & greed the market's last days and weeks."""
    n, coins = moves.returns.shape
    attention = _average(np.log(turnover / _column("turnover_usd")), half_life=12)
    talk = 6 * np.tanh(0.6 * _recent(moves.sizes, half_life=16)) + 6 * np.tanh(attention)
    talk += 4 * _wander(random, n, coins, half_life=20)
    market = moves.sizes.mean(axis=1, keepdims=True)
    calm = -_average(np.log(moves.volatility / moves.normal), half_life=120).mean(axis=1)
    mood = 9 * _recent(market, half_life=150)[:, 0] + 4 * _recent(market, half_life=40)[:, 0]
    mood += 10 * np.tanh(2 * calm - 0.7) + 4 * _wander(random, n, 1, half_life=30)[:, 0]
    return {
        "social_score": np.round(np.clip(_column("social") + talk, 1, 99), 1),
        "fear_greed": np.round(np.clip(49 + mood, 4, 96)),
    }


def _wander(random: np.random.Generator, n: int, columns: int, *, half_life: float) -> Floats:
    """A value that strays from 0 and comes back, with unit variance."""
    return _recent(random.normal(0, 1, (n, columns)), half_life=half_life)


def _recent(values: Floats, *, half_life: float) -> Floats:
    """Exponentially weighted sum of the past that has unit variance where ``values`` are noise."""
    keep = 0.5 ** (1 / half_life)
    return _average(values, half_life=half_life) * float(np.sqrt((1 + keep) / (1 - keep)))


def _average(values: Floats, *, half_life: float) -> Floats:
    """Exponentially weighted mean of the past, from 0."""
    from_zero = np.vstack([np.zeros_like(values[:1]), values])
    smooth = pd.DataFrame(from_zero).ewm(halflife=half_life, adjust=False).mean()
    return np.asarray(smooth, dtype=np.float64)[1:]


def _share(logit: Floats) -> Floats:
    return np.round(1 / (1 + np.exp(-logit)), 4)


def _round(values: Floats, decimals: list[int]) -> Floats:
    return np.stack([np.round(values[:, i], d) for i, d in enumerate(decimals)], axis=1)


def _column(name: str) -> Floats:
    return np.array([getattr(coin, name) for coin in COINS], dtype=np.float64)
