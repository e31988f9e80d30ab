"""Markets in which nothing can be known beforehand, as tallies of many runs at once.

Directions are random and persist for hours, with gaps; each hour's verdict is random and persists as
well. Returns are fat-tailed (Student t with four degrees of freedom), their volatility comes in
clusters, and symbols share a common factor. There are no costs, so every true rate is one half, every
true lift and expectancy is zero. An edge can be planted on what is confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from core.accuracy.tallies import COLUMNS, R_COUNTS

HORIZONS = {"1h": 1, "4h": 4, "24h": 24}
_KEPT = [name for name in COLUMNS if name not in R_COUNTS]
_DRAWS = 4_000_000
_COMMON = 0.6  # of the variance of a symbol's returns
_SPOKEN, _SPELL = 0.5, 10  # share of the hours with a direction, mean hours it persists
_JUDGED = 6  # mean hours a verdict persists
_CLUSTER, _CALM_TO_WILD = 48, 0.5  # hours of memory and deviation of log volatility
Draw = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Null:
    """``verdicts`` with their shares of the hours; CONFIRM and DOWNSIZE are traded.

    ``drift`` moves a confirmed symbol's price with its direction by so much of an hour's volatility;
    ``apart`` keeps symbols apart.
    """

    symbols: int
    days: int
    verdicts: Mapping[str, float] = field(default_factory=lambda: {"CONFIRM": 0.45, "SKIP": 0.55})
    drift: float = 0.0
    apart: bool = False


def null_tallies(null: Null, seed: int, runs: int) -> Iterator[pd.DataFrame]:
    """Tallies with index (verdict, traded, horizon, run, symbol, day), in parts that hold whole runs.

    The symbol is 0 for all of them, where they are not kept apart.
    """
    chance = np.random.default_rng(seed)
    most = max(1, _DRAWS // (null.symbols * null.days * 24))
    for first in range(0, runs, most):
        yield _part(chance, first, min(most, runs - first), null)


def _part(chance: np.random.Generator, first: int, runs: int, null: Null) -> pd.DataFrame:
    symbols, hours = null.symbols, null.days * 24
    shape = (runs, symbols, hours)
    bounds = np.cumsum(list(null.verdicts.values()))[:-1]
    direction = _directions(chance, shape)
    judged = _persisting(
        chance, shape, _JUDGED, lambda draw: np.searchsorted(bounds, draw).astype(np.int8)
    )
    volatility = _volatility(chance, (runs, 1, hours))
    moves = chance.standard_t(4, (runs, 1, hours)).astype(np.float32)
    if symbols > 1:
        own = chance.standard_t(4, shape).astype(np.float32)
        moves = np.sqrt(_COMMON) * moves + np.sqrt(1 - _COMMON) * own
    moves = volatility * (moves + null.drift * direction * (judged == 0))
    path = np.concatenate([np.zeros((runs, symbols, 1)), np.cumsum(moves, axis=-1)], axis=-1)
    parts = {}
    for horizon, ahead in HORIZONS.items():
        side = direction[..., : hours - ahead]
        won = side * (path[..., ahead:hours] - path[..., : hours - ahead])
        in_r = won / (3 * volatility[..., : hours - ahead])
        for code, verdict in enumerate(null.verdicts):
            cell = (side != 0) & (judged[..., : hours - ahead] == code)
            traded = verdict in ("CONFIRM", "DOWNSIZE")
            parts[verdict, traded, horizon] = _sums(cell, won > 0, in_r, ahead, apart=null.apart)
    return _tallies(parts, first)


def _directions(chance: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Each symbol's own, or for a day or so that of the market."""
    own = _persisting(chance, shape, _SPELL, _turn)
    if shape[1] == 1:
        return own
    market = _persisting(chance, (shape[0], 1, shape[2]), _SPELL, _turn)
    return np.where(_persisting(chance, shape, 24, lambda draw: draw < 0.5), market, own)


def _turn(draw: np.ndarray) -> np.ndarray:
    return np.where(draw < _SPOKEN, np.where(draw < _SPOKEN / 2, 1, -1), 0).astype(np.int8)


def _persisting(
    chance: np.random.Generator, shape: tuple[int, ...], length: float, draw: Draw
) -> np.ndarray:
    """A Markov chain along the last axis: each hour keeps its state, or is drawn anew."""
    anew = chance.random(shape, dtype=np.float32) < 1 / length
    place = np.where(anew, np.arange(shape[-1], dtype=np.int32), np.int32(0))
    np.maximum.accumulate(place, axis=-1, out=place)
    return np.take_along_axis(draw(chance.random(shape, dtype=np.float32)), place, axis=-1)


def _volatility(chance: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    memory = np.exp(-1 / _CLUSTER)
    shocks = chance.standard_normal(shape, dtype=np.float32)
    shocks[..., 1:] *= np.sqrt(1 - memory**2)
    return np.exp(_CALM_TO_WILD * lfilter([1.0], [1.0, -memory], shocks, axis=-1)).astype(
        np.float32
    )


def _sums(
    cell: np.ndarray, won: np.ndarray, in_r: np.ndarray, ahead: int, *, apart: bool
) -> dict[str, np.ndarray]:
    """Per run, symbol and day of exit."""

    def by_day(values: np.ndarray) -> np.ndarray:
        kept = values if apart else values.sum(axis=1, keepdims=True, dtype=np.float64)
        hourly = np.pad(kept, ((0, 0), (0, 0), (ahead, 0)))
        return hourly.reshape(*kept.shape[:2], -1, 24).sum(axis=3, dtype=np.float64)

    n = by_day(cell)
    return {
        "n": n,
        "n_r": n,
        "wins": by_day(cell & won),
        "sum_r": by_day(np.where(cell, in_r, 0)),
    }


def _tallies(parts: dict[tuple[str, bool, str], dict[str, np.ndarray]], first: int) -> pd.DataFrame:
    runs, symbols, days = next(iter(parts.values()))["n"].shape
    dates = pd.date_range("2025-01-01", periods=days, tz="UTC")
    index = pd.MultiIndex.from_product(
        [range(first, first + runs), range(symbols), dates], names=["run", "symbol", "day"]
    )
    frames = {
        key: pd.DataFrame({name: part.reshape(-1) for name, part in sums.items()}, index)
        for key, sums in parts.items()
    }
    table = pd.concat(frames, names=["verdict", "traded", "horizon"])
    return table[table["n"] > 0].reindex(columns=_KEPT, fill_value=0.0)
