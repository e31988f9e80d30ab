"""Accepted rules say what a plain row-by-row evaluation says, and whatever is typed is safe.

`RULE_FUZZ_SECONDS` (600 where `pytest -m long` runs it) is how long the long run takes.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest
from alert_reference import Close, Reference
from builders import START
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from core.alerts import Evaluation, Rule, compile_rule
from core.alerts.checking import check
from core.alerts.functions import FUNCTIONS
from core.alerts.names import NAMES
from core.errors import RuleError

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
HOURS = 40
NUMBERS = ("score", "close", "volume_usd", "factor_funding_rate", "oi_trend", "direction", "atr",
           "atr_fraction", "multiplier", "age_funding", "worker_lag")  # fmt: skip
TEXTS = {
    "verdict": ("CONFIRM", "DOWNSIZE", "WAIT", "SKIP"),
    "risk_mode": ("AVOID", "REDUCED", "NORMAL", "AGGRESSIVE"),
    "direction": ("LONG", "NEUTRAL", "SHORT"),
}


def gappy_market(number: int) -> pd.DataFrame:
    """Three symbols with missing rows, missing values, constants, zeros and ties."""
    random = np.random.default_rng(number)
    times = pd.date_range(START, periods=HOURS, freq="h")
    index = pd.MultiIndex.from_product([SYMBOLS, times], names=["symbol", "time"])
    size = len(index)

    def numbers(low: int, high: int, unknown: float) -> np.ndarray:
        values = random.integers(low * 16, high * 16, size) / 16
        return np.where(random.random(size) < unknown, np.nan, values)

    def words(texts: tuple[str, ...]) -> np.ndarray:
        return np.array([*texts, None], dtype=object)[random.integers(0, len(texts) + 1, size)]

    frame = pd.DataFrame(
        {
            "score": numbers(30, 70, 0.1),
            "close": numbers(90, 110, 0.02) + random.normal(size=size),
            "volume_usd": np.where(random.random(size) < 0.3, 0.0, numbers(0, 4, 0.1)),
            "factor_funding_rate": numbers(0, 100, 0.3),
            "factor_oi_trend": np.full(size, 50.0),
            "direction": random.choice([-1.0, 0.0, 1.0, np.nan], size),
            "atr": numbers(-2, 3, 0.1),
            "multiplier": random.choice([0.0, 0.5, 1.0, np.inf], size),
            "age_funding": numbers(0, 3, 0.05),
            "verdict": words(TEXTS["verdict"]),
            "risk_mode": words(TEXTS["risk_mode"]),
            "win_rate_confirm_7d_4h": numbers(0, 1, 0.2),
        },
        index=index,
    )
    # The first symbol has every bar, so that the grid starts where the frame does.
    kept = (random.random(size) > 0.1) | (np.arange(size) < HOURS)
    return frame[kept]


MARKETS = [gappy_market(number) for number in range(3)]
REFERENCES = [Reference(market) for market in MARKETS]

WINDOWS = st.sampled_from(["1h", "2h", "3h", "4h", "7h", "8h", "13h", "1d"])
SHORT_WINDOWS = st.sampled_from(["1h", "2h", "3h", "5h"])
LITERALS = st.one_of(
    st.integers(-5, 120).map(str),
    st.sampled_from(["0", "0.5", "1", "1.5", "50", "60", "100", "1e3", "0.0001", "-0.25"]),
)


def numbers_of(depth: int) -> st.SearchStrategy[str]:
    names = st.sampled_from(NUMBERS)
    if not depth:
        return names
    inner = numbers_of(depth - 1)
    either = st.one_of(inner, LITERALS)
    windows = WINDOWS if depth < 2 else SHORT_WINDOWS
    return st.one_of(
        names,
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), either),
        st.builds("({} {} {})".format, LITERALS, st.sampled_from("+-*/"), inner),
        st.builds("-{}".format, inner),
        st.builds("abs({})".format, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, either),
        st.builds("round({})".format, inner),
        st.builds("round({}, 1)".format, inner),
        st.builds("rank({})".format, inner),
        st.builds(
            '{}({}, "{}")'.format,
            st.sampled_from(
                ["change", "change_percent", "avg", "highest", "lowest", "std", "zscore"]
            ),
            inner,
            windows,
        ),
        st.builds('count({}, "{}")'.format, conditions_of(depth - 1), windows),
        st.builds("({} if {} else {})".format, inner, conditions_of(depth - 1), either),
        st.just('win_rate("CONFIRM", "7d", "4h")'),
    )


def texts_of() -> st.SearchStrategy[str]:
    def compared(name: str) -> st.SearchStrategy[str]:
        word = st.sampled_from(TEXTS[name]).map('"{}"'.format)
        listed = st.lists(word, min_size=1, max_size=3).map(lambda words: f"({', '.join(words)},)")
        return st.one_of(
            st.builds("{} {} {}".format, st.just(name), st.sampled_from(["==", "!="]), word),
            st.builds("{} {} {}".format, st.just(name), st.sampled_from(["in", "not in"]), listed),
        )

    symbols = st.sampled_from(
        ['symbol == "BTCUSDT"', 'symbol in ("ETHUSDT", "XRPUSDT")', 'symbol not in ("SOLUSDT",)']
    )
    return st.one_of(st.sampled_from(sorted(TEXTS)).flatmap(compared), symbols)


def conditions_of(depth: int) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    number = numbers_of(depth)
    either = st.one_of(number, LITERALS)
    plain = st.one_of(
        st.builds("{} {} {}".format, number, signs, either),
        st.builds("{} {} {}".format, LITERALS, signs, number),
        st.builds("{} < {} <= {}".format, LITERALS, number, either),
        texts_of(),
    )
    if not depth:
        return plain
    inner = conditions_of(depth - 1)
    return st.one_of(
        plain,
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("({} and {} or {})".format, inner, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["crosses_above", "crosses_below"]),
                  number, either),
        st.builds("known({})".format, number),
    )  # fmt: skip


WORDS = [
    *(name.name for name in NAMES),
    *(function.name for function in FUNCTIONS),
    *("and", "or", "not", "in", "if", "else", "(", ")", ",", "<", "<=", "==", ">", "!=", "+", "-"),
    *("*", "/", "**", "//", "%", "=", ":=", ";", ".", "[", "]", "{", "}", "@", "lambda", "for"),
    *('"4h"', '"LONG"', '"CONFIRM"', '"BTCUSDT"', "'x'", '"', "1", "60", "1e999", "0x10", "1_0"),
    *("True", "None", "__class__", "f", "ſcore", "ｓcore", "\x00", "\u202e", "\n", "\\", "#", "é"),
]
SOUP = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
    st.text(max_size=60),
)


class Told:
    """How much was compared, so that a run that compares nothing cannot pass."""

    def __init__(self) -> None:
        self.rules = self.refused = self.rows = self.close = 0
        self.answers: set[Any] = set()


def compare(text: str, which: int, told: Told) -> None:
    """A rule on a market with gaps, beside the reference, on a few rows; and on its newest rows."""
    try:
        rule = compile_rule(text)
    except RuleError as error:
        # Some are too large, or compare fixed numbers; every refusal says where and what to do.
        check_refusal(error, text)
        told.refused += 1
        return
    told.rules += 1
    frame, reference = MARKETS[which], REFERENCES[which]
    answers = check_answers(rule, frame)
    places = np.random.default_rng(len(text)).choice(len(frame), 6, replace=False)
    for place in [*places, len(frame) - 1]:
        told.rows += 1
        try:
            expected = reference.says(text, *frame.index[place])
        except Close:
            told.close += 1
            continue
        answer = answers.iloc[place]
        found = None if answer is pd.NA else bool(answer)
        told.answers.add(found)
        assert found == expected, (text, frame.index[place])


def compare_number(text: str, which: int, told: Told) -> None:
    """The number itself, where a comparison would seldom tell a wrong one."""
    try:
        compile_rule(f"{text} > 0.123")
    except RuleError:
        told.refused += 1
        return
    told.rules += 1
    frame, reference = MARKETS[which], REFERENCES[which]
    node = check(f"{text} > 0.123").root.left  # type: ignore[attr-defined]
    found = Evaluation(frame).value(node)
    for place in np.random.default_rng(len(text)).choice(len(frame), 6, replace=False):
        told.rows += 1
        try:
            expected = reference.value(text, *frame.index[place])
        except Close:
            told.close += 1
            continue
        if expected is None:
            assert np.isnan(found[place]), (text, frame.index[place])
        else:
            size = max(1.0, abs(expected))
            assert abs(found[place] - expected) <= 1e-6 * size, (text, frame.index[place])


def check_answers(rule: Rule, frame: pd.DataFrame) -> pd.Series:
    answers = rule.evaluate(frame)
    assert answers.dtype == "boolean"
    assert answers.index is frame.index
    times = frame.index.get_level_values("time")
    for since in (times.max(), times.max() - pd.Timedelta("7h")):
        newest = rule.evaluate(frame, since)
        pd.testing.assert_series_equal(newest, answers[times >= since])
    early = frame[times <= times.max() - pd.Timedelta("9h")]
    pd.testing.assert_series_equal(rule.evaluate(early), answers[answers.index.isin(early.index)])
    return answers


def check_refusal(error: RuleError, text: str) -> None:
    assert error.position is not None
    assert 0 <= error.position <= len(text)
    assert error.reason.endswith((".", "?"))
    assert error.hint


def fuzz(examples: int, told: Told, start: int = 0) -> None:
    quiet = settings(
        max_examples=examples,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    @seed(start)
    @quiet
    @given(text=conditions_of(3), which=st.integers(0, 2))
    def by_grammar(text: str, which: int) -> None:
        compare(text, which, told)

    @seed(start)
    @quiet
    @given(text=SOUP, which=st.integers(0, 2))
    def by_soup(text: str, which: int) -> None:
        compare(text, which, told)

    @seed(start)
    @quiet
    @given(text=numbers_of(2), which=st.integers(0, 2))
    def by_number(text: str, which: int) -> None:
        compare_number(text, which, told)

    by_grammar()
    by_soup()
    by_number()


def test_an_accepted_rule_says_what_simpleeval_says_row_by_row() -> None:
    told = Told()
    fuzz(150, told)
    assert told.rules > 200
    assert told.answers == {True, False, None}
    assert told.close < 0.1 * told.rows


@pytest.mark.long
def test_rules_agree_with_the_reference_for_a_long_time() -> None:
    told, until = Told(), time.monotonic() + float(os.environ.get("RULE_FUZZ_SECONDS", "600"))
    for number in count(1):
        fuzz(300, told, start=number)
        if time.monotonic() > until:
            break
    said = (
        f"{told.rules:,} rules, {told.refused:,} refused, {told.rows:,} rows, {told.close:,} close"
    )
    sys.stdout.write(f"{said}\n")
    assert told.close < 0.1 * told.rows
