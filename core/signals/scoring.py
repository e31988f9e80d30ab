"""From a market frame to a score: each factor against the symbol's own past, then weighed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.market.frame import labels
from core.market.grid import Floats, window_moments
from core.signals import factors
from core.signals.profile import FACTORS, Profile, Windows

_NO_PRICE = 1 << len(FACTORS)


def score(frame: pd.DataFrame, profile: Profile, since: pd.Timestamp | None = None) -> pd.DataFrame:
    """The frame widened by everything the score rests on, over the same (symbol, time) index.

    Adds, for each factor: ``raw_<f>`` (its input, in its own unit), ``normal_<f>`` (mean of the 30
    days before the bar), ``z_<f>`` (distance from normal in standard deviations, not clipped) and
    ``factor_<f>`` (0..100, above 50 bullish). Then ``score`` (0..100), ``coverage`` (0..1),
    ``agreement`` (0..1), ``direction`` (-1, 0, 1), ``no_signal`` (why there is none, else missing)
    and ``volatility_ratio``. Everything is NaN where it is unknown; where there is no signal,
    ``score``, ``agreement`` and ``direction`` are NaN. Raises `FrameError` for unsorted rows.

    With ``since`` only the rows from that time on are returned, with the same numbers as the whole
    would have: how the newest bar is scored without doing the month before it again.
    """
    return score_measured(measure(frame, profile.windows, since), profile)


@dataclass(frozen=True, eq=False)
class Measured:
    """Every factor of ``rows``, those of a frame from some time on, as one set of windows measures it:
    the same for all profiles that have these windows."""

    rows: pd.DataFrame
    columns: Mapping[str, Floats]
    factors: Mapping[str, Floats]
    volatility_ratio: Floats


def measure(frame: pd.DataFrame, windows: Windows, since: pd.Timestamp | None = None) -> Measured:
    """What `score` rests on that no weight or threshold of a profile changes."""
    market = factors.Market(frame, windows)
    newest = market.grid.since(since)
    columns: dict[str, Floats] = {}
    values: dict[str, Floats] = {}
    for name in FACTORS:
        dense = _measure(market, name, newest.first)
        parts = [newest.collect(part) for part in dense]
        values[name] = parts[3]
        for kind, part in zip(("raw", "normal", "z", "factor"), parts, strict=True):
            columns[f"{kind}_{name}"] = part
    rows = frame if since is None else frame.iloc[newest.rows]
    ratio = newest.collect(market.volatility_ratio(newest.first))
    return Measured(rows, columns, values, ratio)


def score_measured(measured: Measured, profile: Profile) -> pd.DataFrame:
    """`score` of what was measured with the profile's windows."""
    rows = measured.rows
    added: dict[str, object] = {**measured.columns}
    added |= _weigh(measured.factors, rows, profile)
    added["volatility_ratio"] = measured.volatility_ratio
    return pd.concat([rows, pd.DataFrame(added, index=rows.index)], axis=1)


def _measure(
    market: factors.Market, name: str, first: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Raw input, normal, z and factor of the columns from ``first`` on."""
    factor = factors.BY_NAME[name]
    raw = factor.raw(market)
    now = raw[:, first:]
    if name == "fear_greed":
        unknown = np.full(now.shape, np.nan)
        return now, unknown, unknown, 50 + factor.sign * (now - 50)
    if np.isnan(raw).all():
        return now, now, now, now
    normal, deviation = _before(raw, market, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (now - normal) / deviation
    clip = market.windows.clip_sigma
    return now, normal, z, 50 + factor.sign * 50 * np.clip(z, -clip, clip) / clip


def _before(raw: Floats, market: factors.Market, first: int) -> tuple[Floats, Floats]:
    """Mean and deviation over the history that ends one bar before each column from ``first``."""
    bars, least = (
        market.grid.bars(hours) for hours in (market.windows.history, market.windows.least_history)
    )
    mean, deviation = window_moments(raw[:, :-1], bars, least, max(first - 1, 0))
    if first:
        return mean, deviation
    unknown = np.full((len(raw), 1), np.nan)
    return np.hstack([unknown, mean]), np.hstack([unknown, deviation])


def _has_price(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    if "close" not in frame.columns:
        return np.zeros(len(frame), dtype=bool)
    return frame["close"].notna().to_numpy()


def _weigh(
    values: Mapping[str, Floats], frame: pd.DataFrame, profile: Profile
) -> dict[str, object]:
    rows, has_price = len(frame), _has_price(frame)
    present, lean, spread, known = np.zeros(rows), np.zeros(rows), np.zeros(rows), np.zeros(rows)
    pattern = np.zeros(rows, dtype=np.int64)
    weights = profile.weights.shares()
    for bit, name in enumerate(FACTORS):
        there = ~np.isnan(values[name])
        pull = np.where(there, weights[name] * (values[name] - 50), 0.0)
        present += np.where(there, weights[name], 0.0)
        lean += pull
        spread += np.abs(pull)
        known += there
        pattern |= there.astype(np.int64) << bit
    coverage = np.where(known == len(FACTORS), 1.0, np.minimum(present, 1.0))
    # Weights are decimal numbers: 0.5 of coverage must not fail for its last binary digit.
    spoken = has_price & (coverage >= profile.min_coverage - 1e-9)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = np.where(spoken, 50 + lean / present, np.nan)
        agreement = np.where(spread > 0, np.abs(lean) / spread, 1.0)
    direction = np.where(result >= profile.long_threshold, 1.0, 0.0)
    direction = np.where(result <= profile.short_threshold, -1.0, direction)
    return {
        "score": result,
        "coverage": coverage,
        "agreement": np.where(spoken, agreement, np.nan),
        "direction": np.where(spoken, direction, np.nan),
        "no_signal": _reasons(np.where(has_price, pattern, _NO_PRICE), spoken, frame, profile),
    }


def _reasons(
    pattern: npt.NDArray[np.int64],
    spoken: npt.NDArray[np.bool_],
    frame: pd.DataFrame,
    profile: Profile,
) -> pd.Series:
    """Why a row has no signal: one text for each set of factors that is there."""
    kinds, places = np.unique(np.where(spoken, -1, pattern), return_inverse=True)
    texts = [_why_silent(int(kind), profile) for kind in kinds if kind >= 0]
    return labels(places - (len(kinds) - len(texts)), texts, frame.index)


def _why_silent(pattern: int, profile: Profile) -> str:
    if pattern == _NO_PRICE:
        return "no price for this bar"
    weights = profile.weights.shares()
    there = {name for bit, name in enumerate(FACTORS) if pattern >> bit & 1}
    coverage = sum(weights[name] for name in FACTORS if name in there)
    missing = [
        factors.BY_NAME[name].title.lower()
        for name in FACTORS
        if name not in there and weights[name] > 0
    ]
    return (
        f"coverage {coverage:.2f} is under {profile.min_coverage:.2f}: "
        f"not enough data for {', '.join(missing)}"
    )
