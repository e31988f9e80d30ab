from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.alerts.definition import (
    RuleDefinition,
    definition_faults,
    fields_changed,
    new_definition,
    parse_definition,
    to_body,
)
from core.alerts.durations import format_duration, parse_duration
from core.alerts.hours import Window
from core.alerts.silences import parse_silence
from core.alerts.states import to_us
from core.errors import RuleError

WHOLE: dict[str, Any] = {
    "name": "Crowded longs",
    "expression": "funding_rate_8h > 0.0005",
    "severity": "critical",
    "description": "why",
    "for": "90m",
    "keep_firing": "1h",
    "cooldown": "4h",
    "rearm": "2h",
    "repeat": "1d",
    "expires_at": "2026-01-01T00:00+01:00",
    "active_hours": {"weekdays": ["fri", "mon"], "start": "22:00", "end": "06:00"},
    "group": "symbol",
    "symbols": ["ethusdt", "BTCUSDT", "BTCUSDT"],
    "profile_name": "aggressive",
    "channels": [3, 1],
    "title": "{{ name }}",
    "body": "{{ symbols }}",
    "muted": True,
    "enabled": False,
}


def test_a_definition_has_one_way_to_be_written() -> None:
    body = to_body(parse_definition(WHOLE))
    assert body["for"] == "1h30m"
    assert body["expires_at"] == "2025-12-31T23:00:00Z"
    assert body["active_hours"] == {"weekdays": ["mon", "fri"], "start": "22:00", "end": "06:00"}
    assert body["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert body["channels"] == [1, 3]
    assert parse_definition(body) == parse_definition(WHOLE)
    assert to_body(parse_definition(body)) == body
    assert set(body) == set(WHOLE)


def test_what_differs_is_named() -> None:
    one = parse_definition(WHOLE)
    assert fields_changed(one, parse_definition({**WHOLE, "for": "1h30m"})) == ()
    for field, value in {"for": "2h", "muted": False, "title": None, "symbols": []}.items():
        assert fields_changed(one, parse_definition({**WHOLE, field: value})) == (field,)


def test_a_definition_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        parse_definition(WHOLE).name = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", " ", "must not be empty"),
        ("name", "two\nlines", "must be one line"),
        ("name", "x" * 101, "must have 100 characters at most"),
        ("expression", "", "must not be empty"),
        ("expression", "scor > 60", "at character 1: "),
        ("expression", "score", "at character 1: "),
        ("severity", "high", "must be 'info', 'warning' or 'critical'"),
        ("for", "4 hours", "is no duration: write it as 30m, 4h, 2d or 1h30m"),
        ("for", 4, "has no unit"),
        ("for", True, "has no unit"),
        ("cooldown", "1h1h", "has a unit twice"),
        ("rearm", "400d", "can be 365d at most"),
        ("repeat", "10s", "must be 1m or longer"),
        ("expires_at", "2025-10-01 12:00", "has no time zone"),
        ("expires_at", "soon", "is no moment: write it as"),
        ("expires_at", "9999-12-31T23:59:59-01:00", "outside of the years 1 to 9999"),
        ("expires_at", "0001-01-01T00:00:00+05:00", "outside of the years 1 to 9999"),
        ("active_hours", "nights", "must have the fields weekdays, start and end"),
        ("group", "all", "must be 'rule' or 'symbol'"),
        ("symbols", "BTCUSDT", "must be a list of symbols"),
        ("symbols", ["BTC/USDT"], "is no symbol: write it as BTCUSDT"),
        ("symbols", ["BTCUSDT", None], "None is no symbol but a value"),
        ("symbols", [5], "write a symbol as"),
        ("channels", ["mail"], "must be a whole number"),
        ("muted", "perhaps", "must be true or false"),
        ("severty", "info", "did you mean severity?"),
    ],
)
def test_every_fault_says_what_to_do(field: str, value: object, says: str) -> None:
    faults = definition_faults({**WHOLE, field: value})
    assert [says in said for said in faults.values()] == [True], faults
    assert next(iter(faults)).split(".")[0] == field
    with pytest.raises(RuleError, match=field):
        new_definition({**WHOLE, field: value})


@pytest.mark.parametrize(
    ("hours", "field", "says"),
    [
        ({"start": "8", "end": "9:00"}, "active_hours.start", "write it as 08:30"),
        ({"start": "08:00", "end": "24:30"}, "active_hours.end", "write it as 08:30"),
        ({"start": "08:00"}, "active_hours.end", "must be given"),
        ({"start": "08:00", "end": "08:00"}, "active_hours", "leave the hours out"),
        ({"start": "24:00", "end": "08:00"}, "active_hours", "write 00:00"),
        (
            {"weekdays": ["monday"], "start": "08:00", "end": "09:00"},
            "active_hours.weekdays",
            "'monday' is no weekday",
        ),
    ],
)
def test_hours_that_make_no_sense_are_refused(hours: Any, field: str, says: str) -> None:
    faults = definition_faults({**WHOLE, "active_hours": hours})
    assert says in faults[field]


def test_a_stored_rule_whose_words_are_gone_can_still_be_read() -> None:
    body = {"name": "Old", "expression": "no_longer_there > 1"}
    assert parse_definition(body).expression == "no_longer_there > 1"
    assert "expression" in definition_faults(body)


@given(st.integers(1, 365 * 86_400))
def test_a_duration_is_read_as_it_is_written(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@given(
    st.sets(st.sampled_from(["mon", "wed", "sat", "sun"])),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.integers(0, 2 * 10_080),
)
def test_a_window_holds_what_a_calendar_says(
    days: set[str], start: int, end: int, minute: int
) -> None:
    if start % 1440 == end % 1440:
        return
    window = Window(weekdays=tuple(days), start=start, end=end)
    at = datetime.fromtimestamp(1_756_684_800 + 60 * minute, UTC)
    clock, names = at.hour * 60 + at.minute, ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    today, yesterday = names[at.weekday()], names[at.weekday() - 1]
    chosen = days or set(names)
    if start < end:
        inside = today in chosen and start <= clock < end
    else:
        inside = (today in chosen and clock >= start) or (yesterday in chosen and clock < end)
    us = np.array([to_us(at)])
    assert window.contains(us)[0] == inside
    change = window.next_change(us)
    assert window.contains(change)[0] != inside
    steps = np.arange(us[0], change[0], 60_000_000)
    assert (window.contains(steps) == inside).all()


def test_the_defaults_are_the_simplest_rule() -> None:
    plain = RuleDefinition(name="Hot", expression="score > 60")
    assert to_body(plain) == to_body(parse_definition({"name": "Hot", "expression": "score > 60"}))
    assert plain.for_ is plain.cooldown is plain.active_hours is None


def test_what_no_database_takes_is_left_out_of_what_people_write() -> None:
    odd = "crowded\x00 longs\ud800"
    made = parse_definition(
        {"name": "Hot", "expression": "score > 60", "description": odd, "title": odd, "body": odd}
    )
    assert {made.description, made.title, made.body} == {"crowded longs"}
    silence = parse_silence(
        {
            "matchers": ["rule = Hot"],
            "reason": odd,
            "author": "ada",
            "starts_at": "2025-11-01T12:00:00Z",
            "ends_at": "2025-11-01T13:00:00Z",
        }
    )
    assert silence.reason == "crowded longs"


@pytest.mark.parametrize("name", ["Hot\x00", "Hot\ud800"])
def test_a_name_of_what_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(RuleError):
        parse_definition({"name": name, "expression": "score > 60"})
