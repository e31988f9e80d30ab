"""How fast the pipeline is on a large market, beside plain NumPy in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.alerts.definition import RuleDefinition
from core.alerts.engine import Judged, step_all
from core.alerts.history import backtest
from core.alerts.states import fresh, to_moment
from core.backtest import decide
from core.market.grid import Floats
from core.outcomes import resolve
from core.signals import FACTORS, load_profile

_HISTORY = 720


@dataclass(frozen=True)
class Figure:
    """What was measured: median seconds, its limit, and a yardstick of the same run."""

    name: str
    seconds: float
    limit: float
    yardstick: str
    yardstick_seconds: float


def made_market(symbols: int, bars: int, seed: int = 7) -> pd.DataFrame:
    """A market frame of noise with every column, for timing only: it resembles no market."""
    random = np.random.default_rng(seed)
    shape = (symbols, bars)

    def wave(mean: float, size: float) -> Floats:
        steps = random.normal(size=shape)
        return mean + size * (steps + np.roll(steps, 1, axis=1) + np.roll(steps, 2, axis=1)) / 1.7

    close = 100 * np.exp(np.cumsum(random.normal(scale=0.006, size=shape), axis=1))
    opened = np.hstack([close[:, :1], close[:, :-1]])
    reach = 1 + np.abs(random.normal(scale=0.002, size=shape))
    contracts = np.exp(wave(15, 0.1))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * reach,
        "low": np.minimum(opened, close) / reach,
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
        "fear_greed": np.clip(wave(50, 12), 0, 100),
    }
    times = pd.date_range("2025-01-01", periods=bars, freq="h", tz="UTC")
    names = [f"S{number:03d}USDT" for number in range(symbols)]
    index = pd.MultiIndex.from_product([names, times], names=["symbol", "time"])
    return pd.DataFrame({name: values.reshape(-1) for name, values in columns.items()}, index=index)


def yardstick(frame: pd.DataFrame, symbols: int) -> None:
    """Rolling mean and standard deviation over 30 days of eight columns, in plain NumPy."""
    for name in frame.columns[-len(FACTORS) :]:
        values = frame[name].to_numpy().reshape(symbols, -1)
        sums, squares = np.cumsum(values, axis=1), np.cumsum(values * values, axis=1)
        count = np.float64(_HISTORY)
        mean = (sums[:, _HISTORY:] - sums[:, :-_HISTORY]) / count
        spread = (squares[:, _HISTORY:] - squares[:, :-_HISTORY]) / count - mean**2
        np.sqrt(np.maximum(spread, 0))


def timed(work: Callable[[], object], runs: int) -> float:
    """Median seconds of ``runs`` runs after one that is not counted."""
    work()
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def newest_bar(symbols: int = 500) -> Figure:
    """Deciding the newest bar of so many symbols after 30 days of history."""
    frame, profile = made_market(symbols, _HISTORY + 1), load_profile()
    newest = frame.index.get_level_values("time")[-1]
    seconds = timed(lambda: decide(frame, profile, since=newest), 9)
    base = timed(lambda: yardstick(frame, symbols), 9)
    name = f"newest bar of {symbols} symbols after 30 days"
    return Figure(name, seconds, 0.150, "rolling mean and std in NumPy", base)


def whole_year(symbols: int = 100) -> Figure:
    """Deciding and resolving a year of hourly bars."""
    frame, profile = made_market(symbols, 8760), load_profile()
    seconds = timed(lambda: resolve(decide(frame, profile), frame), 3)
    base = timed(lambda: yardstick(frame, symbols), 3)
    name = f"a year of {symbols} symbols, score to outcomes"
    return Figure(name, seconds, 6.0, "rolling mean and std in NumPy", base)


def rule_history(symbols: int = 100) -> Figure:
    """The backtest of an alert rule over a year of hourly bars, its expression included."""
    frame = made_market(symbols, 8760)
    times = frame.index.get_level_values("time")
    rule = RuleDefinition(
        name="Volume",
        expression='zscore(volume_usd, "30d") > 2 and change_percent(close, "4h") > 1',
        for_="2h",
        keep_firing="1h",
        cooldown="4h",
        rearm="2h",
        repeat="6h",
    )
    seconds = timed(lambda: backtest(rule, frame, times[0], times[-1]), 3)
    base = timed(lambda: yardstick(frame, symbols), 3)
    name = f"an alert rule over a year of {symbols} symbols"
    return Figure(name, seconds, 1.0, "rolling mean and std in NumPy", base)


def rule_states(rules: int = 500, symbols: int = 300) -> Figure:
    """Stepping the states of all rules at a bar; one condition in a hundred changes at each."""
    random = np.random.default_rng(7)
    names = [f"S{number:03d}USDT" for number in range(symbols)]
    turns = random.random((10, rules, symbols)) < 0.01
    truth = (2 * (np.cumsum(turns, axis=0) % 2)).astype(np.int8)
    definition = RuleDefinition(name="Any", expression="score > 60", cooldown="4h", repeat="6h")
    bars = iter(range(10**6))
    states = [fresh(names) for _ in range(rules)]

    def one_bar() -> None:
        nonlocal states
        bar = next(bars)
        at = to_moment(bar * 3_600_000_000)
        assert at is not None
        judged = [
            Judged(definition, *each) for each in zip(states, truth[bar % len(truth)], strict=True)
        ]
        states = [after for after, _ in step_all(judged, at)]

    seconds = timed(one_bar, 9)
    values = truth.astype(np.float64)
    base = timed(lambda: np.logical_and(values[0] > 1, values[1] > 1), 9)
    name = f"states of {rules} alert rules x {symbols} symbols at a bar"
    return Figure(name, seconds, 0.100, "one comparison of two arrays in NumPy", base)
