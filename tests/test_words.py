from __future__ import annotations

import math

import pytest

from core.signals import load_profile, score
from core.signals.words import explain, format_raw
from tests.builders import make_frame


def test_contributions_add_up_to_the_score_and_the_largest_comes_first() -> None:
    row = score(make_frame(1, 24 * 20).drop(columns="social_score"), load_profile()).iloc[-1]
    parts = explain(row, load_profile())
    known = [part.points for part in parts if not math.isnan(part.points)]
    assert sum(known) == pytest.approx(row["score"] - 50)
    assert [abs(p) for p in known] == sorted((abs(p) for p in known), reverse=True)
    assert parts[-1].factor == "social_sentiment"
    assert parts[-1].sentence == "not known at this bar"


def test_funding_reads_as_a_trader_says_it() -> None:
    row = {
        "raw_funding_rate": 0.0003,
        "normal_funding_rate": 0.0001,
        "z_funding_rate": 1.9,
        "factor_funding_rate": 18.3,
    }
    sentence = next(p.sentence for p in explain(row, load_profile()) if p.factor == "funding_rate")
    assert sentence == (
        "0.0300 % per 8 h, 1.9 sigma above normal (0.0100 % per 8 h): crowded longs pay"
    )


@pytest.mark.parametrize(
    ("factor", "value", "text"),
    [
        ("liquidations", -1.0, "2.7 shorts per long"),
        ("price_momentum", 0.5, "+0.50 sigma"),
        ("long_short_ratio", 0.613, "61.3 % long"),
        ("smart_money", 0.5, "50.0 % long"),
        ("oi_trend", -0.034, "−3.4 %"),
        ("social_sentiment", 4.0, "+4.0 points"),
        ("fear_greed", 29.0, "29 of 100"),
        ("funding_rate", None, "–"),
    ],
)
def test_every_factor_has_its_unit(factor: str, value: float | None, text: str) -> None:
    assert format_raw(factor, value) == text


@pytest.mark.parametrize(
    ("raw", "value", "says"),
    [
        (0.0004, 20.0, "crowded longs pay"),
        (0.00002, 70.0, "longs pay less than usual"),
        (-0.0002, 80.0, "crowded shorts pay"),
        (-0.00001, 30.0, "shorts pay less than usual"),
        (0.0001, 51.0, "nothing unusual"),
    ],
)
def test_who_pays_follows_the_sign_and_not_only_the_normal(
    raw: float, value: float, says: str
) -> None:
    row = {
        "raw_funding_rate": raw,
        "normal_funding_rate": 0.0001,
        "z_funding_rate": 1.0,
        "factor_funding_rate": value,
    }
    parts = explain(row, load_profile())
    assert next(p for p in parts if p.factor == "funding_rate").sentence.endswith(": " + says)
