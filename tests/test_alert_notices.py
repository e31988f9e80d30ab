"""What is sent and what is not, with the reason; silences; and who hears of it when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.engine import Event
from core.alerts.notices import (
    NEWS,
    SENT,
    WORDS,
    CaughtUp,
    Notice,
    decide,
    notices,
    possible_keys,
    without_superseded,
)
from core.alerts.silences import (
    Silence,
    Subject,
    join_values,
    parse_matcher,
    parse_silence,
    silenced_by,
    split_values,
    would_suppress,
)
from core.alerts.subscriptions import Subscription, quiet_until, route
from core.errors import RuleError

AT = datetime(2025, 9, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
# Over when the bar closes at which everything happens here.
MORNING = {"start": "00:00", "end": "12:00"}


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


@pytest.mark.parametrize("kind", SENT)
def test_what_happens_is_sent(kind: str) -> None:
    decision = decide(event(kind), rule())
    assert (decision.sent, decision.reason) == (True, kind)
    assert decision.words == WORDS[kind]


@pytest.mark.parametrize(
    ("what", "definition", "reason"),
    [
        (event("held", reason="cooldown"), rule(), "held"),
        (event(), rule(muted=True), "muted"),
        (event("repeat", acknowledged=True), rule(), "acknowledged"),
        (event("late", acknowledged=True), rule(), "acknowledged"),
        (event("ended", reason="disabled"), rule(), "disabled"),
        (event("ended", untold=True), rule(), "untold"),
        (event(), rule(active_hours=MORNING), "outside_active_hours"),
        (event("ended", untold=True), rule(active_hours=MORNING), "untold"),
    ],
)
def test_what_is_not_sent_has_its_reason(
    what: Event, definition: RuleDefinition, reason: str
) -> None:
    decision = decide(what, definition)
    assert (decision.sent, decision.reason) == (False, reason)
    assert decision.words.startswith("not sent: ")


@pytest.mark.parametrize("now", [AT, AT + 9 * HOUR])
def test_the_end_of_what_was_told_is_told_outside_of_active_hours_too(now: datetime) -> None:
    decision = decide(event("ended"), rule(active_hours=MORNING), now=now)
    assert (decision.sent, decision.reason) == (True, "ended")


@pytest.mark.parametrize("kind", ["fired", "late", "repeat"])
def test_what_is_old_is_not_sent(kind: str) -> None:
    assert decide(event(kind), rule(), now=AT + NEWS).sent
    late = decide(event(kind), rule(), now=AT + NEWS + HOUR)
    assert (late.sent, late.reason) == (False, "old")
    assert late.words == "not sent: it was old news when it was judged"


def test_an_old_end_is_told_where_nothing_later_is() -> None:
    now = AT + 9 * HOUR
    end = decide(event("ended"), rule(), now=now)
    assert end.sent
    others = [decide(event(kind), rule(), now=now) for kind in ("fired", "held")]
    assert [one.sent for one in without_superseded([end, *others])] == [True, False, False]
    again = decide(event("late"), rule(), now=AT)
    said = without_superseded([end, again])
    assert [(one.sent, one.reason) for one in said] == [(False, "old"), (True, "late")]
    elsewhere = decide(event("late", "ETHUSDT"), rule(), now=AT)
    assert [one.sent for one in without_superseded([end, elsewhere])] == [True, True]


def test_whether_an_old_end_is_silenced_is_a_matter_of_when_it_is_told() -> None:
    quiet = silence("symbol = BTCUSDT", ends_at=AT + 2 * HOUR)
    assert decide(event("ended"), rule(), [quiet], AT + 9 * HOUR).sent
    assert not decide(event("ended"), rule(), [quiet], AT).sent


def test_a_silence_that_begins_before_it_is_told_holds_too() -> None:
    begun = silence("symbol = BTCUSDT", starts_at=AT + HOUR / 2)
    assert decide(event(), rule(), [begun]).sent
    assert decide(event(), rule(), [begun], AT + 0.6 * HOUR).reason == "silenced"


def test_what_is_told_late_says_until_when_it_was_silenced() -> None:
    begun = {"fired_at": AT - 5 * HOUR}
    over = silence("symbol = BTCUSDT", starts_at=AT - 9 * HOUR, ends_at=AT - HOUR)
    before = silence("symbol = BTCUSDT", starts_at=AT - 9 * HOUR, ends_at=AT - 6 * HOUR)
    told = decide(event("late", **begun), rule(), [before, over])
    assert (told.sent, told.silence) == (True, over)
    assert told.note == "still firing, was silenced until 2025-09-01 11:00 UTC"
    assert decide(event("late", **begun), rule(), [before]).note == "still firing, not told before"
    assert decide(event("repeat"), rule()).note == "still firing"
    assert decide(event(), rule(), [over]).note == ""


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
        ("symbol =~ [ABC]TC*", False),
        ("symbol !~ [!A]*", True),
        ("rule = hot", True),
        ("severity != critical", True),
        ("severity = critical", False),
        ('rule = "Hot, now", Hot', True),
        ('rule = "Hot, now"', False),
        ('rule = "Hot', True),
        ("rule = Cold,\nHot", True),
    ],
)
def test_a_matcher_looks_at_rule_symbol_or_severity(matcher: str, matches: bool) -> None:
    parsed = parse_matcher(matcher)
    assert parsed.matches(Subject("Hot", "BTCUSDT", "warning")) == matches
    assert parse_matcher(str(parsed)) == parsed


@given(st.lists(st.text(st.sampled_from('ab ,"*'), min_size=1).filter(str.strip), min_size=1))
def test_whatever_a_rule_is_called_a_matcher_survives_being_written(names: list[str]) -> None:
    values = [name.strip() for name in names]
    assert split_values(join_values(values)) == tuple(values)


def test_a_silence_goes_along_with_the_name_of_a_rule() -> None:
    named = silence("rule = hot, Cold", "symbol != Hot").renamed("Hot", "Warm, or so")
    assert [str(one) for one in named.matchers] == ['rule = "Warm, or so", Cold', "symbol != Hot"]
    assert named.matches(Subject("Warm, or so", "BTCUSDT", "info"))
    pattern = silence("rule =~ H*")
    assert pattern.renamed("H*", "Warm") == pattern


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
        ({"matchers": [f"rule = {'x' * 200_000}"]}, "too long"),
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


def test_what_came_late_and_what_is_old_are_messages_of_their_own() -> None:
    now = AT + 9 * HOUR
    bars = CaughtUp(now, newest=now - HOUR, told_until=AT)
    old = decide(event("ended"), rule(), now=now)
    late, newest = (decide(event("fired", f"{n}USDT"), rule()) for n in "LN")
    newest = decide(newest.event._replace(at=bars.newest), rule())
    for group in ("rule", "symbol"):
        told = notices("7", rule(group=group), [old, late, newest], caught_up=bars)
        assert [(one.symbols[0], one.at) for one in told] == [
            ("BTCUSDT", bars.newest), ("LUSDT", AT), ("NUSDT", bars.newest)
        ]  # fmt: skip
        keys = {one.key for one in told}
        assert len(keys) == 3
        assert len(keys | {one.key for one in notices("7", rule(group=group), [late])}) == 4
        for one, decision in zip(told, [old, late, newest], strict=True):
            what = decision.event
            assert one.key in possible_keys("7", what.symbol, what.at, now)


def test_a_message_has_one_word_for_what_it_tells_and_notes_for_what_is_not_new() -> None:
    said = [event("repeat", "RUSDT"), event("late", "LUSDT"), event("fired", "FUSDT")]
    decisions = [decide(each, rule()) for each in said]
    words = [notices("7", rule(), decisions[:number])[0].kind for number in (1, 2, 3)]
    assert words == ["repeat", "late", "fired"]
    (whole,) = notices("7", rule(), decisions)
    assert whole.symbols == ("FUSDT", "LUSDT", "RUSDT")
    assert whole.notes == {
        ("RUSDT", "repeat"): "still firing", ("LUSDT", "late"): "still firing, not told before"
    }  # fmt: skip


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
        ({"with_ends": False}, replace(notice(ended=True), late=(event("late"),)), "now"),
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
