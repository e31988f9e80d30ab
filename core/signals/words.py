"""A row of numbers in words: what each factor measured, how unusual that is, and what it adds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.signals.factors import BY_NAME
from core.signals.profile import FACTORS, Profile

MINUS = "\N{MINUS SIGN}"

# What a bullish and a bearish reading mean, in a trader's words: first where the input itself
# points that way, then where it is only less the other way than usual.
MEANINGS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "liquidations": (
        ("longs flushed out", "shorts flushed out less than usual"),
        ("shorts flushed out", "longs flushed out less than usual"),
    ),
    "price_momentum": (
        ("rising", "falling less than usual"),
        ("falling", "rising less than usual"),
    ),
    "funding_rate": (
        ("crowded shorts pay", "longs pay less than usual"),
        ("crowded longs pay", "shorts pay less than usual"),
    ),
    "long_short_ratio": (
        ("fewer accounts long than usual",) * 2,
        ("more accounts long than usual",) * 2,
    ),
    "smart_money": (
        ("top traders longer than usual",) * 2,
        ("top traders less long than usual",) * 2,
    ),
    "oi_trend": (
        ("positions built up on the way up, or left on the way down",) * 2,
        ("positions built up on the way down, or left on the way up",) * 2,
    ),
    "social_sentiment": (("mood better than usual",) * 2, ("mood worse than usual",) * 2),
    "fear_greed": (("the market is fearful",) * 2, ("the market is greedy",) * 2),
}
_PERCENT_DIGITS = {"funding_rate": 4, "long_short_ratio": 1, "smart_money": 1, "oi_trend": 1}


def format_raw(factor: str, value: float | None) -> str:
    """A factor's raw input with its unit, a dash where unknown.

    >>> format_raw("funding_rate", 0.000104), format_raw("liquidations", 1.5)
    ('0.0104 % per 8 h', '4.5 longs per short')
    >>> format_raw("smart_money", float("nan"))
    '–'
    """
    if value is None or math.isnan(value):
        return "–"
    match factor:
        case "liquidations":
            ratio = math.exp(abs(value))
            return f"{ratio:.1f} longs per short" if value >= 0 else f"{ratio:.1f} shorts per long"
        case "price_momentum":
            return f"{value:+.2f} sigma".replace("-", MINUS)
        case "social_sentiment":
            return f"{value:+.1f} points".replace("-", MINUS)
        case "fear_greed":
            return f"{value:.0f} of 100"
    text = f"{100 * value:.{_PERCENT_DIGITS[factor]}f} %".replace("-", MINUS)
    suffix = {"funding_rate": " per 8 h", "long_short_ratio": " long", "smart_money": " long"}
    return text + suffix.get(factor, "")


def format_sigma(z: float | None) -> str:
    """Distance from normal in words.

    >>> format_sigma(1.94), format_sigma(-0.2), format_sigma(float("nan"))
    ('1.9 sigma above normal', 'near normal', 'normal unknown')
    """
    if z is None or math.isnan(z):
        return "normal unknown"
    if abs(z) < 0.25:
        return "near normal"
    return f"{abs(z):.1f} sigma {'above' if z > 0 else 'below'} normal"


@dataclass(frozen=True)
class Contribution:
    """What one factor added to a score.

    ``points`` is its part of score - 50, so that the contributions of a row sum to score - 50;
    NaN with all others where the factor is missing.
    """

    factor: str
    title: str
    weight: float
    raw: float
    normal: float
    z: float
    value: float
    points: float
    sentence: str


def explain(row: Mapping[str, Any], profile: Profile) -> list[Contribution]:
    """The eight contributions to a scored row, largest first, the missing ones last.

    ``row`` is a row of `core.signals.score`, as a Series or a mapping.
    """
    weights = profile.weights.shares()
    present = sum(w for name, w in weights.items() if not math.isnan(_get(row, f"factor_{name}")))
    found = [_contribution(row, name, weights[name], present) for name in FACTORS]
    return sorted(found, key=lambda c: (math.isnan(c.points), -abs(c.points or 0.0)))


def _contribution(row: Mapping[str, Any], name: str, weight: float, present: float) -> Contribution:
    value = _get(row, f"factor_{name}")
    points = weight * (value - 50) / present if present else math.nan
    raw, normal, z = (_get(row, f"{part}_{name}") for part in ("raw", "normal", "z"))
    return Contribution(
        name,
        BY_NAME[name].title,
        weight,
        raw,
        normal,
        z,
        value,
        points,
        _sentence(name, raw, normal, z, value),
    )


def _sentence(name: str, raw: float, normal: float, z: float, value: float) -> str:
    if math.isnan(value):
        if math.isnan(raw):
            return "not known at this bar"
        return f"{format_raw(name, raw)}, but too little history to say what is normal"
    if name == "fear_greed":
        return f"{format_raw(name, raw)}: {_meaning(name, raw, value)}"
    return (
        f"{format_raw(name, raw)}, {format_sigma(z)} ({format_raw(name, normal)}): "
        f"{_meaning(name, raw, value)}"
    )


def _meaning(name: str, raw: float, value: float) -> str:
    if abs(value - 50) < 4:
        return "nothing unusual"
    bullish = value > 50
    points_there = raw * BY_NAME[name].sign * (1 if bullish else -1) > 0
    return MEANINGS[name][0 if bullish else 1][0 if points_there else 1]


def _get(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key)
    return math.nan if value is None else float(value)
