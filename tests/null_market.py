"""Markets in which nothing can be known beforehand, as tallies of many runs at once.

Directions are random and persist for hours, with gaps; each hour's verdict is random and persists as
well. Returns are fat-tailed (Student t with four degrees of freedom), their volatility comes in
clusters, and symbols share a common factor. There are no costs, so every true rate is one half, every
true lift and expectancy is zero. An edge can be planted on what is confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from core.accuracy.tallies import COLUMNS, R_COUNTS

HORIZONS = {"1h": 1, "4h": 4, "24h": 24}
_KEPT = [name for name in COLUMNS if name not in R_COUNTS]
_DRAWS = 4_000_000
_COMMON = 0.6  # of the variance of a symbol's returns
_SPOKEN, _SPELL = 0.5, 10  # share of the hours with a direction, mean hours it persists
_CONFIRMED, _JUDGED = 0.45, 6
_CLUSTER, _CALM_TO_WILD = 48, 0.5  # hours of memory and deviation of log volatility
Draw = Callable[[np.ndarray], np.ndarray]


def null_tallies(
    seed: int, *, runs: int, symbols: int, days: int, drift: float = 0.0
) -> Iterator[pd.DataFrame]:
    """Tallies with index (run, verdict, traded, horizon, day), in parts that hold whole runs.

    ``drift`` moves a confirmed symbol's price with its direction by so much of an hour's volatility.
    """
    chance = np.random.default_rng(seed)
    most = max(1, _DRAWS // (symbols * days * 24))
    for first in range(0, runs, most):
        yield _part(chance, first, min(most, runs - first), symbols, days, drift)


def _part(
    chance: np.random.Generator, first: int, runs: int, symbols: int, days: int, drift: float
) -> pd.DataFrame:
    hours = days * 24
    shape = (runs, symbols, hours)
    direction, confirmed = _directions(chance, shape), _persisting(chance, shape, _JUDGED, _confirm)
    volatility = _volatility(chance, (runs, 1, hours))
    moves = chance.standard_t(4, (runs, 1, hours)).astype(np.float32)
    if symbols > 1:
        own = chance.standard_t(4, shape).astype(np.float32)
        moves = np.sqrt(_COMMON) * moves + np.sqrt(1 - _COMMON) * own
    moves = volatility * (moves + drift * direction * confirmed)
    path = np.concatenate([np.zeros((runs, symbols, 1)), np.cumsum(moves, axis=-1)], axis=-1)
    parts = {}
    for horizon, ahead in HORIZONS.items():
        side = direction[..., : hours - ahead]
        won = side * (path[..., ahead:hours] - path[..., : hours - ahead])
        in_r = won / (3 * volatility[..., : hours - ahead])
        for verdict in ("CONFIRM", "SKIP"):
            cell = (side != 0) & (confirmed[..., : hours - ahead] == (verdict == "CONFIRM"))
            parts[verdict, verdict == "CONFIRM", horizon] = _sums(cell, won > 0, in_r, ahead)
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


def _confirm(draw: np.ndarray) -> np.ndarray:
    return draw < _CONFIRMED


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


def _sums(cell: np.ndarray, won: np.ndarray, in_r: np.ndarray, ahead: int) -> dict[str, np.ndarray]:
    """Per run and day of exit."""

    def by_day(values: np.ndarray) -> np.ndarray:
        hourly = np.pad(values.sum(axis=1, dtype=np.float64), ((0, 0), (ahead, 0)))
        return hourly.reshape(len(hourly), -1, 24).sum(axis=2)

    n = by_day(cell)
    return {
        "n": n,
        "n_r": n,
        "wins": by_day(cell & won),
        "sum_r": by_day(np.where(cell, in_r, 0)),
    }


def _tallies(parts: dict[tuple[str, bool, str], dict[str, np.ndarray]], first: int) -> pd.DataFrame:
    runs, days = next(iter(parts.values()))["n"].shape
    index = pd.MultiIndex.from_product(
        [range(first, first + runs), pd.date_range("2025-01-01", periods=days, tz="UTC")],
        names=["run", "day"],
    )
    frames = {
        key: pd.DataFrame({name: part.reshape(-1) for name, part in sums.items()}, index)
        for key, sums in parts.items()
    }
    table = pd.concat(frames, names=["verdict", "traded", "horizon"])
    return table[table["n"] > 0].reindex(columns=_KEPT, fill_value=0.0)
