"""What is held for quiet hours: nobody's before it was asked again, and dropped where nobody wants it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from core.alerts.subscriptions import Subscription
from core.jobs.quiet_hours import ask_again
from core.store import channels, outbox
from core.store.alerts.rules import change_rule, delete_rule
from core.store.channels import Who
from core.store.outbox import Message
from core.store.tables import deliveries
from core.store.waiting import list_waiting
from tests.alerted import rule, save, silence
from tests.channelled import (
    NOON,
    Clock,
    add_channel,
    claim_one,
    courier,
    message,
    put,
    send_due,
    states,
)

HOUR = timedelta(hours=1)
# Quiet from an hour after noon on, until four hours after it.
QUIET = {"quiet_hours": {"start": "13:00", "end": "16:00"}}
OVER = NOON + 4 * HOUR


def subscribe(conn: Connection, channel: int, **body: Any) -> None:
    kept = Subscription.model_validate(QUIET | body).model_dump(mode="json")
    channels.save_subscription(conn, channel, kept, who=Who("ada", is_admin=True), now=NOON)


def own_channel(engine: Engine, owner: str, **body: Any) -> int:
    channel = add_channel(engine, owner=owner, name=owner)
    with engine.begin() as conn:
        subscribe(conn, channel, **body)
    return channel


def told(rule_name: str, fired: Sequence[str] = ("BTCUSDT",)) -> dict[str, Any]:
    return {"rule": rule_name, "fired": [{"symbol": one} for one in fired], "resolved": []}


def held(channel: int, number: int, rule_id: int | None = None, **changes: Any) -> Message:
    given = {"rule_id": rule_id, "not_before": OVER, "content": told("Hot")}
    return message(channel, number, **given | changes)


def became(engine: Engine) -> list[tuple[str, str | None]]:
    columns = deliveries.c.state, deliveries.c.last_error
    with engine.connect() as conn:
        found = conn.execute(select(*columns).order_by(deliveries.c.id))
        return [(row.state, row.last_error) for row in found]


def claim(engine: Engine, channel: int, hours: float) -> str | None:
    with engine.begin() as conn:
        found = claim_one(conn, channel, "one", NOON + hours * HOUR)
        return None if found is None else found.key


def test_what_was_held_is_sent_only_where_it_is_still_wanted(engine: Engine) -> None:
    names = ["Hot", "Gone", "Off", "Muted", "Hushed", "Half"]
    rules = {name: save(engine, rule(name, "close > 0"), NOON) for name in names}
    people = {name: own_channel(engine, name) for name in ("tom", "eve", "bob", "sue")}
    tom, ends = people["tom"], {**told("Hot", []), "resolved": [{"symbol": "BTCUSDT"}]}
    put(
        engine,
        *(
            held(tom, number, rules[name].id, content=told(name, ["BTCUSDT", "ETHUSDT"]))
            for number, name in enumerate(names)
        ),
        *(held(people[name], 0, rules["Hot"].id) for name in ("eve", "bob")),
        held(people["sue"], 0, rules["Hot"].id, content=ends),
        held(people["sue"], 1, rules["Hot"].id),
    )
    with engine.begin() as conn:
        delete_rule(conn, rules["Gone"].id, by="ada", now=NOON)
        for name, change in (("Off", {"enabled": False}), ("Muted", {"muted": True})):
            new = rules[name].definition.model_copy(update=change)
            change_rule(conn, rules[name].id, new, based_on=1, by="ada", now=NOON)
        subscribe(conn, people["bob"], enabled=False)
        subscribe(conn, people["sue"], with_ends=False)
    for matchers in (["rule = Hushed"], ["rule = Half", "symbol = BTCUSDT"]):
        silence(engine, *matchers, at=NOON, ends_at=(NOON + 6 * HOUR).isoformat())
    assert ask_again(engine, OVER - timedelta(seconds=1)) == 0
    assert ask_again(engine, OVER, lambda: {"tom", "bob", "sue"}) == len(became(engine))

    def dropped(reason: str) -> tuple[str, str]:
        return "dropped", f"Not sent when quiet hours ended: {reason}."

    assert became(engine) == [
        ("waiting", None),
        dropped("the rule was deleted"),
        dropped("the rule was disabled"),
        dropped("the rule is muted"),
        dropped("silenced until 2025-06-02 18:00 UTC by ada: maintenance"),
        ("waiting", None),
        dropped("eve may not sign in any more"),
        dropped("the subscription is switched off"),
        dropped("not subscribed to ends"),
        ("waiting", None),
    ]
    assert [claim(engine, people[name], 4) for name in ("tom", "sue", "eve")] == [
        f"{tom}-0",
        f"{people['sue']}-1",
        None,
    ]


def test_nobody_gets_what_is_held_before_it_was_asked_again_once(engine: Engine) -> None:
    channel = own_channel(engine, "tom")
    put(engine, held(channel, 1))
    assert claim(engine, channel, 5) is None
    assert ask_again(engine, OVER) == 1
    assert ask_again(engine, OVER) == 0
    assert claim(engine, channel, 5) == f"{channel}-1"


def test_quiet_hours_that_last_longer_by_now_are_kept(engine: Engine) -> None:
    channel = own_channel(engine, "tom")
    put(engine, held(channel, 1))
    with engine.begin() as conn:
        subscribe(conn, channel, quiet_hours={"start": "13:00", "end": "18:00"})
    assert ask_again(engine, OVER) == 1
    assert (ask_again(engine, OVER + HOUR), claim(engine, channel, 5)) == (0, None)
    assert ask_again(engine, NOON + 6 * HOUR) == 1
    assert claim(engine, channel, 6) == f"{channel}-1"


@pytest.mark.parametrize(
    ("severity", "body", "waits"),
    [
        ("warning", {}, True),
        ("critical", {}, False),
        ("critical", {"critical_breaks_quiet": False}, True),
    ],
)
def test_what_is_tried_again_waits_for_the_end_of_quiet_hours_too(
    sqlite_engine: Engine, severity: str, body: dict[str, Any], waits: bool
) -> None:
    engine, clock = sqlite_engine, Clock(NOON + timedelta(minutes=59, seconds=59, milliseconds=500))
    channel = own_channel(engine, "tom", **body)
    put(engine, message(channel, 1, severity=severity), now=clock.at)
    send_due(courier(engine, clock))  # It has no key, so this fails.
    with engine.connect() as conn:
        (one,) = list_waiting(conn, clock.at)
    assert (one.attempts, one.reason) == (1, "quiet" if waits else "retry")
    assert one.until == (OVER if waits else clock.at + timedelta(seconds=1))
    with engine.begin() as conn:
        assert outbox.send_now(conn, [one.id], by="ada", now=clock.at) == (0 if waits else 1)
    # It holds nothing back meanwhile, and is asked again when they are over.
    put(engine, message(channel, 2, severity="critical"), now=clock.at)
    assert claim(engine, channel, 2) == (f"{channel}-2" if waits else f"{channel}-1")
    with engine.begin() as conn:
        subscribe(conn, channel, enabled=False)
    assert ask_again(engine, OVER) == (1 if waits else 0)
    assert states(engine)[0] == ("dropped" if waits else "waiting")
