"""From a market frame to a score: each factor against the symbol's own past, then weighed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.market.grid import Floats, shift, window_moments
from core.signals import factors
from core.signals.profile import FACTORS, Profile


def score(frame: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """The frame widened by everything the score rests on, over the same (symbol, time) index.

    Adds, for each factor: ``raw_<f>`` (its input, in its own unit), ``normal_<f>`` (mean of the 30
    days before the bar), ``z_<f>`` (distance from normal in standard deviations, not clipped) and
    ``factor_<f>`` (0..100, above 50 bullish). Then ``score`` (0..100), ``coverage`` (0..1),
    ``agreement`` (0..1), ``direction`` (-1, 0, 1), ``no_signal`` (why there is none, else None)
    and ``volatility_ratio``. Everything is NaN where it is unknown; where there is no signal,
    ``score``, ``agreement`` and ``direction`` are NaN. Raises `FrameError` for unsorted rows.
    """
    market = factors.Market(frame, profile.windows)
    added: dict[str, object] = {}
    values: dict[str, Floats] = {}
    for name in FACTORS:
        raw, normal, z, value = _measure(market, name, profile)
        values[name] = market.grid.collect(value)
        added[f"raw_{name}"] = market.grid.collect(raw)
        added[f"normal_{name}"] = market.grid.collect(normal)
        added[f"z_{name}"] = market.grid.collect(z)
        added[f"factor_{name}"] = values[name]
    has_price = _has_price(frame)
    added |= _weigh(values, has_price, profile)
    added["volatility_ratio"] = market.grid.collect(market.volatility_ratio)
    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)


def _measure(
    market: factors.Market, name: str, profile: Profile
) -> tuple[Floats, Floats, Floats, Floats]:
    factor = factors.BY_NAME[name]
    raw = factor.raw(market)
    if name == "fear_greed":
        unknown = np.full(raw.shape, np.nan)
        return raw, unknown, unknown, 50 + factor.sign * (raw - 50)
    if np.isnan(raw).all():
        return raw, raw, raw, raw
    windows = profile.windows
    mean, deviation = window_moments(
        raw, market.grid.bars(windows.history), market.grid.bars(windows.least_history)
    )
    normal = shift(mean, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (raw - normal) / shift(deviation, 1)
    clipped = np.clip(z, -windows.clip_sigma, windows.clip_sigma)
    return raw, normal, z, 50 + factor.sign * 50 * clipped / windows.clip_sigma


def _has_price(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    if "close" not in frame.columns:
        return np.zeros(len(frame), dtype=bool)
    return frame["close"].notna().to_numpy()


def _weigh(
    values: dict[str, Floats], has_price: npt.NDArray[np.bool_], profile: Profile
) -> dict[str, object]:
    rows = len(has_price)
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
        "no_signal": _reasons(pattern, coverage, has_price, spoken, profile),
    }


def _reasons(
    pattern: npt.NDArray[np.int64],
    coverage: Floats,
    has_price: npt.NDArray[np.bool_],
    spoken: npt.NDArray[np.bool_],
    profile: Profile,
) -> npt.NDArray[np.object_]:
    reasons = np.full(len(pattern), None, dtype=object)
    silent = np.flatnonzero(~spoken)
    kinds, first, inverse = np.unique(
        np.where(has_price[silent], pattern[silent], -1), return_index=True, return_inverse=True
    )
    texts = np.array(
        [
            _why_silent(int(kind), float(coverage[silent[at]]), profile)
            for kind, at in zip(kinds, first, strict=True)
        ],
        dtype=object,
    )
    if len(silent):
        reasons[silent] = texts[inverse]
    return reasons


def _why_silent(pattern: int, coverage: float, profile: Profile) -> str:
    if pattern == -1:
        return "no price for this bar"
    missing = [
        factors.BY_NAME[name].title.lower()
        for bit, name in enumerate(FACTORS)
        if not pattern >> bit & 1 and profile.weights.shares()[name] > 0
    ]
    return (
        f"coverage {coverage:.2f} is under {profile.min_coverage:.2f}: "
        f"not enough data for {', '.join(missing)}"
    )
