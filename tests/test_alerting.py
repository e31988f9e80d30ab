"""Alert rules judged at every bar of a stored market: what the database holds afterwards."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, event, select, update

from core.alerts import compile_rule
from core.alerts.definition import RuleDefinition, parse_definition, to_body
from core.alerts.delivery.messages import moment
from core.alerts.engine import step
from core.alerts.notices import SENT
from core.alerts.silences import parse_silence
from core.alerts.states import fresh
from core.backtest import decide
from core.jobs import alerting
from core.jobs.alerting import MISSED, Alerting
from core.market.frame import SOURCES
from core.signals import load_profile
from core.store.alerts.overview import count_firing_by_rule
from core.store.alerts.rules import StoredRule, change_rule, create_rule, delete_rule, list_rules
from core.store.alerts.silences import make_silence
from core.store.alerts.states import (
    Acknowledgement,
    StoredEvent,
    acknowledge,
    load_progress,
    load_states,
)
from core.store.database import open_database
from core.store.signals import save_bars, save_profile, save_signals
from core.store.tables import (
    alert_rule_versions,
    alert_rules,
    alert_states,
    audit_log,
    deliveries,
    subscriptions,
)
from tests.builders import make_frame
from tests.channelled import add_channel
from tests.stored import list_events

HOUR = timedelta(hours=1)
DAYS, LIVE = 12, 40
PROFILE = load_profile("balanced")


@cache
def market() -> pd.DataFrame:
    """Twelve days of three markets; one has gaps, and a value that is not known for a while."""
    frame = make_frame(3, hours=24 * DAYS, seed=5)
    frame.loc[("S1USDT", slice(None)), "funding_rate_8h"] = np.nan
    times = frame.index.get_level_values("time")
    gone = (frame.index.get_level_values("symbol") == "S2USDT") & (times.hour % 7 == 3)
    return frame[~gone]


@cache
def judged() -> pd.DataFrame:
    return decide(market(), PROFILE)


def bars() -> list[datetime]:
    """The bars that are judged, in order; those before are the past."""
    times = market().index.get_level_values("time").unique().sort_values()
    return [time.to_pydatetime() for time in times[-LIVE:]]


def store_market(engine: Engine) -> None:
    frame, planned = market(), judged()
    ages = pd.DataFrame(0.5, index=planned.index, columns=list(SOURCES))
    with engine.begin() as conn:
        save_bars(conn, frame)
        save_profile(conn, PROFILE, bars()[0])
        save_signals(conn, planned, ages, PROFILE, bars()[0])


@pytest.fixture
def stored(new_url: Callable[..., str]) -> Iterator[Engine]:
    engine = open_database(new_url(store_market))
    yield engine
    engine.dispose()


def rule(expression: str, **changes: Any) -> RuleDefinition:
    return parse_definition({"name": "Test", "expression": expression} | changes)


def save(engine: Engine, definition: RuleDefinition) -> StoredRule:
    """A rule that was made just before the first bar that is judged."""
    with engine.begin() as conn:
        return create_rule(conn, definition, by="ada", now=bars()[0] - timedelta(minutes=1))


def judge(engine: Engine, at: list[datetime], alerting: Alerting | None = None) -> Alerting:
    now = {"time": at[0]}
    alerting = alerting or Alerting(engine, lambda: now["time"])
    for bar in at:
        now["time"] = bar + timedelta(seconds=5)
        alerting.judge(bar)
    return alerting


def happened(engine: Engine) -> list[tuple[str, str, datetime, str]]:
    with engine.connect() as conn:
        found = list_events(conn)
    return sorted((one.symbol, one.kind, one.at, one.reason) for one in found)


def expected(definition: RuleDefinition) -> list[tuple[str, str, datetime, str]]:
    """By stepping over plain evaluations of the whole frame."""
    truth = compile_rule(definition.expression).evaluate(judged())
    symbols = tuple(name for name in ("S0USDT", "S1USDT", "S2USDT") if definition.covers(name))
    states, found = fresh(symbols), []
    for bar in bars():
        values = [truth.get((symbol, pd.Timestamp(bar)), pd.NA) for symbol in symbols]
        coded = np.array([1 if value is pd.NA else 2 * int(value) for value in values], np.int8)
        states, events = step(definition, states, bar, coded)
        found += [(one.symbol, one.kind, one.at, one.reason) for one in events]
    return sorted(found)


RULES = [
    rule("score >= 52"),
    rule('change_percent(close, "6h") > 0.5', **{"for": "2h"}),
    rule('funding_rate_8h > avg(funding_rate_8h, "24h")', keep_firing="2h", repeat="3h"),
    rule("rank(volume_usd) == 1", cooldown="5h", symbols=["S0USDT", "S2USDT"]),
    rule('close > highest(close, "12h") * 0.999', rearm="3h"),
]


@pytest.mark.parametrize("definition", RULES, ids=lambda one: str(one.expression))
def test_what_the_job_stores_is_what_stepping_over_the_whole_history_gives(
    stored: Engine, definition: RuleDefinition
) -> None:
    save(stored, definition)
    judge(stored, bars())
    assert happened(stored) == expected(definition)
    assert len(expected(definition)) > 3


def test_neither_a_second_worker_nor_a_restart_nor_missed_bars_change_what_happens(
    stored: Engine,
) -> None:
    definitions = [one.model_copy(update={"name": f"Rule {n}"}) for n, one in enumerate(RULES)]
    for definition in definitions:
        save(stored, definition)
    first = judge(stored, bars()[:10])
    judge(stored, bars()[5:15])
    judge(stored, bars()[14:20], first)
    judge(stored, [bars()[29]])
    judge(stored, bars()[25:], first)
    # What fired while nobody judged, and still fires, is told late; stepping knows nothing of that.
    said = [one for one in happened(stored) if one[1] != "late"]
    assert said == sorted(each for one in definitions for each in expected(one))
    before = happened(stored)
    assert judge(stored, bars()).judge(bars()[-1]) == 0
    assert happened(stored) == before


def test_a_stored_rule_that_cannot_be_read_any_more_keeps_no_other_from_being_judged(
    stored: Engine,
) -> None:
    broken, sound = save(stored, rule("score > 0", name="Broken")), save(stored, RULES[0])
    with stored.begin() as conn:
        # As if this version knew no such field any more.
        body = to_body(broken.definition) | {"severity": "dreadful", "loudness": 11}
        one = {
            "rule_id": broken.id,
            "version": 2,
            "author": "ada",
            "note": "",
            "made_at": bars()[0],
        }
        conn.execute(alert_rule_versions.insert().values(body=body, **one))
        conn.execute(update(alert_rules).where(alert_rules.c.id == broken.id).values(version=2))
    judge(stored, bars())
    assert happened(stored) == expected(RULES[0])
    with stored.connect() as conn:
        progress = load_progress(conn)
        seen = {one.id: one for one in list_rules(conn)}
    assert progress[sound.id].health == "ok"
    assert progress[broken.id].health == "error"
    assert "severity" in progress[broken.id].message
    assert "loudness" in seen[broken.id].unusable
    assert seen[broken.id].definition.expression == "score > 0"
    with stored.begin() as conn:
        # What is left of it is right, and is saved as it is.
        left = seen[broken.id].definition
        change_rule(conn, broken.id, left, based_on=2, by="ada", now=bars()[-1])
        assert {one.unusable for one in list_rules(conn)} == {""}


@dataclass
class Fate:
    """Kills after so many statements and commits."""

    left: int = 0

    def step(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class Killed(BaseException):
    """The process is gone: what it had not committed is undone."""


def live_and_die(engine: Engine, kills: int, chance: random.Random, longest_life: int = 20) -> int:
    """Workers that judge bar after bar and are killed at any step; how many died."""
    fate, died = Fate(), 0
    event.listen(engine, "before_cursor_execute", fate.step)
    event.listen(engine, "commit", fate.step)
    try:
        for number, bar in enumerate(bars()):
            while died < kills * (number + 1) / len(bars()):
                fate.left = chance.randrange(1, longest_life)
                try:
                    # What is judged already is over after a few steps.
                    while True:
                        judge(engine, [bar])
                except Killed:
                    died += 1
    finally:
        fate.left = 0
        event.remove(engine, "before_cursor_execute", fate.step)
        event.remove(engine, "commit", fate.step)
    judge(engine, [bars()[-1]])
    return died


def assert_all_is_told_once(stored: Engine, kills: int, seed: int, longest_life: int = 20) -> None:
    channel = add_channel(stored)
    made = [
        save(stored, one.model_copy(update={"name": f"Rule {n}", "channels": (channel,)}))
        for n, one in enumerate(RULES)
    ]
    assert live_and_die(stored, kills, random.Random(seed), longest_life) >= kills
    # Where nobody got to judge for hours what still fires is told late, and reminders count from that.
    wanted = sorted(each for one in RULES for each in expected(one))
    assert without_reminders(happened(stored)) == without_reminders(wanted)
    told = messages(stored)
    assert len({one.key for one in told}) == len(told)
    for rule in made:
        said = [one.body["content"] for one in told if one.rule_id == rule.id]
        with stored.connect() as conn:
            events = [one for one in list_events(conn) if one.rule_id == rule.id]
            (states,) = load_states(conn, [rule.id]).values()
        sent = [one for one in events if one.told in SENT]
        for name, fires in (("fired", True), ("resolved", False)):
            about = [(each["symbol"], each["at"]) for one in said for each in one[name]]
            ought = [(one.symbol, moment(one.at)) for one in sent if (one.kind != "ended") == fires]
            assert sorted(about) == sorted(ought)
        assert_each_firing_is_told_of([one for one in events if one.kind != "held"])
        assert all(row["told_at"] for row in states if row["phase"] == "firing")


def without_reminders(
    found: list[tuple[str, str, datetime, str]],
) -> list[tuple[str, str, datetime, str]]:
    return [one for one in found if one[1] not in ("late", "repeat")]


def assert_each_firing_is_told_of(events: list[StoredEvent]) -> None:
    """Once, when it fired or late; and its end if that was."""
    told: dict[str, int] = {}
    for one in sorted(events, key=lambda each: (each.symbol, each.at)):
        if one.kind == "fired":
            told[one.symbol] = 0
        if one.kind in ("fired", "late"):
            told[one.symbol] += one.told in SENT
            assert told[one.symbol] <= 1
        elif one.kind == "ended":
            assert (one.told == "untold") == (told[one.symbol] == 0)


def test_a_worker_that_is_killed_at_any_step_tells_everything_once(stored: Engine) -> None:
    assert_all_is_told_once(stored, kills=80, seed=1)


def test_rules_that_are_written_one_by_one_are_told_once_as_well(
    stored: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "_RULES", 1)
    assert_all_is_told_once(stored, kills=60, seed=3, longest_life=60)


def test_rules_with_something_to_send_are_written_first_and_the_others_when_that_was_sent(
    stored: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "_RULES", 1)
    channel = add_channel(stored)
    muted = rule("close > 0", channels=[channel]).model_copy(update={"muted": True})
    quiet = [save(stored, muted.model_copy(update={"name": f"A{n}"})) for n in range(2)]
    telling = rule("close > 0", channels=[channel])
    told = [save(stored, telling.model_copy(update={"name": f"Z{n}"})).id for n in range(2)]
    seen: list[tuple[int, set[int]]] = []

    def look() -> None:
        with stored.connect() as conn:
            seen.append((len(messages(stored)), set(load_progress(conn))))

    judge(stored, bars()[:1], Alerting(stored, lambda: bars()[0], look, stand_back=look))
    assert seen == [(1, {told[0]}), (2, set(told)), (2, set(told))]
    with stored.connect() as conn:
        assert set(load_progress(conn)) == {*told, *(one.id for one in quiet)}


@pytest.mark.long
def test_ten_thousand_kills_of_who_judges_lose_and_repeat_nothing(stored: Engine) -> None:
    assert_all_is_told_once(stored, kills=int(os.environ.get("ALERT_RESTARTS", "10000")), seed=2)


def test_what_is_not_known_neither_fires_nor_resolves_and_is_said(stored: Engine) -> None:
    save(stored, rule("funding_rate_8h > -1"))
    judge(stored, bars())
    found = happened(stored)
    assert {symbol for symbol, *_ in found} == {"S0USDT", "S2USDT"}
    assert [kind for symbol, kind, *_ in found if symbol == "S2USDT"] == ["fired"]
    with stored.connect() as conn:
        (states,) = load_states(conn).values()
        (progress,) = load_progress(conn).values()
    health = {row["symbol"]: row["health"] for row in states}
    assert health["S1USDT"] == "no_data"
    assert (progress.health, progress.symbols) == ("ok", 3)


def test_a_rule_that_knows_nothing_at_all_says_so(stored: Engine) -> None:
    save(stored, rule('model_verdict == "CONFIRM"'))
    judge(stored, bars()[:2])
    with stored.connect() as conn:
        (progress,) = load_progress(conn).values()
    assert (progress.health, progress.unknown) == ("no_data", 3)
    assert happened(stored) == []


def messages(engine: Engine) -> list[Any]:
    with engine.connect() as conn:
        return list(conn.execute(select(deliveries).order_by(deliveries.c.id)))


def test_a_message_says_who_fires_and_with_which_values(stored: Engine) -> None:
    channel = add_channel(stored)
    save(stored, rule("score >= 52", channels=[channel]))
    judge(stored, bars())
    told = messages(stored)
    fired = [one for one in expected(rule("score >= 52")) if one[1] == "fired"]
    named = [each["symbol"] for one in told for each in one.body["content"]["fired"]]
    assert sorted(named) == sorted(symbol for symbol, *_ in fired)
    first = next(one for one in told if one.body["content"]["fired"])
    values = first.body["content"]["fired"][0]["values"]
    at = pd.Timestamp(first.body["content"]["at"].replace(" UTC", "Z"))
    symbol = first.body["content"]["fired"][0]["symbol"]
    assert values["score"] == pytest.approx(judged().loc[(symbol, at), "score"])
    assert "Test" in first.body["title"]
    assert symbol in first.body["text"]
    assert len({one.key for one in told}) == len(told)


def test_a_silence_keeps_messages_back_and_events_say_so(stored: Engine) -> None:
    channel = add_channel(stored)
    save(stored, rule("close > 0", channels=[channel]))
    judge(stored, bars()[:2])
    assert len(messages(stored)) == 1
    body = {
        "matchers": ["symbol = S0USDT"],
        "reason": "maintenance",
        "author": "ada",
        "starts_at": bars()[0].isoformat(),
        "ends_at": bars()[-1].isoformat(),
    }
    with stored.begin() as conn:
        make_silence(conn, parse_silence(body), now=bars()[1])
        saved = list_rules(conn)[0]
        changed = rule("close > 0 and score > 0", channels=[channel])
        change_rule(conn, saved.id, changed, based_on=1, by="ada", now=bars()[1] + HOUR / 2)
    judge(stored, bars()[2:4])
    with stored.connect() as conn:
        found = {(one.symbol, one.told) for one in list_events(conn) if one.kind == "fired"}
    assert ("S0USDT", "silenced") in found
    late = [one for one in messages(stored)[1:] for _ in one.body["content"]["fired"]]
    assert "S0USDT" not in [each["symbol"] for one in late for each in one.body["content"]["fired"]]
    assert late


def test_an_acknowledged_firing_is_not_repeated(stored: Engine) -> None:
    channel = add_channel(stored)
    saved = save(stored, rule("close > 0", repeat="1h", symbols=["S0USDT"], channels=[channel]))
    first = judge(stored, bars()[:3])
    assert [one.body["content"]["kind"] for one in messages(stored)] == [
        "fired",
        "repeat",
        "repeat",
    ]
    titles = [one.body["title"] for one in messages(stored)]
    assert [title.startswith("Still firing: ") for title in titles] == [False, True, True]
    note = Acknowledgement(saved.id, "S0USDT", bars()[0], "bob", "seen", bars()[2])
    with stored.begin() as conn:
        acknowledge(conn, [note])
    judge(stored, bars()[3:6], first)
    judge(stored, bars()[6:8])
    assert len(messages(stored)) == 3
    with stored.connect() as conn:
        told = {one.told for one in list_events(conn, start=bars()[3])}
        assert count_firing_by_rule(conn) == {saved.id: 1}
    assert told == {"acknowledged"}


def test_another_condition_ends_what_fires_and_a_deleted_rule_too(stored: Engine) -> None:
    saved = save(stored, rule("close > 0"))
    alerting = judge(stored, bars()[:2])
    with stored.begin() as conn:
        changed = rule("close < 0")
        change_rule(conn, saved.id, changed, based_on=1, by="eve", now=bars()[1] + HOUR / 2)
    judge(stored, bars()[2:3], alerting)
    ends = [one for one in happened(stored) if one[1] == "ended"]
    assert {reason for *_, reason in ends} == {"rule_changed"}
    assert len(ends) == 3
    with stored.begin() as conn:
        change_rule(conn, saved.id, rule("close > 0"), based_on=2, by="eve", now=bars()[2])
    judge(stored, bars()[3:4], alerting)
    with stored.begin() as conn:
        delete_rule(conn, saved.id, by="eve", now=bars()[3])
    judge(stored, bars()[4:5], alerting)
    assert [one for one in happened(stored) if one[3] == "removed"]
    with stored.connect() as conn:
        assert not conn.execute(select(alert_states)).all()
        assert count_firing_by_rule(conn) == {}
        done = conn.execute(
            select(audit_log.c.action, audit_log.c.by).order_by(audit_log.c.id)
        ).all()
    assert [tuple(row) for row in done] == [
        ("create", "ada"), ("change", "eve"), ("change", "eve"), ("delete", "eve")
    ]  # fmt: skip


def test_bars_that_were_missed_for_days_are_no_news(stored: Engine) -> None:
    save(stored, rule("close > 0"))
    late = market().index.get_level_values("time").max().to_pydatetime() + MISSED
    judge(stored, [late])
    found = [at for _, _, at, _ in happened(stored)]
    assert found == []


def test_the_values_at_firing_stay_beside_those_of_now(stored: Engine) -> None:
    save(stored, rule("close > 0", symbols=["S0USDT"]))
    judge(stored, bars()[:5])
    with stored.connect() as conn:
        ((row,),) = load_states(conn).values()
        (progress,) = load_progress(conn, values=True).values()
    then, now = (
        {part["text"]: part["value"] for part in parts}
        for parts in (row["fired_parts"], progress.values["S0USDT"])
    )
    close = market().loc["S0USDT", "close"]
    assert then["close"] == close[pd.Timestamp(bars()[0])]
    assert now["close"] == close[pd.Timestamp(bars()[4])]


def test_people_who_may_no_longer_sign_in_are_told_nothing(stored: Engine) -> None:
    ids = [add_channel(stored, owner=name, name=name) for name in ("tom", "eve")]
    with stored.begin() as conn:
        for each in ids:
            row = {"channel_id": each, "body": {}, "updated_at": bars()[0]}
            conn.execute(subscriptions.insert().values(**row))
    save(stored, rule("close > 0"))
    alerting = Alerting(stored, lambda: bars()[0], people=lambda: {"eve"})
    alerting.judge(bars()[0])
    assert [one.channel_id for one in messages(stored)] == [ids[1]]


def test_who_subscribed_to_a_rule_hears_of_it_under_another_name_too(stored: Engine) -> None:
    channel = add_channel(stored, owner="tom")
    body = {"rules": ["Test"]}
    with stored.begin() as conn:
        row = {"channel_id": channel, "body": body, "updated_at": bars()[0]}
        conn.execute(subscriptions.insert().values(**row))
    saved = save(stored, rule("close > 0", repeat="1h"))
    judge(stored, bars()[:1])
    with stored.begin() as conn:
        renamed = rule("close > 0", repeat="1h", name="Another")
        change_rule(conn, saved.id, renamed, based_on=1, by="ada", now=bars()[0] + HOUR / 2)
    judge(stored, bars()[1:2])
    assert [one.body["content"]["rule"] for one in messages(stored)] == ["Test", "Another"]


def test_a_template_that_fails_keeps_no_rule_from_being_told(stored: Engine) -> None:
    channel = add_channel(stored)
    body = "{% if fired and fired[0].symbol == 'S0USDT' %}{{ 1e400 | int }}{% endif %}{{ rule }}"
    save(stored, rule("close > 0", body=body, channels=[channel]))
    save(stored, rule("close > 1", name="Other", channels=[channel]))
    half = {"title": r"{{ 'a\ud800' }}", "body": r"{{ '\udfff\0' }}"}
    save(stored, rule("close > 2", name="Unwritable", channels=[channel], **half))
    judge(stored, bars()[:1])
    other, failing, unwritable = messages(stored)
    assert unwritable.body["title"] == "a"
    assert "template_fault" in unwritable.body["content"]
    assert [len(one.body["content"]["fired"]) for one in (other, failing)] == [3, 3]
    assert "template_fault" in failing.body["content"]
    assert "template_fault" not in other.body["content"]
    assert "S0USDT" in failing.body["text"]


def test_what_happened_cannot_be_changed(stored: Engine) -> None:
    save(stored, rule("close > 0"))
    judge(stored, bars()[:1])
    with stored.connect() as conn:
        kept: list[StoredEvent] = list_events(conn)
    assert kept
    with pytest.raises(Exception, match="only ever added"), stored.begin() as conn:
        conn.exec_driver_sql("UPDATE alert_events SET told = 'sent'")
