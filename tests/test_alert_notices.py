"""What is sent and what is not, with the reason; silences; and who hears of it when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.engine import Event
from core.alerts.notices import Notice, decide, notices
from core.alerts.silences import (
    Silence,
    Subject,
    parse_matcher,
    parse_silence,
    silenced_by,
    would_suppress,
)
from core.alerts.subscriptions import Subscription, quiet_until, route
from core.errors import RuleError

AT = datetime(2025, 9, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rule(**changes: Any) -> RuleDefinition:
    return parse_definition({"name": "Hot", "expression": "score > 60", **changes})


def event(kind: str = "fired", symbol: str = "BTCUSDT", **changes: Any) -> Event:
    return Event(symbol, kind, AT, **changes)


def silence(*matchers: str, **changes: Any) -> Silence:
    body = {
        "matchers": list(matchers),
        "reason": "listing",
        "starts_at": AT - HOUR,
        "ends_at": AT + HOUR,
        "author": "ana",
    }
    return parse_silence({**body, **changes})


@pytest.mark.parametrize("kind", ["fired", "ended", "repeat"])
def test_what_happens_is_sent(kind: str) -> None:
    decision = decide(event(kind), rule())
    assert (decision.sent, decision.reason) == (True, kind)


@pytest.mark.parametrize(
    ("what", "definition", "reason"),
    [
        (event("held", reason="cooldown"), rule(), "held"),
        (event(), rule(muted=True), "muted"),
        (event("repeat", acknowledged=True), rule(), "acknowledged"),
        (event("ended", reason="disabled"), rule(), "disabled"),
        (
            event("ended"),
            rule(active_hours={"start": "00:00", "end": "12:00"}),
            "outside_active_hours",
        ),
    ],
)
def test_what_is_not_sent_has_its_reason(
    what: Event, definition: RuleDefinition, reason: str
) -> None:
    decision = decide(what, definition)
    assert (decision.sent, decision.reason) == (False, reason)
    assert decision.words.startswith("not sent: ")


def test_the_end_of_an_acknowledged_firing_is_sent() -> None:
    assert decide(event("ended", acknowledged=True), rule()).sent


def test_a_silence_holds_from_its_start_up_to_its_end() -> None:
    quiet = silence("symbol = BTCUSDT")
    decision = decide(event(), rule(), [quiet])
    assert (decision.sent, decision.reason, decision.silence) == (False, "silenced", quiet)
    assert decision.words == "not sent: silenced until 2025-09-01 13:00 UTC by ana: listing"
    assert decide(event(symbol="ETHUSDT"), rule(), [quiet]).sent
    about = Subject("Hot", "BTCUSDT", "warning")
    assert [quiet.holds(about, AT + n * HOUR) for n in (-2, -1, 0, 1)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("matcher", "matches"),
    [
        ("symbol=btcusdt", True),
        ("symbol = ETHUSDT, BTCUSDT", True),
        ("symbol != BTCUSDT", False),
        ("symbol =~ BTC*", True),
        ("symbol =~ ???", False),
        ("symbol !~ ETH*, SOL*", True),
        ("rule = hot", True),
        ("severity != critical", True),
        ("severity = critical", False),
    ],
)
def test_a_matcher_looks_at_rule_symbol_or_severity(matcher: str, matches: bool) -> None:
    parsed = parse_matcher(matcher)
    assert parsed.matches(Subject("Hot", "BTCUSDT", "warning")) == matches
    assert parse_matcher(str(parsed)) == parsed


def test_no_pattern_takes_long() -> None:
    # By plain backtracking this would take longer than the age of the universe.
    evil = parse_matcher("symbol =~ " + "*a" * 49 + "b")
    assert not evil.matches(Subject("Hot", "a" * 5000, "info"))


def test_all_matchers_of_a_silence_must_match() -> None:
    both = silence("symbol =~ BTC*", "severity = critical")
    assert not both.matches(Subject("Hot", "BTCUSDT", "warning"))
    assert both.matches(Subject("Hot", "BTCUSDT", "critical"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"matchers": []}, "matchers: must not be empty"),
        ({"matchers": ["colour = red"]}, "write rule, symbol or severity"),
        ({"matchers": ["symbol ="]}, "write rule, symbol or severity"),
        ({"matchers": ["symbol = ,"]}, "must not be empty"),
        ({"matchers": ["severity = high"]}, "is no severity"),
        ({"ends_at": AT - HOUR}, "ends_at must be after starts_at"),
        ({"ends_at": "2025-09-01 12:00"}, "has no time zone"),
        ({"reason": "  "}, "reason: must not be empty"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RuleError, match=says):
        silence("symbol = BTCUSDT", **change)


def test_a_silence_survives_storage() -> None:
    quiet = silence("symbol =~ BTC*, ETH*", "severity != critical")
    assert parse_silence(quiet.model_dump(mode="json")) == quiet


def test_of_several_silences_the_one_that_ends_last_is_named() -> None:
    long = silence("rule = Hot", ends_at=AT + 9 * HOUR)
    short, over = silence("rule = Hot"), silence("rule = Hot", ends_at=AT)
    assert silenced_by([short, long, over], Subject("Hot", "X", "info"), AT) == long
    assert silenced_by([over], Subject("Hot", "X", "info"), AT) is None


def test_a_preview_shows_what_it_would_have_kept_back_whenever_that_was() -> None:
    past = [Subject("Hot", "BTCUSDT", "info"), Subject("Hot", "ETHUSDT", "info")]
    later = silence("symbol = BTCUSDT", starts_at=AT + HOUR, ends_at=AT + 2 * HOUR)
    assert would_suppress(later, past) == past[:1]


def test_one_message_tells_of_all_symbols_of_a_bar() -> None:
    events = [
        event("fired", "BTCUSDT"),
        event("ended", "ETHUSDT"),
        event("fired", "SOLUSDT"),
        event("held", "XRPUSDT", reason="cooldown"),
    ]
    decisions = [decide(each, rule()) for each in events]
    (notice,) = notices("7", rule(), decisions, {"BTCUSDT": {"score": 70.0}, "XRPUSDT": {}})
    assert notice.symbols == ("BTCUSDT", "SOLUSDT", "ETHUSDT")
    assert [e.symbol for e in notice.ended] == ["ETHUSDT"]
    assert notice.values == {"BTCUSDT": {"score": 70.0}}
    again = notices("7", rule(), decisions)[0]
    assert again.key == notice.key
    assert notices("8", rule(), decisions)[0].key != notice.key


def test_a_rule_may_tell_of_each_symbol_by_itself() -> None:
    events = [event("fired", "BTCUSDT"), event("ended", "ETHUSDT")]
    each = rule(group="symbol")
    told = notices("7", each, [decide(e, each) for e in events])
    assert [notice.symbols for notice in told] == [("BTCUSDT",), ("ETHUSDT",)]
    assert len({notice.key for notice in told}) == 2


def test_nothing_sent_is_no_message() -> None:
    assert notices("7", rule(muted=True), [decide(event(), rule(muted=True))]) == []


def notice(severity: str = "warning", ended: bool = False) -> Notice:
    one = (event("ended"),) if ended else ()
    return Notice("k", "Hot", severity, AT, () if ended else (event(),), one, ())


NIGHT = {"start": "22:00", "end": "07:00"}


@pytest.mark.parametrize(
    ("subscription", "what", "when"),
    [
        ({}, notice(), "now"),
        ({"rules": ["Hot"], "severities": ["warning"]}, notice(), "now"),
        ({"rules": ["Cold"]}, notice(), "no"),
        ({"severities": ["critical"]}, notice(), "no"),
        ({"enabled": False}, notice(), "no"),
        ({"with_ends": False}, notice(ended=True), "no"),
        ({"with_ends": False}, notice(), "now"),
    ],
)
def test_people_hear_of_what_they_chose(
    subscription: dict[str, Any], what: Notice, when: str
) -> None:
    assert route(what, Subscription.model_validate(subscription), AT).when == when


def test_quiet_hours_hold_a_message_until_they_end_where_the_person_lives() -> None:
    berlin = Subscription(quiet_hours=NIGHT, time_zone="Europe/Berlin")
    late = datetime(2025, 9, 1, 20, 30, tzinfo=UTC)
    held = route(notice(), berlin, late)
    assert (held.when, held.until) == ("held", datetime(2025, 9, 2, 5, tzinfo=UTC))
    assert route(notice(), berlin, late - HOUR).when == "now"
    assert route(notice(), berlin, datetime(2025, 9, 2, 5, tzinfo=UTC)).when == "now"
    assert route(notice("critical"), berlin, late).when == "now"
    obedient = Subscription(
        quiet_hours=NIGHT, time_zone="Europe/Berlin", critical_breaks_quiet=False
    )
    assert route(notice("critical"), obedient, late).when == "held"


def test_quiet_hours_end_by_the_clock_on_the_wall_when_clocks_change() -> None:
    berlin = Subscription(quiet_hours=NIGHT, time_zone="Europe/Berlin")
    # The night of 25 to 26 October 2025 is an hour longer, that of 29 to 30 March an hour shorter.
    assert quiet_until(berlin, datetime(2025, 10, 25, 21, tzinfo=UTC)) == datetime(
        2025, 10, 26, 6, tzinfo=UTC
    )
    assert quiet_until(berlin, datetime(2025, 3, 29, 22, tzinfo=UTC)) == datetime(
        2025, 3, 30, 5, tzinfo=UTC
    )


def test_quiet_days_that_touch_are_one_quiet_time() -> None:
    weekend = Subscription(
        quiet_hours={"weekdays": ["sat", "sun"], "start": "00:00", "end": "24:00"}
    )
    assert quiet_until(weekend, datetime(2025, 9, 6, 3, tzinfo=UTC)) == datetime(
        2025, 9, 8, tzinfo=UTC
    )
    assert quiet_until(weekend, datetime(2025, 9, 8, tzinfo=UTC)) is None


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    for zone in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="write it as Europe/Berlin"):
            Subscription(time_zone=zone)
