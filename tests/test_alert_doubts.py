"""What is allowed in a rule and probably not meant: said with its place and what would be right."""

from __future__ import annotations

import pandas as pd
import pytest
from builders import START, make_frame
from hypothesis import given, settings
from hypothesis import strategies as st

from core.alerts import Evaluation, compile_rule
from core.alerts.advice import check_text
from core.alerts.checking import check, doubts_before
from core.alerts.functions import FUNCTIONS
from core.alerts.kernels import FALSE, TRUE
from core.alerts.names import NAMES
from core.backtest import decide
from core.signals import load_profile
from core.ui.rules.templates import TEMPLATES

FACTOR = "the factor, 0 to 100"
NEVER_KNOWN = ("normal_fear_greed", "z_fear_greed")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "funding_rate > 0.0001",
            "funding_rate is 0 to 100, so 0.0001 is as good as 0 for it. Did you mean "
            f"funding_rate_8h, a fraction per 8 h? funding_rate is {FACTOR}.",
        ),
        (
            "score > 120",
            "score is 0 to 100, so this never holds. Compare it with a number that it can pass.",
        ),
        ("coverage > 60", "coverage is 0 to 1, so this never holds. Did you mean 0.6?"),
        (
            "long_account_share < 50",
            "long_account_share is 0 to 1, so this always holds where it is known. Did you mean 0.5 "
            "or long_short_ratio, the factor, 0 to 100? long_account_share is 0 to 1.",
        ),
        (
            "liquidations > 1000000",
            "liquidations is 0 to 100, so this never holds. Did you mean long_liquidations_usd, in "
            f"USD or short_liquidations_usd, in USD? liquidations is {FACTOR}.",
        ),
        ("atr_fraction > 3", "atr_fraction is a fraction, so 3 is 300 %. Did you mean 0.03?"),
        ("conviction >= 0.3", "so 0.3 is as good as 0 for it. Did you mean 30?"),
        ("crosses_above(score, 120)", "score is 0 to 100, so this never holds."),
        ("crosses_below(score, 101)", "score is 0 to 100, so this never holds."),
        ('count(score > 60, "4h") > 4', "is 0 to 4, so this never holds."),
        ('win_rate("CONFIRM", "30d", "4h") > 55', "Did you mean 0.55?"),
        ("100 - factor_oi_trend > 120", "100 - factor_oi_trend is 0 to 100, so this never holds."),
        ('change(coverage, "4h") < -20', "is -1 to 1, so this never holds. Did you mean -0.2?"),
        ("rank(close) < 1", "is 1 or more, so this never holds."),
        ("score > 60 and coverage > 0.5 and score < 40", "score cannot meet all of these at once"),
        ("40 > score > 60", "score cannot meet all of these at once, so this never holds."),
        ("score > 40 or score < 60", "score always meets one of these, so this always holds"),
        ('direction == "LONG" and direction == "SHORT"', "direction cannot meet all of these"),
        ("coverage >= 0", "The rule always holds where it is known."),
        ("not coverage <= 1", "The rule never holds."),
        ("known(z_fear_greed)", "z_fear_greed is never known: fear & greed is taken as it is"),
    ],
)
def test_what_is_probably_not_meant_is_said_and_forbids_nothing(text: str, says: str) -> None:
    (doubt,) = compile_rule(text).doubts
    assert says in str(doubt)


def test_what_may_be_meant_is_put_in_the_place_of_the_name_or_of_the_number() -> None:
    text = 'score > 60 and avg(long_short_ratio, "24h") > 0.6'
    (doubt,) = compile_rule(text).doubts
    assert text[doubt.start : doubt.end] == 'avg(long_short_ratio, "24h") > 0.6'
    put = [text[: fix.start] + fix.put + text[fix.end :] for fix in doubt.fixes]
    assert put == [
        'score > 60 and avg(long_short_ratio, "24h") > 60',
        'score > 60 and avg(long_account_share, "24h") > 0.6',
    ]
    assert all(not compile_rule(one).doubts for one in put)


@pytest.mark.parametrize(
    "text",
    [
        *(one.example for one in (*NAMES, *FUNCTIONS) if one.name not in NEVER_KNOWN),
        *(template.definition.expression for template in TEMPLATES),
        "0 <= coverage < 0.7",
        "score > 60 or score < 40",
        "40 < score <= 60 and score != 50",
        "factor_oi_trend >= 100 or factor_oi_trend <= 0",
        'std(score, "24h") < 1 and change(score, "4h") > 0.5',
        "funding_rate_8h > 0.01",
        "score - factor_oi_trend > 40",
        'verdict == "CONFIRM" or verdict == "WAIT"',
    ],
)  # fmt: skip
def test_what_may_well_be_meant_is_not_doubted(text: str) -> None:
    assert compile_rule(text).doubts == ()


def test_what_is_odd_is_said_beside_what_is_wrong() -> None:
    text = "coverage > 60 and scor > 60"
    found = check_text(text)
    assert found.rule is None
    assert found.reason == "There is no scor."
    assert [str(doubt) for doubt in found.doubts] == [
        "at character 1: coverage is 0 to 1, so this never holds. Did you mean 0.6?"
    ]
    assert doubts_before("coverage > 60 = 1") == ()


HOURS = 24 * 10
MARKET = Evaluation(
    decide(make_frame(3, hours=HOURS), load_profile()), START + pd.Timedelta(hours=HOURS - 48)
)
PLACES = st.sampled_from([-150.0, -1.0, -0.5, 0.0, 0.3, 1.0, 6.0, 50.0, 100.0, 150.0])
NUMBERS = st.one_of(
    st.sampled_from(
        ["score", "coverage", "agreement", "direction", "funding_rate", "funding_rate_8h",
         "long_account_share", "volume_usd", "risk_points", "multiplier", "volatility_ratio"]
    ),
    st.sampled_from(
        ["abs(direction)", "-score", "100 - score", "score * -2", "score / 50", "round(score)",
         'change(coverage, "4h")', 'std(score, "4h")', 'highest(score, "4h")', "rank(score)",
         "min(score, coverage)", "max(score, 60)", "(score if coverage > 0.9 else 3)",
         'count(score > 50, "3h")', "score + coverage", "score - agreement"]
    ),
)  # fmt: skip
SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
COMPARED = st.builds("{} {} {}".format, NUMBERS, SIGNS, PLACES)
CROSSED = st.builds(
    "crosses_{}({}, {})".format, st.sampled_from(["above", "below"]), NUMBERS, PLACES
)
CONDITIONS = st.recursive(
    st.one_of(COMPARED, CROSSED),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("not {}".format, inner.map("({})".format)),
    ),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(CONDITIONS)
def test_what_is_seen_never_or_always_to_hold_does_so_on_a_market(text: str) -> None:
    checked = check(text)
    truth = set(MARKET.truth(checked.root).tolist())
    if checked.holds is False:
        assert TRUE not in truth
    if checked.holds is True:
        assert FALSE not in truth
    assert bool(checked.doubts) or checked.holds is None
