from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.signals import load_profile
from core.verdicts import judge_by_rules
from tests.builders import make_scored

PROFILE = load_profile()


def judge(**changes: object) -> pd.Series:
    return judge_by_rules(make_scored(**changes), PROFILE).iloc[0]


AGAINST_LONG = {
    "funding": {"factor_funding_rate": 24.0},
    "crowd": {"factor_long_short_ratio": 24.0},
    "coverage": {"coverage": 0.69},
    "agreement": {"agreement": 0.49},
    "volatility": {"volatility_ratio": 1.31},
}


@pytest.mark.parametrize("name", AGAINST_LONG)
def test_each_risk_is_one_point_and_is_said_with_its_number(name: str) -> None:
    calm, risky = judge(), judge(**AGAINST_LONG[name])
    assert calm["risk_points"] == 0
    assert risky["risk_points"] == 1
    assert len(risky["reasons"]) == len(calm["reasons"]) + 1
    value = next(iter(AGAINST_LONG[name].values()))
    assert f"{value:g}" in risky["reasons"][0]


def test_very_high_volatility_counts_twice() -> None:
    assert judge(volatility_ratio=1.81)["risk_points"] == 2


def test_unknown_volatility_is_a_risk() -> None:
    row = judge(volatility_ratio=np.nan)
    assert row["risk_points"] == 1
    assert "unknown" in row["reasons"][0]


@pytest.mark.parametrize(
    ("changes", "mode", "verdict", "multiplier"),
    [
        ({"score": 65.0, "agreement": 0.7}, "AGGRESSIVE", "CONFIRM", 1.5),
        ({"score": 64.9, "agreement": 0.7}, "NORMAL", "CONFIRM", 1.0),
        ({"score": 65.0, "agreement": 0.69}, "NORMAL", "CONFIRM", 1.0),
        ({"score": 61.0}, "NORMAL", "CONFIRM", 1.0),
        ({"score": 60.9}, "NORMAL", "DOWNSIZE", 0.5),
        ({"score": 70.0, "agreement": 0.9, "coverage": 0.6}, "NORMAL", "CONFIRM", 1.0),
        ({"score": 62.0, "volatility_ratio": 2.0}, "REDUCED", "DOWNSIZE", 0.5),
        ({"score": 61.9, "volatility_ratio": 2.0}, "REDUCED", "WAIT", 0.0),
        ({"score": 90.0, "volatility_ratio": 2.0, "coverage": 0.6}, "AVOID", "SKIP", 0.0),
        ({"score": 50.0, "direction": 0.0}, "NORMAL", "SKIP", 0.0),
    ],
)
def test_conviction_and_risk_make_the_verdict(
    changes: dict[str, object], mode: str, verdict: str, multiplier: float
) -> None:
    row = judge(**changes)
    assert (row["risk_mode"], row["verdict"], row["multiplier"]) == (mode, verdict, multiplier)


@pytest.mark.parametrize("score", [58.0, 61.0, 63.0, 66.0, 80.0])
@pytest.mark.parametrize("name", [None, *AGAINST_LONG])
def test_shorts_are_judged_like_longs(score: float, name: str | None) -> None:
    risk = AGAINST_LONG.get(name or "", {})
    flipped = {k: 100 - v if k.startswith("factor") else v for k, v in risk.items()}
    long = judge(score=score, **risk)
    short = judge(score=100 - score, direction=-1.0, **flipped)
    for column in ("verdict", "risk_mode", "multiplier", "risk_points", "conviction"):
        assert short[column] == long[column]
    assert [text.replace("short", "long") for text in short["reasons"]][-1] == long["reasons"][-1]


def test_what_helps_the_trade_is_no_risk() -> None:
    helped = judge(factor_funding_rate=90.0, factor_long_short_ratio=90.0)
    assert helped["risk_points"] == 0
    assert judge(score=36.0, direction=-1.0, factor_funding_rate=90.0)["risk_points"] == 1


def test_without_a_signal_there_is_no_verdict() -> None:
    row = judge(score=np.nan, agreement=np.nan, direction=np.nan)
    assert row["verdict"] is None
    assert row["risk_mode"] is None
    assert np.isnan(row["multiplier"])
    assert row["reasons"] == ()


def test_reasons_name_the_value_and_its_normal() -> None:
    row = judge(factor_funding_rate=10.0, raw_funding_rate=0.0004, normal_funding_rate=0.0001)
    assert row["reasons"][0] == (
        "funding against the long: 0.0400 % per 8 h, 30-day normal 0.0100 % per 8 h (factor 10)"
    )
