"""The language of alert rules: what a rule says of known and unknown, and how wrong ones are told."""

from __future__ import annotations

import pickle
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import START, make_bars, make_frame, make_scored

from core.alerts import Evaluation, compile_rule
from core.alerts.checking import check
from core.alerts.cost import MOST_MILLISECONDS
from core.alerts.functions import FUNCTIONS
from core.alerts.names import BY_NAME, NAMES, Statistic
from core.alerts.reference import BEGIN, END, reference
from core.backtest import decide
from core.errors import FrameError, RuleError
from core.rule_bench import alert_rules
from core.signals import load_profile

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
NAN = float("nan")


def answer(text: str, **changes: object) -> bool | None:
    """A rule's answer on one row."""
    return told(compile_rule(text).evaluate(make_scored(**changes)))[0]


def told(answers: pd.Series) -> list[bool | None]:
    return [None if one is pd.NA else bool(one) for one in answers]


def over_time(text: str, closes: list[float], **columns: list[float]) -> list[bool | None]:
    """A rule's answers on hourly bars of one symbol."""
    return told(compile_rule(text).evaluate(make_bars(closes, **columns)))


def values(text: str, frame: pd.DataFrame, since: pd.Timestamp | None = None) -> np.ndarray:
    """The value of a number: the left side of a comparison."""
    node = check(f"{text} > 0").root.left  # type: ignore[attr-defined]
    return Evaluation(frame, since).value(node)


def gappy(seed: int = 1, hours: int = 80) -> pd.DataFrame:
    """Four symbols with missing rows and values, verdicts and all."""
    random = np.random.default_rng(seed)
    frame = make_frame(4, 24 * 9 + hours, seed)
    frame = decide(frame, load_profile())
    for name in ("close", "score", "volume_usd", "high"):
        frame[name] = frame[name].where(random.random(len(frame)) > 0.08)
    newest = frame.index.get_level_values("time") >= START + pd.Timedelta(hours=24 * 9)
    return frame[newest & (random.random(len(frame)) > 0.07)]


# Known and unknown.

LOGIC = {True: "score > 50", False: "score < 50", None: "open_interest > 50"}


@pytest.mark.parametrize(("left", "right"), list(product(LOGIC, LOGIC)))
def test_and_or_and_not_are_those_of_sql(left: bool | None, right: bool | None) -> None:
    both = {left, right}
    expected_and = False if False in both else None if None in both else True
    expected_or = True if True in both else None if None in both else False
    a, b = LOGIC[left], LOGIC[right]
    assert answer(f"{a} and {b}") is expected_and
    assert answer(f"{a} or {b}") is expected_or
    assert answer(f"not ({a} and {b})") is (None if expected_and is None else not expected_and)
    assert answer(f"{a} and {b} and {b}") is expected_and


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_a_comparison_with_the_unknown_is_unknown(sign: str) -> None:
    assert answer(f"score {sign} 50", score=NAN) is None
    assert answer(f"50 {sign} score", score=NAN) is None
    assert answer(f"score {sign} coverage", coverage=NAN) is None


def test_comparisons_say_what_they_say_in_python() -> None:
    for a, b in product((1.0, 2.0, 3.0), repeat=2):
        row = {"score": a, "coverage": b}
        assert answer("score < coverage", **row) is (a < b)
        assert answer("score <= coverage", **row) is (a <= b)
        assert answer("score > coverage", **row) is (a > b)
        assert answer("score >= coverage", **row) is (a >= b)
        assert answer("score == coverage", **row) is (a == b)
        assert answer("score != coverage", **row) is (a != b)
        assert answer("1 < score <= coverage", **row) is (1 < a <= b)


def test_a_chain_is_false_where_one_link_is_false_whatever_is_unknown() -> None:
    assert answer("70 < score < coverage", score=60.0, coverage=NAN) is False
    assert answer("50 < score < coverage", score=60.0, coverage=NAN) is None


def test_a_choice_by_something_unknown_is_unknown_even_between_equals() -> None:
    choice = "(1 if score > 50 else 1) == 1"
    assert answer(choice, score=60.0) is True
    assert answer(choice, score=NAN) is None
    assert answer("coverage > 0 if score > 50 else agreement > 5", score=40.0) is False
    assert answer("coverage > 0 if score > 50 else agreement > 5", agreement=NAN) is True


def test_the_side_that_is_not_chosen_may_be_unknown() -> None:
    assert answer("(score if direction == 1 else atr) > 50", atr=NAN) is True


@pytest.mark.parametrize("text", ["score / (score - score) > 1", "score / (atr - 2) != 0"])
def test_a_division_by_zero_is_unknown(text: str) -> None:
    assert answer(text, atr=2.0) is None
    assert answer("(score - score) / (score - score) == 0") is None


def test_what_is_too_large_to_count_is_unknown() -> None:
    large = " * ".join(["score"] * 9)
    assert answer(f"{large} > 0", score=1e40) is None
    assert answer("score > 0", score=np.inf) is None
    assert answer("1 / score == 0", score=np.inf) is None


def test_a_name_that_the_frame_does_not_have_is_unknown_everywhere() -> None:
    frame = make_frame(2, 5)[["close"]]
    for name in NAMES:
        text = {
            "number": f"{name.name} > 0",
            "text": f'{name.name} == "{next(iter(name.values), 0)}"',
        }
        if name.kind == "symbol" or name.name == "close":
            continue
        assert compile_rule(text[name.kind]).evaluate(frame).isna().all(), name.name


def test_known_tells_the_unknown_apart() -> None:
    assert answer("known(score)") is True
    assert answer("known(score)", score=NAN) is False
    assert answer("not known(open_interest) and not known(verdict)") is True


# Texts.


@pytest.mark.parametrize(("code", "word"), [(1.0, "LONG"), (0.0, "NEUTRAL"), (-1.0, "SHORT")])
def test_a_direction_is_a_text_and_a_number(code: float, word: str) -> None:
    for stored in (code, word):
        assert answer(f'direction == "{word}"', direction=stored) is True
        assert answer(f'"{word}" != direction', direction=stored) is False
        assert answer(f"direction == {code}", direction=stored) is True
        assert answer(f'direction in ("{word}",)', direction=stored) is True
    assert answer(f'direction == "{word}"', direction=NAN) is None


def test_verdicts_are_compared_as_texts() -> None:
    row = {"verdict": "WAIT", "model_verdict": "SKIP", "risk_mode": "REDUCED"}
    assert answer('verdict == "WAIT" and risk_mode != "AVOID"', **row) is True
    assert answer('verdict in ("CONFIRM", "DOWNSIZE")', **row) is False
    assert answer('verdict not in ("CONFIRM", "DOWNSIZE")', **row) is True
    assert answer("verdict != model_verdict", **row) is True
    for unknown in (None, NAN, "something else"):
        row["verdict"] = unknown
        assert answer('verdict not in ("CONFIRM", "DOWNSIZE")', **row) is None
        assert answer("verdict == model_verdict", **row) is None


def test_texts_may_be_stored_in_any_way_pandas_has() -> None:
    frame = make_frame(2, 3)
    words = ["CONFIRM", None, "SKIP", "WAIT", "CONFIRM", None]
    rule = compile_rule('verdict == "CONFIRM"')
    for dtype in ("object", "str", "category", "string"):
        verdict = pd.Series(words, index=frame.index, dtype=dtype)
        answers = told(rule.evaluate(frame.assign(verdict=verdict)))
        assert answers == [True, None, False, False, True, None], dtype


def test_symbols_are_chosen_by_name() -> None:
    frame = make_frame(["BTCUSDT", "ETHUSDT", "币安人生USDT"], 2)
    assert (
        told(compile_rule('symbol == "ETHUSDT"').evaluate(frame))
        == [False] * 2
        + [
            True,
            True,
        ]
        + [False] * 2
    )
    chosen = compile_rule('symbol in ("BTCUSDT", "币安人生USDT", "XRPUSDT")').evaluate(frame)
    assert told(chosen) == [True, True, False, False, True, True]
    rest = compile_rule('symbol not in ("BTCUSDT",) and close > 0').evaluate(frame)
    assert told(rest) == [False] * 2 + [True] * 4


# Windows.


def test_a_change_is_the_difference_and_a_change_in_percent_is_of_what_was() -> None:
    closes = [100.0, 90.0, 99.0]
    assert over_time('change(close, "1h") == -10', closes) == [None, True, False]
    assert over_time('change_percent(close, "1h") == -10', closes) == [None, True, False]
    assert over_time('round(change_percent(close, "1h"), 6) == 10', closes) == [None, False, True]
    rates = [-0.5, -0.25, 0.0, 1.0]
    of_rates = over_time(
        'change_percent(funding_rate_8h, "1h") > 0', [1.0] * 4, funding_rate_8h=rates
    )
    assert of_rates == [None, True, True, None]


def test_a_window_ends_with_the_bar() -> None:
    closes = [1.0, 5.0, 3.0, 2.0, 4.0]
    assert over_time('highest(close, "2h") == 5', closes) == [None, True, True, False, False]
    assert over_time('lowest(close, "2h") == 2', closes) == [None, False, False, True, True]
    assert over_time('avg(close, "2h") == 3', closes) == [None, True, False, False, True]
    assert over_time('std(close, "3h") == 2', closes) == [None, None, True, False, False]
    assert over_time('count(close > 2, "3h") == 2', closes) == [None, None, True, True, True]


def test_a_zscore_is_against_the_window_before_the_bar() -> None:
    closes = [1.0, 3.0, 5.0, 7.0]
    assert over_time('zscore(close, "3h") == 2', closes) == [None, None, None, True]
    assert over_time('zscore(close, "3h") == 2', [5.0, 5.0, 5.0, 7.0]) == [None] * 4


def test_a_window_needs_the_bar_and_three_quarters_of_its_bars() -> None:
    closes = [1.0, 1.0, 1.0, NAN, 1.0, NAN, NAN, 1.0]
    for text in ('avg(close, "4h") == 1', 'highest(close, "4h") == 1', 'lowest(close, "4h") == 1',
                 'count(close == 1, "4h") == 3', 'std(close, "4h") == 0'):  # fmt: skip
        expected = [None, None, True, None, True, None, None, None]
        assert over_time(text, closes) == expected, text


def test_a_missing_row_is_an_unknown_bar() -> None:
    frame = make_bars([1.0, 2.0, 3.0, 4.0, 5.0]).drop(index=("BTCUSDT", START + pd.Timedelta("2h")))
    assert told(compile_rule('change(close, "1h") == 1').evaluate(frame)) == [
        None,
        True,
        None,
        True,
    ]
    assert told(compile_rule('change(close, "2h") == 2').evaluate(frame)) == [
        None,
        None,
        True,
        None,
    ]
    assert told(compile_rule('count(known(close), "2h") == 2').evaluate(frame)) == [
        None,
        True,
        None,
        True,
    ]


def test_a_crossing_is_above_now_and_not_before() -> None:
    closes = [1.0, 2.0, 3.0, 2.0, NAN, 3.0, 3.0]
    above = over_time("crosses_above(close, 2)", closes)
    assert above == [False, False, True, False, None, None, False]
    below = over_time("crosses_below(close, 3)", closes)
    assert below == [None, False, False, True, False, False, False]


def test_a_rank_counts_from_the_highest_and_equals_share() -> None:
    frame = make_frame(5, 1).assign(close=[5.0, 9.0, NAN, 5.0, 1.0])
    ranks = values("rank(close)", frame)
    np.testing.assert_array_equal(ranks, [2.0, 1.0, NAN, 2.0, 4.0])


def test_windows_are_hours_whatever_the_bars_are() -> None:
    frame = make_frame(1, 30, step="15min")
    moved = frame["close"] - frame["close"].shift(8)
    np.testing.assert_array_equal(values('change(close, "2h")', frame), moved.to_numpy())


@pytest.mark.parametrize("hours", [2, 3, 4, 7, 24, 30])
def test_windows_are_those_of_pandas(hours: int) -> None:
    frame = gappy()
    close = frame["close"].unstack("symbol").sort_index().asfreq("h")
    rolling = close.rolling(hours, min_periods=int(np.ceil(0.75 * hours)))
    before = close.shift(1).rolling(hours, min_periods=max(2, int(np.ceil(0.75 * hours))))
    wanted = {
        "avg": rolling.mean(),
        "highest": rolling.max(),
        "lowest": rolling.min(),
        "std": close.rolling(hours, min_periods=max(2, int(np.ceil(0.75 * hours)))).std(),
        "zscore": (close - before.mean()) / before.std(),
        "change": close - close.shift(hours),
    }
    for name, table in wanted.items():
        expected = table.where(close.notna()).stack(future_stack=True).swaplevel()
        found = values(f'{name}(close, "{hours}h")', frame)
        known = expected.reindex(frame.index).to_numpy()
        np.testing.assert_allclose(found, known, rtol=1e-9, atol=1e-12, err_msg=name)


# Nothing depends on later bars, nor on bars before its own windows.

PIECES = (
    "score * 2 - close / volume_usd",
    'avg(close, "24h")',
    'highest(high, "7h")',
    'lowest(close, "30h")',
    'std(volume_usd, "24h")',
    'std(avg(score, "5h"), "13h")',
    'zscore(close, "24h")',
    'change(score, "7h")',
    'change_percent(avg(close, "3h"), "24h")',
    "rank(volume_usd)",
    'avg(rank(close), "6h")',
    'count(close > open and known(score), "24h")',
    'count(crosses_above(score, avg(score, "4h")), "13h")',
    '(score if verdict == "SKIP" else factor_oi_trend)',
    'min(score, highest(score, "9h")) + max(close, 100)',
    'count(symbol == "S1USDT" or score > 50, "8h")',
)


@pytest.mark.parametrize("text", PIECES)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_newest_rows_have_the_bits_of_the_whole(text: str, seed: int) -> None:
    frame = gappy(seed)
    whole = pd.Series(values(text, frame), index=frame.index)
    times = frame.index.get_level_values("time")
    last = times.max()
    lookback = pd.Timedelta(hours=compile_rule(f"{text} > 0").lookback_hours)
    for hours in (0, 1, 6, 30):
        since = last - pd.Timedelta(hours=hours)
        expected = whole[times >= since].to_numpy()
        assert values(text, frame, since).tobytes() == expected.tobytes()
        recent = frame[times >= since - lookback]
        assert values(text, recent, since).tobytes() == expected.tobytes()
    for hours in (1, 20, 50):
        early = frame[times <= last - pd.Timedelta(hours=hours)]
        assert values(text, early).tobytes() == whole[early.index].to_numpy().tobytes()


# What a rule tells about itself.


def test_a_rule_names_what_it_needs() -> None:
    rule = compile_rule(
        'funding_rate > 60 and win_rate("CONFIRM", "30d", "4h") < 0.4 and atr_fraction > 0.01 '
        'and symbol == "BTCUSDT" and avg(change(close, "4h"), "1d") > 0'
    )
    assert rule.needs == ("factor_funding_rate", "win_rate_confirm_30d_4h", "atr", "close")
    assert rule.names == ("factor_funding_rate", "atr_fraction", "symbol", "close")
    assert rule.functions == ("win_rate", "avg", "change")
    assert rule.lookback_hours == 27
    statistic = Statistic.of("win_rate_confirm_30d_4h")
    assert statistic == Statistic("win_rate", "CONFIRM", 30, "4h")


def test_rules_that_differ_in_writing_only_have_one_normal_form() -> None:
    first = compile_rule('avg(close,"24h")>1 and direction == "LONG"')
    for text in (
        'avg(close, "1d") > 1.0 and direction == 1',
        '((avg(close, "24h")) > 1e0)\n  and (direction == "LONG")',
        '  avg(close, "24h") > 0.5 + 0.5 and direction == "LONG" ',
    ):
        assert compile_rule(text).canonical == first.canonical
    assert compile_rule('avg(close, "24h") > 2').canonical != first.canonical


def test_atr_fraction_is_reckoned_where_no_column_holds_it() -> None:
    assert answer("atr_fraction == 0.02", atr=2.0, close=100.0) is True
    assert answer("atr_fraction == 0.05", atr=2.0, close=100.0, atr_fraction=0.05) is True


def test_equal_pieces_of_many_rules_are_computed_once() -> None:
    frame = gappy()
    evaluation = Evaluation(frame, frame.index.get_level_values("time").max())
    first, second = (
        check(text).root
        for text in ('avg(close, "24h") > 1 and score > 3', '2 > 1 * avg(close, "1d")')
    )
    pieces = [
        next(node for node in (first.values[0].left, second.comparators[0]))  # type: ignore[attr-defined]
        for _ in range(2)
    ]
    assert evaluation._evaluator.value(pieces[0]) is evaluation._evaluator.value(pieces[1])


def test_every_piece_is_explained_with_its_value_and_unit() -> None:
    text = 'direction == "LONG" and change(score, "1h") > 2 and open_interest > 1'
    rows = make_bars([1.0, 1.0]).assign(direction=1.0, score=[60.0, 64.0])
    rule = compile_rule(text)
    (shown,) = rule.explain(Evaluation(rows), [1])
    told_of = {piece.text: (piece.value, piece.unit, piece.kind) for piece in shown}
    assert told_of == {
        'direction == "LONG"': (True, "", "truth"),
        "direction": ("LONG", "text or -1, 0, 1", "number"),
        'change(score, "1h") > 2': (True, "", "truth"),
        'change(score, "1h")': (4.0, "0..100", "number"),
        "score": (64.0, "0..100", "number"),
        "open_interest > 1": (None, "", "truth"),
        "open_interest": (None, "base", "number"),
    }
    assert all(text[piece.start : piece.end] == piece.text for piece in shown)
    assert len(rule.explain(Evaluation(rows))) == 2


def test_places_are_counted_in_characters_after_blanks_and_wide_letters() -> None:
    text = '  \n symbol == "币安人生USDT" and close > 1'
    shown = compile_rule(text).explain(Evaluation(make_frame(1, 1)))[0]
    assert [text[piece.start : piece.end] for piece in shown] == [
        'symbol == "币安人生USDT"',
        "close > 1",
        "close",
    ]


def test_rules_are_kept_in_files_and_caches() -> None:
    rule = compile_rule('symbol == "BTCUSDT" and avg(close, "4h") > 1')
    copy = pickle.loads(pickle.dumps(rule))
    assert copy == rule
    assert hash(copy) == hash(rule)
    pd.testing.assert_series_equal(copy.evaluate(gappy()), rule.evaluate(gappy()))


def test_an_answer_cannot_be_written_into_what_others_share() -> None:
    evaluation = Evaluation(make_frame(2, 3))
    truth = compile_rule("close > 1").truth_in(evaluation)
    with pytest.raises(ValueError, match="read-only"):
        truth[0] = 0


def test_the_measured_rules_say_the_same_by_hand_and_row_by_row() -> None:
    figures = alert_rules(rules=45, symbols=12)
    assert [figure.yardstick for figure in figures] == [
        "simpleeval row by row (10 rows, scaled)",
        "NumPy by hand",
    ]
    assert all(figure.seconds > 0 for figure in figures)


# Frames.


def test_no_rows_give_no_answers() -> None:
    empty = make_frame(2, 3).iloc[:0]
    answers = compile_rule('avg(close, "4h") > rank(close) or symbol == "A"').evaluate(empty)
    assert answers.dtype == "boolean"
    assert answers.empty
    later = compile_rule("crosses_above(close, 1)").evaluate(
        make_frame(2, 3), START + pd.Timedelta("216h")
    )
    assert later.empty


def test_rows_that_are_not_sorted_are_refused() -> None:
    with pytest.raises(FrameError):
        compile_rule("close > 1").evaluate(make_frame(2, 3).iloc[::-1])


def test_the_frame_is_left_as_it_was() -> None:
    frame = gappy()
    before = frame.copy(deep=True)
    for text in PIECES:
        compile_rule(f"not ({text} > 1 or {text} < 0)").evaluate(frame)
    pd.testing.assert_frame_equal(frame, before)


# Refusals.


@pytest.mark.parametrize(
    ("text", "place", "reason", "hint"),
    [
        ("scor > 60", 0, "There is no scor.", "score"),
        ("close > 1 and levrage > 2", 14, "There is no levrage.", ""),
        ("close > 1 and highst(close) > 2", 14, "There is no function highst.", "highest"),
        ("pct_change(close, 4) > 1", 0, "There is no function pct_change.", ""),
        ("score = 5", 6, "A rule cannot assign.", "=="),
        ("score > 1; close > 2", 9, "A rule is one condition.", "and"),
        ("score", 0, "A rule is a condition, and this is a number.", "score > 60"),
        ("close > score and volume_usd", 18, "This is a number", "Compare"),
        ("score.real > 1", 5, "A rule cannot reach into anything with a dot.", ""),
        ("score[0] > 1", 5, "There are no brackets", "change"),
        ("score ** 2 > 1", 6, "There is no power.", "Multiply"),
        ("score << 2 > 1", 6, "There are no shifts.", ""),
        ('verdict == "CONFRM"', 11, '"CONFRM" is not one of its values.', '"CONFIRM"'),
        ('direction == "long"', 13, '"long" is not one of its values.', '"LONG"'),
        ('symbol == "btcusdt"', 10, '"btcusdt" is no symbol', '"BTCUSDT"'),
        ('avg(close, "4m") > 1', 11, '"4m" is no duration.', '"1h" to "30d"'),
        ("avg(close, 4h) > 1", 12, "A number is followed by h.", '"4h"'),
        ('std(close, "1h") > 1', 11, "One bar has no deviation.", '"2h"'),
        ('min(close, "4h") > 1', 0, "min compares two or more numbers.", "lowest"),
        ("score >", 7, "The rule is not complete", "follow >"),
        ("score > 60 AND close > 1", 11, "AND is written in small letters.", "and"),
        (
            "ｓcore > 1",
            0,
            "Outside of quotes a rule is plain letters",
            "It looks like s: type score in plain letters.",
        ),
        (
            "score > 60 an\u0501 coverage > 0.5",
            13,
            "Outside of quotes a rule is plain letters; this is cyrillic small letter komi de.",
            "It looks like d: type and in plain letters.",
        ),
        ("\u03b1bs(score) > 3", 0, "Outside of quotes", "It looks like a: type abs in plain"),
        ("s\u0441or > 60", 1, "Outside of quotes", "Type c instead."),
        (
            "60 € > score",
            3,
            "Outside of quotes a rule is plain letters; this is euro",
            "Delete it.",
        ),
        ('symbol == "\u0412TCUSDT"', 11, "A text cannot hold cyrillic", "Type B instead."),
        ('symbol == "币安人生USDT" and scor > 3', 25, "There is no scor.", "score"),
    ],
)
def test_a_refusal_says_what_is_wrong_where_and_what_would_be_right(
    text: str, place: int, reason: str, hint: str
) -> None:
    with pytest.raises(RuleError) as refused:
        compile_rule(text)
    assert refused.value.position == place
    assert refused.value.reason.startswith(reason)
    assert hint in refused.value.hint


def test_the_limits_are_where_they_are_said_to_be() -> None:
    assert compile_rule("score > 1" + " " * 991)
    assert compile_rule("+".join(["score"] * 19) + " > 1")
    assert compile_rule(" or ".join(["score>1"] * 66))
    for text, what in (
        ("score > 1" + " " * 992, "1,001 characters"),
        ("+".join(["score"] * 20) + " > 1", "20 deep"),
        (" or ".join(["score>1"] * 67), "200 parts"),
    ):
        with pytest.raises(RuleError, match=what):
            compile_rule(text)


def test_what_takes_too_long_is_refused_with_what_to_shorten() -> None:
    assert compile_rule('rank(zscore(close, "30d")) <= 3').milliseconds < MOST_MILLISECONDS
    with pytest.raises(RuleError) as refused:
        compile_rule('score > 1 and std(std(close, "30d"), "30d") > 1')
    assert "ms per 1,000 symbols" in refused.value.reason
    assert refused.value.hint == 'Shorten what begins here: std(close, "30d").'
    assert refused.value.position == 18


@pytest.mark.parametrize("pick", ["min", "max"])
@pytest.mark.parametrize("others", [", ".join(map(str, range(150))), ", ".join(["close"] * 120)])
def test_min_and_max_take_longer_with_every_value_they_compare(pick: str, others: str) -> None:
    few = compile_rule(f'change({pick}(close, 1), "30d") > 0').milliseconds
    more = compile_rule(f'change({pick}(close, 1, 2), "30d") > 0').milliseconds
    assert more > few + 5
    assert compile_rule(f"{pick}(close, {others}) > 0").milliseconds < MOST_MILLISECONDS
    with pytest.raises(RuleError, match="ms per 1,000 symbols") as refused:
        compile_rule(f'change({pick}(close, {others}), "30d") > 0')
    assert refused.value.position == 7


# Documentation.


def test_the_table_of_the_readme_is_made_from_the_registry() -> None:
    block = README.split(f"{BEGIN}\n")[1].split(END)[0]
    assert block == reference()


def test_every_name_and_function_stands_in_the_table() -> None:
    table = reference()
    for word in BY_NAME:
        assert f"`{word}`" in table
    for function in FUNCTIONS:
        assert f"`{function.signature}`" in table


@pytest.mark.parametrize("example", [one.example for one in (*NAMES, *FUNCTIONS)])
def test_every_example_of_the_table_is_a_rule_that_speaks(example: str) -> None:
    rule = compile_rule(example)
    assert rule.evaluate(make_frame(1, 3)).dtype == "boolean"
    assert rule.milliseconds < MOST_MILLISECONDS


def test_every_example_of_the_readme_is_a_rule() -> None:
    section = README.split("### Alert rules: the language")[1].split("###")[0]
    examples = re.findall(r"```\n(.*?)```", section, re.DOTALL)[0].splitlines()
    assert len(examples) >= 4
    for example in examples:
        assert compile_rule(example)
