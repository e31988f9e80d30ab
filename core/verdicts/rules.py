"""The verdict by rules: mirror-symmetric for LONG and SHORT, every threshold from the profile."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.market.frame import labels
from core.market.grid import Floats
from core.signals.factors import Market
from core.signals.profile import Profile
from core.signals.words import format_raw

VERDICTS: tuple[str, ...] = ("CONFIRM", "DOWNSIZE", "WAIT", "SKIP")
RISK_MODES: tuple[str, ...] = ("AVOID", "REDUCED", "NORMAL", "AGGRESSIVE")
MULTIPLIER_CAPS: dict[str, float] = {
    "AVOID": 0.0,
    "REDUCED": 0.5,
    "NORMAL": 1.0,
    "AGGRESSIVE": 1.5,
}
_CONFIRM, _DOWNSIZE, _WAIT, _SKIP = range(4)
_AVOID, _REDUCED, _NORMAL, _AGGRESSIVE = range(4)
_DOWNSIZED = 0.5

# In the order in which they are said.
_RISKS = ("funding", "crowd", "coverage", "agreement", "volatility", "extreme")
_CROWDS = {
    "funding": ("funding_rate", "funding"),
    "crowd": ("long_short_ratio", "the crowd"),
}

Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]


def judge_by_rules(scored: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """The scored frame widened by the verdict of the rules, over the same index.

    Adds ``conviction`` (0..100), ``risk_points``, ``risk_mode``, ``verdict``, ``multiplier``
    (0..1.5 of the trade's size) and ``reasons`` (a tuple of sentences, what speaks against the
    trade first). Where there is no signal there is no verdict: None, and NaN for numbers.
    """
    if "volatility_ratio" not in scored.columns:
        market = Market(scored, profile.windows)
        ratio = market.grid.collect(market.volatility_ratio())
        scored = scored.assign(volatility_ratio=ratio)
    points = _risk_points(scored, profile)
    total = np.sum(list(points.values()), axis=0)
    conviction = 2 * np.abs(_column(scored, "score") - 50)
    direction = _column(scored, "direction")
    mode = _risk_mode(total, conviction, _column(scored, "agreement"), profile)
    verdict, multiplier = _verdict(mode, conviction, direction, profile)
    silent = np.isnan(direction)
    return scored.assign(
        conviction=conviction,
        risk_points=np.where(silent, np.nan, total),
        risk_mode=labels(np.where(silent, -1, mode), RISK_MODES, scored.index),
        verdict=labels(np.where(silent, -1, verdict), VERDICTS, scored.index),
        multiplier=np.where(silent, np.nan, multiplier),
        reasons=pd.Series(
            _reasons(scored, points, mode, verdict, profile), index=scored.index, dtype=object
        ),
    )


def _risk_points(scored: pd.DataFrame, profile: Profile) -> dict[str, Flags]:
    rules = profile.rules
    direction = _column(scored, "direction")
    volatility = _column(scored, "volatility_ratio")
    with np.errstate(invalid="ignore"):
        return {
            "funding": direction * (_column(scored, "factor_funding_rate") - 50)
            < -rules.funding_against,
            "crowd": direction * (_column(scored, "factor_long_short_ratio") - 50)
            < -rules.crowd_against,
            "coverage": _column(scored, "coverage") < rules.low_coverage - 1e-9,
            "agreement": _column(scored, "agreement") < rules.low_agreement,
            # An unknown volatility is a risk, not a calm market.
            "volatility": ~(volatility <= rules.high_volatility),
            "extreme": volatility > rules.extreme_volatility,
        }


def _risk_mode(
    points: npt.NDArray[np.int64], conviction: Floats, agreement: Floats, profile: Profile
) -> Codes:
    rules = profile.rules
    with np.errstate(invalid="ignore"):
        strong = (conviction >= rules.aggressive_conviction) & (
            agreement >= rules.aggressive_agreement
        )
    return np.select(
        [points >= 3, points == 2, (points == 0) & strong],
        [np.int8(_AVOID), np.int8(_REDUCED), np.int8(_AGGRESSIVE)],
        np.int8(_NORMAL),
    )


def _verdict(
    mode: Codes, conviction: Floats, direction: Floats, profile: Profile
) -> tuple[Codes, Floats]:
    rules = profile.rules
    with np.errstate(invalid="ignore"):
        enough_reduced = conviction >= rules.reduced_conviction
        enough_normal = conviction >= rules.confirm_conviction
    reduced = mode == _REDUCED
    cases = [
        (direction == 0) | (mode == _AVOID),
        reduced & enough_reduced,
        reduced,
        mode == _AGGRESSIVE,
        enough_normal,
    ]
    verdict = np.select(
        cases,
        [np.int8(code) for code in (_SKIP, _DOWNSIZE, _WAIT, _CONFIRM, _CONFIRM)],
        np.int8(_DOWNSIZE),
    )
    caps = MULTIPLIER_CAPS
    sizes = [0.0, _DOWNSIZED, 0.0, caps["AGGRESSIVE"], caps["NORMAL"]]
    return verdict, np.select(cases, sizes, _DOWNSIZED)


def _reasons(
    scored: pd.DataFrame,
    points: dict[str, Flags],
    mode: Codes,
    verdict: Codes,
    profile: Profile,
) -> npt.NDArray[np.object_]:
    """For every row its sentences: what speaks against the trade, then what it comes to."""
    direction = _column(scored, "direction")
    neutral = (
        f"the score lies between {profile.short_threshold:g} and {profile.long_threshold:g}: "
        "no direction",
    )
    reasons = np.empty(len(scored), dtype=object)
    reasons.fill(())
    reasons[direction == 0] = np.fromiter([neutral], dtype=object)
    rows = np.flatnonzero(np.abs(direction) == 1)
    said: list[tuple[str, ...]] = [
        (text,) for text in _closing(scored, mode, verdict, rows, profile)
    ]
    for name in reversed(_RISKS):
        places = np.flatnonzero(points[name][rows])
        texts = _texts(name, scored.iloc[rows[places]], profile)
        for place, text in zip(places.tolist(), texts, strict=True):
            said[place] = (text, *said[place])
    reasons[rows] = np.fromiter(said, dtype=object, count=len(said))
    return reasons


def _texts(name: str, rows: pd.DataFrame, profile: Profile) -> list[str]:
    """The sentence of one risk point for each of ``rows``, all of which have it."""
    rules = profile.rules
    if name in _CROWDS:
        factor, what = _CROWDS[name]
        columns = [f"{kind}_{factor}" for kind in ("raw", "normal", "factor")]
        sides = np.where(_column(rows, "direction") > 0, "long", "short").tolist()
        return [
            f"{what} against the {side}: {format_raw(factor, raw)}, "
            f"30-day normal {format_raw(factor, normal)} (factor {value:.0f})"
            for side, raw, normal, value in zip(
                sides, *(_column(rows, column).tolist() for column in columns), strict=True
            )
        ]
    column, text = {
        "coverage": ("coverage", f"coverage {{:.2f}} is under {rules.low_coverage:g}"),
        "agreement": (
            "agreement",
            f"the factors disagree: agreement {{:.2f}} is under {rules.low_agreement:g}",
        ),
        "volatility": (
            "volatility_ratio",
            f"volatility {{:.2f}} times its 30-day normal, over {rules.high_volatility:g}",
        ),
        "extreme": (
            "volatility_ratio",
            f"volatility {{:.2f}} is over {rules.extreme_volatility:g} too: counted twice",
        ),
    }[name]
    return [
        text.format(value) if value == value else "volatility unknown: under a week of prices"
        for value in _column(rows, column).tolist()
    ]


def _closing(
    scored: pd.DataFrame,
    mode: Codes,
    verdict: Codes,
    rows: npt.NDArray[np.int64],
    profile: Profile,
) -> list[str]:
    """The last sentence: what conviction and risk mode come to."""
    rules = profile.rules
    template = {
        (_AVOID, _SKIP): "conviction {:.0f}, but three or more points against: avoid",
        (_REDUCED, _DOWNSIZE): f"conviction {{:.0f}} reaches {rules.reduced_conviction:g}: "
        "half size in spite of two points against",
        (_REDUCED, _WAIT): f"conviction {{:.0f}} is under {rules.reduced_conviction:g} "
        "with two points against: wait",
        (_NORMAL, _CONFIRM): f"conviction {{:.0f}} reaches {rules.confirm_conviction:g}: full size",
        (
            _NORMAL,
            _DOWNSIZE,
        ): f"conviction {{:.0f}} is under {rules.confirm_conviction:g}: half size",
        (
            _AGGRESSIVE,
            _CONFIRM,
        ): f"conviction {{:.0f}} reaches {rules.aggressive_conviction:g}, agreement "
        f"{rules.aggressive_agreement:g}, nothing against: one and a half times the size",
    }
    conviction: list[float] = (2 * np.abs(_column(scored, "score")[rows] - 50)).tolist()
    return [
        template[risk, word].format(value)
        for risk, word, value in zip(
            mode[rows].tolist(), verdict[rows].tolist(), conviction, strict=True
        )
    ]


def _column(scored: pd.DataFrame, name: str) -> Floats:
    if name not in scored.columns:
        return np.full(len(scored), np.nan)
    return scored[name].to_numpy(dtype=np.float64)
