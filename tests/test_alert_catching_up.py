"""What is told late, what is old, and what came late: rules over markets whose closes are written as in
`test_alert_engine`. T is a close above 1.5, F one below; t and f are bars that come late or never."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, select, update

from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.history import backtest
from core.alerts.silences import parse_silence
from core.backtest import decide
from core.jobs.alerting import Alerting
from core.market.frame import SOURCES
from core.signals import load_profile
from core.store.alerts.rules import StoredRule, change_rule, create_rule
from core.store.alerts.silences import end_silence, list_silences, make_silence
from core.store.signals import save_bars, save_profile, save_signals
from core.store.tables import alert_states, audit_log, deliveries
from core.ui.alerts.history import _told_of
from tests.builders import START, make_frame
from tests.channelled import add_channel
from tests.stored import list_events

HOUR = timedelta(hours=1)
PAST = 60
FIRST = START.to_pydatetime() + PAST * HOUR
PROFILE = load_profile("balanced")


def bar(number: int) -> datetime:
    return FIRST + number * HOUR


@cache
def planned(*rows: str) -> pd.DataFrame:
    frame = make_frame(len(rows), hours=PAST + len(rows[0]))
    frame.loc[:, ["open", "high", "low", "close"]] = 1.0
    for place, row in enumerate(rows):
        for number, letter in enumerate(row):
            frame.loc[(f"S{place}USDT", pd.Timestamp(bar(number))), "close"] = 1 + (letter in "Tt")
    return decide(frame, PROFILE)


class Desk:
    """Markets in a database, a rule with a channel, and one who judges at whatever time it is."""

    def __init__(self, engine: Engine, *rows: str, **changes: Any) -> None:
        self.engine, self.rows = engine, rows
        self.now = FIRST - HOUR
        self.channel = add_channel(engine)
        self.alerting = Alerting(engine, lambda: self.now)
        frame = planned(*rows)
        times = frame.index.get_level_values("time")
        missing = [(s, t) for s, t in frame.index if self._letter(s, t) in "tf"]
        with engine.begin() as conn:
            save_profile(conn, PROFILE, self.now)
        self.store(frame[(times < pd.Timestamp(FIRST)) | ~frame.index.isin(missing)])
        self.rule = self.save(self.definition(**changes))

    def _letter(self, symbol: str, time: pd.Timestamp) -> str:
        number = (time - pd.Timestamp(FIRST)) // HOUR
        return self.rows[int(symbol[1])][number] if number >= 0 else "F"

    def definition(self, **changes: Any) -> RuleDefinition:
        body = {"name": "High", "expression": "close > 1.5", "channels": [self.channel]}
        return parse_definition(body | changes)

    def save(self, definition: RuleDefinition) -> StoredRule:
        with self.engine.begin() as conn:
            return create_rule(conn, definition, by="ada", now=self.now)

    def change(self, **changes: Any) -> None:
        with self.engine.begin() as conn:
            self.rule = change_rule(
                conn, self.rule.id, self.definition(**changes), based_on=self.rule.version,
                by="ada", now=self.now,
            )  # fmt: skip

    def store(self, frame: pd.DataFrame) -> None:
        ages = pd.DataFrame(0.5, index=frame.index, columns=list(SOURCES))
        with self.engine.begin() as conn:
            save_bars(conn, frame)
            save_signals(conn, frame, ages, PROFILE, self.now)

    def arrives(self, symbol: str, *numbers: int) -> None:
        """Bars of a market are stored some minutes after the others were judged."""
        self.now += timedelta(minutes=9)
        times = [(symbol, pd.Timestamp(bar(number))) for number in numbers]
        self.store(planned(*self.rows).loc[times])

    def judge(self, *numbers: int, after: timedelta = timedelta(seconds=5)) -> Desk:
        for number in numbers:
            self.now = bar(number) + after
            self.alerting.judge(bar(number))
        return self

    def silence(self, *matchers: str, hours: float) -> int:
        body = {
            "matchers": list(matchers), "reason": "listing", "author": "ada",
            "starts_at": self.now.isoformat(),
            "ends_at": (self.now + hours * HOUR).isoformat(),
        }  # fmt: skip
        with self.engine.begin() as conn:
            return make_silence(conn, parse_silence(body), now=self.now)

    @property
    def happened(self) -> list[str]:
        """Everything that was written down: "2 S0USDT fired (silenced)"."""
        with self.engine.connect() as conn:
            found = list_events(conn)
        said = sorted((one.at, one.symbol, one.kind, one.told) for one in found)
        return [f"{(at - FIRST) // HOUR} {name} {kind} ({told})" for at, name, kind, told in said]

    @property
    def messages(self) -> list[Any]:
        with self.engine.connect() as conn:
            return list(conn.execute(select(deliveries).order_by(deliveries.c.id)))

    @property
    def told(self) -> list[str]:
        """What messages say: the bar, and of each market whether it fires or has ended."""
        found = []
        for one in self.messages:
            said = one.body["content"]
            at = (pd.Timestamp(said["at"].replace(" UTC", "Z")) - pd.Timestamp(FIRST)) // HOUR
            fires = [f"{each['symbol']} {each['note'] or 'fires'}" for each in said["fired"]]
            ended = [f"{each['symbol']} ended" for each in said["resolved"]]
            found.append(f"{at} {said['kind']}: {', '.join(fires + ended)}")
        return found


def test_what_outlasts_a_silence_is_told_once_when_that_ends(engine: Engine) -> None:
    desk = Desk(engine, "FTTTTTTF")
    desk.judge(0).silence("symbol = S0USDT", hours=3.5)
    desk.judge(*range(1, 8))
    assert desk.happened == [
        "1 S0USDT fired (silenced)", "4 S0USDT late (late)", "7 S0USDT ended (ended)"
    ]  # fmt: skip
    until = f"{bar(3) + HOUR / 2:%Y-%m-%d %H:%M} UTC"
    assert desk.told == [
        f"4 late: S0USDT still firing, was silenced until {until}", "7 resolved: S0USDT ended"
    ]  # fmt: skip
    late = desk.messages[0].body
    assert late["title"] == "Still firing: WARNING: High: S0USDT"
    assert f"since {bar(1):%Y-%m-%d %H:%M} UTC (still firing, was silenced" in late["text"]


def test_an_end_outside_of_active_hours_is_told_where_its_firing_was(engine: Engine) -> None:
    hours = {"start": f"{bar(1):%H:%M}", "end": f"{bar(3):%H:%M}"}
    desk = Desk(engine, "FTTTF", "FTFFF", active_hours=hours)
    desk.judge(0).silence("symbol = S1USDT", hours=1.5)
    desk.judge(1, 2, 3, 4)
    assert desk.happened == [
        "1 S0USDT fired (fired)", "1 S1USDT fired (silenced)",
        "2 S1USDT ended (untold)", "4 S0USDT ended (ended)",
    ]  # fmt: skip
    assert desk.told == ["1 fired: S0USDT fires", "4 resolved: S0USDT ended"]


def test_a_message_of_an_end_says_of_which_market_and_why(engine: Engine) -> None:
    desk = Desk(engine, "FTTTT", "FTFFF").judge(0, 1, 2)
    desk.change(expression="close > 1.6")
    desk.judge(3)
    desk.change(expression="close > 1.6", expires_at=bar(4).isoformat())
    desk.judge(4)
    said = [(one.body["title"], one.body["content"]["resolved"]) for one in desk.messages]
    found = [
        (title, [(one["symbol"], one["reason"], one["note"]) for one in ended])
        for title, ended in said
    ]
    changed = "the rule's condition was changed"
    assert found == [
        ("WARNING: High: S0USDT, S1USDT", []),
        ("WARNING: High has ended for S1USDT", [("S1USDT", "resolved", "")]),
        ("WARNING: High has ended for S0USDT", [("S0USDT", "rule_changed", changed)]),
        ("WARNING: High: S0USDT", []),
        ("WARNING: High has ended for S0USDT", [("S0USDT", "expired", "the rule expired")]),
    ]
    assert f"UTC): {changed}\n" in desk.messages[2].body["text"]


def test_a_silence_that_is_ended_early_ends_what_it_kept_back(engine: Engine) -> None:
    desk = Desk(engine, "FTTTT")
    desk.judge(0)
    number = desk.silence("rule = High", hours=48)
    desk.judge(1, 2)
    with engine.begin() as conn:
        end_silence(conn, number, by="ada", now=desk.now)
    # Another worker, which knows only what is stored.
    desk.alerting = Alerting(engine, lambda: desk.now)
    assert [one.partition(":")[0] for one in desk.judge(3, 4).told] == ["3 late"]


def test_of_a_firing_that_nobody_was_told_of_the_end_is_not_told(engine: Engine) -> None:
    desk = Desk(engine, "FTTFTF")
    desk.judge(0).silence("symbol = S0USDT", hours=2.5)
    desk.judge(*range(1, 6))
    assert desk.happened == [
        "1 S0USDT fired (silenced)", "3 S0USDT ended (untold)",
        "4 S0USDT fired (fired)", "5 S0USDT ended (ended)",
    ]  # fmt: skip
    assert desk.told == ["4 fired: S0USDT fires", "5 resolved: S0USDT ended"]


def test_what_fires_when_a_rule_is_no_longer_muted_is_told_and_reminded_of(engine: Engine) -> None:
    desk = Desk(engine, "TTTTTT", muted=True, repeat="2h").judge(0, 1)
    desk.change(repeat="2h")
    desk.judge(2, 3, 4)
    assert desk.happened == [
        "0 S0USDT fired (muted)", "2 S0USDT late (late)", "4 S0USDT repeat (repeat)"
    ]  # fmt: skip
    assert desk.told == [
        "2 late: S0USDT still firing, not told before", "4 repeat: S0USDT still firing"
    ]  # fmt: skip


def test_a_firing_that_an_older_program_kept_is_not_told_anew(engine: Engine) -> None:
    desk = Desk(engine, "FTTTF").judge(0)
    desk.silence("symbol = S0USDT", hours=1.5)
    desk.judge(1)
    with engine.begin() as conn:
        assert conn.scalar(select(alert_states.c.told_at)) is None
        # It noted when something fired, whether that was told or not.
        conn.execute(update(alert_states).values(told_at=bar(1)))
    desk.alerting = Alerting(engine, lambda: desk.now)
    assert desk.judge(2, 3, 4).told == ["4 resolved: S0USDT ended"]


def test_after_an_outage_all_is_written_down_and_what_is_true_now_is_told(engine: Engine) -> None:
    rows = ("TTFTTFTTTTTT", "FTFTFTFTFFFF", "TTTFFFFFFFFF", "FTTTTTTTTFFF", "FFFFFFFFFFTT")
    straight = Desk(engine, *rows)
    straight.judge(0, 11)
    assert straight.happened == [
        "0 S0USDT fired (fired)", "0 S2USDT fired (fired)",
        "1 S1USDT fired (old)", "1 S3USDT fired (old)",
        "2 S0USDT ended (old)", "2 S1USDT ended (untold)",
        "3 S0USDT fired (old)", "3 S1USDT fired (old)", "3 S2USDT ended (ended)",
        "4 S1USDT ended (untold)",
        "5 S0USDT ended (untold)", "5 S1USDT fired (old)",
        "6 S0USDT fired (old)", "6 S1USDT ended (untold)",
        "7 S1USDT fired (old)", "8 S1USDT ended (untold)",
        "9 S3USDT ended (untold)",
        "10 S0USDT late (late)", "10 S4USDT fired (fired)",
    ]  # fmt: skip
    assert straight.told == [
        "0 fired: S0USDT fires, S2USDT fires",
        "11 resolved: S2USDT ended",
        "10 fired: S4USDT fires, S0USDT still firing, not told before",
    ]


def test_a_market_whose_bar_comes_late_is_judged_at_it_in_the_next_round(engine: Engine) -> None:
    desk = Desk(engine, "FTT", "FtT", "FfT", **{"for": "1h"}).judge(0, 1)
    desk.arrives("S1USDT", 1)
    desk.judge(2)
    # The time since the bar that came late counts.
    assert desk.happened == ["2 S0USDT fired (fired)", "2 S1USDT fired (fired)"]


def test_what_happened_at_a_late_bar_is_told_beside_the_message_of_that_bar(engine: Engine) -> None:
    desk = Desk(engine, "FTT", "FtT").judge(0, 1)
    desk.arrives("S1USDT", 1)
    desk.judge(2)
    assert desk.told == ["1 fired: S0USDT fires", "1 fired: S1USDT fires"]
    with engine.connect() as conn:
        events = {one.symbol: one for one in list_events(conn)}
    told: list[Any] = desk.messages
    of_event = {name: _told_of(one, told) for name, one in events.items()}
    assert of_event == {"S0USDT": told[:1], "S1USDT": told[1:]}


def test_of_bars_that_come_much_too_late_the_last_is_judged_too(engine: Engine) -> None:
    desk = Desk(engine, "FTTTT", "FtttT", "FtttF").judge(0, 1, 2, 3)
    for symbol in ("S1USDT", "S2USDT"):
        desk.arrives(symbol, 1, 2, 3)
    desk.judge(4)
    assert desk.happened == [
        "1 S0USDT fired (fired)", "1 S1USDT fired (old)", "1 S2USDT fired (old)",
        "3 S1USDT late (late)", "3 S2USDT late (late)", "4 S2USDT ended (ended)",
    ]  # fmt: skip
    assert len(desk.messages) == 3


@pytest.mark.parametrize("restarted", [False, True])
def test_a_market_that_comes_back_after_more_than_a_day_is_caught_up(
    engine: Engine, *, restarted: bool
) -> None:
    gap = 30
    desk = Desk(engine, "F" * (gap + 2), "F" + "tf" * (gap // 2) + "T").judge(0, 1, gap)
    desk.arrives("S1USDT", *range(1, gap + 1))
    if restarted:
        desk.alerting = Alerting(engine, lambda: desk.now)
    desk.judge(gap + 1)
    fired = [each for each in desk.happened if "fired" in each]
    assert fired[:2] == ["1 S1USDT fired (old)", "3 S1USDT fired (old)"]
    assert fired[-1] == f"{gap + 1} S1USDT fired (fired)"
    assert len(fired) == gap // 2 + 1
    assert desk.told == [f"{gap + 1} fired: S1USDT fires"]


def test_a_bar_that_came_before_what_was_judged_is_left(engine: Engine) -> None:
    desk = Desk(engine, "FFFF", "FtFF").judge(0, 1, 2)
    desk.arrives("S1USDT", 1)
    assert desk.judge(3).happened == []


def test_a_bar_that_never_comes_neither_fires_nor_ends_anything(engine: Engine) -> None:
    desk = Desk(engine, "FFFFFF", "TffttF", "Fttttt").judge(0, 1, 2, 3)
    # Of one the next bar comes late, of the other none.
    desk.arrives("S1USDT", 3)
    desk.judge(4, 5)
    assert desk.happened == ["0 S1USDT fired (fired)", "5 S1USDT ended (ended)"]


@pytest.mark.parametrize("name", ["Higher", "Higher, or so"])
def test_a_silence_holds_for_a_rule_that_is_renamed(engine: Engine, name: str) -> None:
    desk = Desk(engine, "FTT").judge(0)
    desk.silence("rule = high, Low", hours=9)
    desk.silence("symbol = S9USDT", hours=9)
    desk.change(name=name)
    assert desk.judge(1, 2).happened == ["1 S0USDT fired (silenced)"]
    with engine.connect() as conn:
        values = {one.silence.matchers[0].values for one in list_silences(conn, desk.now)}
        (noted,) = conn.execute(
            select(audit_log).where(
                audit_log.c.subject == "silence", audit_log.c.action == "change"
            )
        )
    assert values == {(name, "Low"), ("S9USDT",)}
    assert (noted.by, noted.before) == ("ada", {"matchers": ["rule = high, Low"]})


@pytest.mark.parametrize(
    "changes",
    [
        {"for": "3h"},
        {"keep_firing": "4h"},
        {"expires_at": f"{bar(3).isoformat()}"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_hours_of_which_no_bar_is_stored_are_judged_as_on_history(
    engine: Engine, changes: dict[str, str]
) -> None:
    row, seen = "FTtttTTTTFFtFFTT", (0, 1, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15)
    desk = Desk(engine, row, **changes).judge(*seen)
    frame = planned(row)
    kept = [
        time not in {bar(n) for n in (2, 3, 4, 11)} for time in frame.index.get_level_values("time")
    ]
    history = backtest(desk.rule.definition, frame[kept], bar(0), bar(len(row) - 1))
    expected = [(one.at, one.kind) for one in history.events.named(history.symbols)]
    with engine.connect() as conn:
        assert sorted((one.at, one.kind) for one in list_events(conn)) == sorted(expected)
    assert expected
