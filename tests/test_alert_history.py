"""The backtest of a rule: what it would have done, as numbers and in a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from builders import START, make_frame
from hypothesis import given, settings
from hypothesis import strategies as st

from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.engine import Event, step
from core.alerts.evaluating import Evaluation
from core.alerts.expression import compile_rule
from core.alerts.history import RuleHistory, backtest
from core.alerts.kernels import UNKNOWN
from core.alerts.states import fresh, to_moment
from core.bench import made_market
from core.errors import Cancelled, RuleError

HOUR = pd.Timedelta("1h")


def rule(**changes: Any) -> RuleDefinition:
    return parse_definition({"name": "Hot", "expression": "score > 60", **changes})


def scores(*rows: list[float], step: str = "1h") -> pd.DataFrame:
    """A frame with a score per symbol (rows) and bar."""
    times = pd.date_range(START, periods=len(rows[0]), freq=step)
    names = [f"S{number}USDT" for number in range(len(rows))]
    index = pd.MultiIndex.from_product([names, times], names=["symbol", "time"])
    return pd.DataFrame({"score": np.array(rows, dtype=np.float64).reshape(-1)}, index=index)


def judged(frame: pd.DataFrame, **changes: Any) -> RuleHistory:
    times = frame.index.get_level_values("time")
    return backtest(rule(**changes), frame, times.min(), times.max())


def test_every_firing_is_listed_with_its_times() -> None:
    found = judged(scores([50, 70, 70, 70, 50, 70], [50, 50, 70, 50, 50, 50]), **{"for": "1h"})
    assert found.firings.to_dict("records") == [
        {
            "symbol": "S0USDT",
            "began_at": START + HOUR,
            "fired_at": START + 2 * HOUR,
            "ended_at": START + 4 * HOUR,
            "minutes": 120.0,
            "reason": "resolved",
        }
    ]
    assert found.median_minutes == 120
    assert found.by_symbol.to_dict() == {"S0USDT": 1}


def test_what_still_fires_at_the_end_has_no_end() -> None:
    found = judged(scores([50, 70, 70], [70, 50, 70]))
    assert found.firing_at_end == ("S0USDT", "S1USDT")
    assert found.firings["minutes"].tolist()[0] == 60
    assert found.firings["minutes"].isna().tolist() == [False, True, True]
    assert found.firings["ended_at"].isna().tolist() == [False, True, True]


def test_how_often_is_told_of_the_time_that_could_be_judged() -> None:
    known = [50.0, 70.0] * 24 * 14
    unknown = [float("nan")] * len(known) * 3
    whole, quarter = judged(scores(known)), judged(scores(unknown + known))
    assert quarter.per_week == pytest.approx(whole.per_week)
    assert quarter.unknown_share == 0.75
    assert quarter.summary.startswith(whole.summary.split(";")[0])


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([None, "2h", "5h"]), st.booleans())
def test_it_is_bit_equal_to_stepping_the_live_machine_with_what_was_known(
    seed: int, wait: str | None, gap: bool
) -> None:
    frame = make_frame(3, hours=24 * 4, seed=seed)
    if gap:
        frame = frame.drop(frame.index[40:47])
        frame.loc[frame.index[100:110], "close"] = np.nan
    text = (
        'change_percent(close, "3h") > 0.5 or rank(volume_usd) == 1 and long_account_share > 0.55'
    )
    definition = rule(expression=text, **{"for": wait, "cooldown": "3h", "repeat": "4h"})
    times = pd.DatetimeIndex(frame.index.get_level_values("time").unique()).sort_values()
    start = times[20]
    found = backtest(definition, frame, start, times[-1])

    states, events = fresh(found.symbols), list[Event]()
    compiled = compile_rule(text)
    for at in times[times >= start]:
        # Live: the frame ends at this bar, and only the newest rows are judged.
        known = frame[frame.index.get_level_values("time") <= at]
        evaluation = Evaluation(known, since=at)
        truth = dict(
            zip(
                evaluation.index.get_level_values("symbol"),
                compiled.truth_in(evaluation),
                strict=True,
            )
        )
        row = np.array([truth.get(name, UNKNOWN) for name in found.symbols], dtype=np.int8)
        states, new = step(definition, states, at.to_pydatetime(), row)
        events += new
    assert list(found.events.named(found.symbols)) == events


@pytest.mark.long
def test_a_year_of_a_hundred_symbols_is_bit_equal_to_stepping_it() -> None:
    frame = made_market(100, 8760)
    times = frame.index.get_level_values("time")
    definition = rule(
        expression='zscore(volume_usd, "30d") > 1 and change_percent(close, "4h") > 0.5',
        **{"for": "1h", "keep_firing": "1h", "cooldown": "4h", "rearm": "2h", "repeat": "6h"},
        active_hours={"weekdays": ["mon", "tue", "sat"], "start": "20:00", "end": "09:00"},
    )
    found = backtest(definition, frame, times[0], times[-1])
    states, events = fresh(found.symbols), list[Event]()
    for bar, us in enumerate(found.times.tolist()):
        at = to_moment(us)
        assert at is not None
        states, new = step(definition, states, at, found.truth[:, bar])
        events += new
    assert len(events) > 1000
    assert list(found.events.named(found.symbols)) == events


def test_rows_before_the_period_are_the_past_and_fire_nothing() -> None:
    frame = scores([70, 70, 50, 70, 70, 50, 70])
    found = backtest(rule(), frame, START + 3 * HOUR, START + 5 * HOUR)
    assert found.firings["fired_at"].tolist() == [START + 3 * HOUR]
    assert (found.start, found.end, found.bars) == (START + 3 * HOUR, START + 5 * HOUR, 3)
    changed = rule(expression='change(score, "2h") > 0')
    found = backtest(changed, frame, START + 2 * HOUR, START + 4 * HOUR)
    assert found.unknown_share == 0


def test_bars_that_are_missing_for_all_are_unknown_bars() -> None:
    whole = scores([50, 70, 70, 70, 70, 50])
    holed = whole.drop(whole.index[[2, 3]])
    found = judged(holed, **{"for": "2h"})
    assert found.bars == 6
    assert found.unknown_share == pytest.approx(2 / 6)
    assert not len(found)
    assert judged(whole, **{"for": "2h"}).firings["fired_at"].tolist() == [START + 3 * HOUR]


def test_only_the_symbols_of_the_rule_are_judged() -> None:
    found = judged(scores([70, 70], [70, 70]), symbols=["S1USDT", "NOTUSDT"])
    assert found.symbols == ("S1USDT",)
    assert found.firings["symbol"].tolist() == ["S1USDT"]


def test_times_say_which_moment_they_are() -> None:
    found = judged(scores([50, 70]))
    assert [to_moment(int(us)) for us in found.times] == [START, START + HOUR]
    assert str(found.firings["fired_at"].dt.tz) == "UTC"


def daily(days: int, hours: list[int], symbols: int = 1) -> pd.DataFrame:
    """Every day at these UTC hours the score is high; START is at 01:00."""
    clock = (np.arange(24 * days) + START.hour) % 24
    row = np.where(np.isin(clock, hours), 70.0, 50.0)
    return scores(*([row.tolist()] * symbols))


def test_the_summary_says_how_often_how_long_and_when() -> None:
    assert judged(daily(28, [13, 14])).summary == (
        "about 7.0 times a week; median 2.0 h; 100 % between 13 and 16 UTC"
    )


def test_a_span_is_named_by_where_most_lie_and_only_if_that_is_no_chance() -> None:
    night = judged(daily(28, [23]))
    assert night.best_hours is not None
    assert night.best_hours.stands_out
    assert night.best_hours.words == "100 % between 23 and 2 UTC"
    spread = judged(daily(28, list(range(0, 24, 2))))
    assert "between" not in spread.summary
    assert spread.by_hour.sum() == pytest.approx(1)
    assert spread.by_hour.iloc[::2].tolist() == pytest.approx([1 / 12] * 12, abs=0.01)


def test_symbols_that_fire_together_are_one_moment_and_one_message() -> None:
    crowd = judged(daily(5, [3], symbols=40))
    assert len(crowd) == 200
    assert crowd.messages == 5
    assert crowd.best_hours is not None
    assert not crowd.best_hours.stands_out, "five moments are too few, however many symbols"
    assert judged(daily(28, [3], symbols=2)).summary.startswith(
        "about 14.0 times a week in 7.0 messages"
    )
    assert "messages" not in judged(daily(28, [3], symbols=2), group="symbol").summary


@pytest.mark.parametrize(
    ("frame", "changes", "says"),
    [
        (daily(30, []), {}, "would not have fired in 30 days"),
        (
            scores([50.0] * 700 + [70] + [50.0] * 19),
            {},
            "once in 30 days, too few to say how often; median 60 min",
        ),
        (
            scores([50.0] * 719 + [70]),
            {},
            "once in 30 days, too few to say how often; 1 still firing at the end",
        ),
        (
            scores([np.nan] * 360 + [50.0] * 360),
            {},
            "would not have fired in 30 days; 50 % of the bars could not be judged",
        ),
        (scores([np.nan] * 720), {}, "could not be judged at any bar of 30 days"),
        (
            daily(30, [5]),
            {"expression": "fear_greed < 20"},
            "could not be judged at any bar of 30 days (no fear_greed)",
        ),
        (
            daily(30, [5]),
            {"cooldown": "365d"},
            "once in 30 days, too few to say how often; median 60 min; 29 held back by the cooldown",
        ),
        (daily(3, [5, 9, 13]), {}, "9 times in 3 days; median 60 min"),
    ],
)
def test_the_summary_is_honest_about_little(
    frame: pd.DataFrame, changes: dict[str, Any], says: str
) -> None:
    assert judged(frame, **changes).summary == says


def test_an_empty_history_says_so() -> None:
    found = backtest(rule(), scores([50, 70]), START + 5 * HOUR, START + 6 * HOUR)
    assert found.summary == "There is no history to judge."
    assert len(found) == 0
    assert found.best_hours is None
    assert found.firing_at_end == ()


@pytest.mark.parametrize("end", [START, START + pd.Timedelta("400D")])
def test_a_period_must_be_one(end: pd.Timestamp) -> None:
    with pytest.raises(RuleError, match="Choose"):
        backtest(rule(), scores([50, 70]), START, end)


def test_it_says_how_far_it_is_and_can_be_stopped() -> None:
    shares: list[float] = []
    frame = daily(30, [3, 5])
    last = frame.index.get_level_values("time").max()
    backtest(rule(), frame, START, last, progress=shares.append)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    with pytest.raises(Cancelled, match="was stopped"):
        backtest(rule(), frame, START, last, cancelled=lambda: True)
