"""The outbox: put once, claimed by one, sent in order, never lost."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from core.store import audit, outbox
from core.store.outbox import LEASE, UNDER_WAY, Answered, Claimed
from core.store.tables import deliveries
from tests.channelled import NOON, SECOND, add_channel, attempts, claim_one, message, put, states


def claim(
    engine: Engine, channel_id: int, holder: str = "one", now: datetime = NOON
) -> Claimed | None:
    with engine.begin() as conn:
        return claim_one(conn, channel_id, holder, now)


def claimed(engine: Engine, channel_id: int, holder: str = "one", now: datetime = NOON) -> Claimed:
    found = claim(engine, channel_id, holder, now)
    assert found is not None
    return found


def sent(engine: Engine, one: Claimed, now: datetime = NOON) -> bool:
    with engine.begin() as conn:
        return outbox.note_sent(conn, [Answered(one, 2.5, "200")], now) == 1


def failed(
    engine: Engine, one: Claimed, next_at: datetime | None, *, set_aside: bool = False
) -> bool:
    with engine.begin() as conn:
        return outbox.note_failed(
            conn, one, took_ms=2.5, message="503", next_at=next_at, set_aside=set_aside
        )


def due(engine: Engine, now: datetime = NOON) -> list[tuple[int, bool]]:
    with engine.connect() as conn:
        return [(one.channel_id, one.failing) for one in outbox.load_due(conn, now)]


def test_a_message_put_twice_is_one(engine: Engine) -> None:
    channel = add_channel(engine)
    assert put(engine, message(channel, 1), message(channel, 2)) == 2
    assert put(engine, message(channel, 2), message(channel, 3)) == 1
    assert states(engine) == ["waiting"] * 3


def test_a_message_is_there_only_when_its_transaction_is(engine: Engine) -> None:
    channel = add_channel(engine)
    with engine.connect() as conn:
        outbox.put(conn, [message(channel)], NOON)
        conn.rollback()
    assert states(engine) == []


def test_messages_of_a_channel_are_claimed_one_at_a_time_and_in_order(engine: Engine) -> None:
    channel = add_channel(engine)
    put(engine, *(message(channel, number) for number in range(3)))
    keys = []
    for number in range(3):
        one = claimed(engine, channel)
        keys.append(one.key)
        assert due(engine) == []
        assert claim(engine, channel, "two") is None
        assert claim(engine, channel, "one") is None
        assert sent(engine, one, NOON + number * SECOND)
    assert keys == [f"{channel}-{number}" for number in range(3)]
    assert states(engine) == ["sent"] * 3
    assert attempts(engine) == [(True, "200")] * 3


def test_channels_are_claimed_beside_each_other(engine: Engine) -> None:
    first, second = add_channel(engine), add_channel(engine)
    put(engine, message(first), message(second))
    assert due(engine) == [(first, False), (second, False)]
    assert claimed(engine, first, "one").channel_id == first
    assert due(engine) == [(second, False)]
    assert claimed(engine, second, "two").channel_id == second


def test_what_a_dead_worker_held_is_taken_over_with_the_same_key(engine: Engine) -> None:
    channel = add_channel(engine)
    put(engine, message(channel))
    first = claimed(engine, channel)
    assert claim(engine, channel, "two", NOON + LEASE - SECOND) is None
    again = claimed(engine, channel, "two", NOON + LEASE)
    assert (again.key, again.attempt) == (first.key, 2)
    assert not failed(engine, first, NOON)
    assert sent(engine, again)
    assert attempts(engine) == [(False, "503"), (True, "200")]


def test_an_attempt_that_nobody_finished_says_so(engine: Engine) -> None:
    channel = add_channel(engine)
    put(engine, message(channel))
    claimed(engine, channel)
    assert sent(engine, claimed(engine, channel, "two", NOON + LEASE))
    assert attempts(engine) == [(None, UNDER_WAY), (True, "200")]


def test_a_lease_that_is_prolonged_is_not_taken_over(engine: Engine) -> None:
    channel = add_channel(engine)
    put(engine, message(channel))
    one = claimed(engine, channel)
    with engine.begin() as conn:
        outbox.prolong(conn, [one], NOON + LEASE / 2)
    assert claim(engine, channel, "two", NOON + LEASE) is None
    assert claim(engine, channel, "two", NOON + LEASE * 1.5) is not None


def test_what_arrived_late_is_not_sent_again_by_who_took_it_over(engine: Engine) -> None:
    channel = add_channel(engine)
    put(engine, message(channel))
    slow = claimed(engine, channel)
    other = claimed(engine, channel, "two", NOON + LEASE)
    assert sent(engine, slow)
    assert not failed(engine, other, NOON)
    assert states(engine) == ["sent"]


def test_a_message_that_failed_holds_back_those_after_it_until_its_time(engine: Engine) -> None:
    channel, other = add_channel(engine), add_channel(engine)
    put(engine, message(channel, 1), message(channel, 2), message(other))
    assert failed(engine, claimed(engine, channel), NOON + 5 * SECOND)
    assert due(engine, NOON + 4 * SECOND) == [(other, False)]
    assert claim(engine, channel, now=NOON + 4 * SECOND) is None
    assert due(engine, NOON + 5 * SECOND) == [(other, False), (channel, True)]
    assert claimed(engine, channel, now=NOON + 5 * SECOND).key == f"{channel}-1"


def test_a_message_that_was_set_aside_lets_the_others_pass(engine: Engine) -> None:
    channel = add_channel(engine)
    put(engine, message(channel, 1), message(channel, 2))
    assert failed(engine, claimed(engine, channel), NOON + 5 * SECOND, set_aside=True)
    one = claimed(engine, channel)
    assert one.key == f"{channel}-2"
    assert sent(engine, one)
    assert claimed(engine, channel, now=NOON + 5 * SECOND).key == f"{channel}-1"


def test_a_message_for_later_holds_nothing_back(engine: Engine) -> None:
    channel = add_channel(engine)
    later = NOON + timedelta(hours=8)
    put(engine, message(channel, 1, not_before=later), message(channel, 2))
    assert sent(engine, claimed(engine, channel))
    assert claim(engine, channel) is None
    assert claim(engine, channel, now=later) is None
    with engine.begin() as conn:
        outbox.let_go(conn, [one.id for one in outbox.load_held(conn, later)])
    assert claimed(engine, channel, now=later).key == f"{channel}-1"


def test_no_more_is_claimed_than_the_channel_takes_in_a_minute(engine: Engine) -> None:
    channel = add_channel(engine, per_minute=2)
    put(engine, *(message(channel, number) for number in range(3)))
    for number in range(2):
        assert sent(engine, claimed(engine, channel, f"worker {number}"))
    assert due(engine, NOON + 59 * SECOND) == []
    assert claim(engine, channel, now=NOON + 59 * SECOND) is None
    assert claim(engine, channel, now=NOON + 60 * SECOND) is not None


@pytest.mark.parametrize("change", [{"enabled": False}, {"deleted_at": NOON}])
def test_a_channel_that_is_off_is_not_sent_to(engine: Engine, change: dict[str, object]) -> None:
    channel = add_channel(engine, **change)
    put(engine, message(channel))
    assert due(engine) == []
    assert claim(engine, channel) is None


def test_what_was_given_up_is_sent_again_on_request_and_noted(engine: Engine) -> None:
    channel, other = add_channel(engine), add_channel(engine, name="other")
    put(engine, message(channel, 1), message(channel, 2), message(other, 3))
    for one in (channel, channel, other):
        assert failed(engine, claimed(engine, one), None)
    assert states(engine) == ["dead"] * 3
    with engine.begin() as conn:
        assert outbox.resend(conn, by="ada", now=NOON + SECOND, channel_id=channel) == 2
        assert outbox.resend(conn, by="ada", now=NOON + SECOND, channel_id=channel) == 0
    assert states(engine) == ["waiting", "waiting", "dead"]
    again = claimed(engine, channel, now=NOON + SECOND)
    assert (again.key, again.since, again.attempt) == (f"{channel}-1", NOON + SECOND, 2)
    with engine.connect() as conn:
        dead = conn.scalars(select(deliveries.c.id).where(deliveries.c.state == "dead")).all()
        (change,) = audit.list_changes(conn, subject="channel")
    assert (change.by, change.action, change.name) == ("ada", "resend", "desk")
    with engine.begin() as conn:
        assert outbox.resend(conn, by="ada", now=NOON, ids=dead) == 1


def test_old_deliveries_go_and_what_waits_stays(engine: Engine) -> None:
    channel = add_channel(engine)
    put(engine, *(message(channel, number) for number in range(3)))
    assert sent(engine, claimed(engine, channel))
    assert failed(engine, claimed(engine, channel), None)
    with engine.begin() as conn:
        assert outbox.drop_old_deliveries(conn, NOON + timedelta(days=30)) == 0
        assert outbox.drop_old_deliveries(conn, NOON + timedelta(days=31)) == 1
        assert outbox.drop_old_deliveries(conn, NOON + timedelta(days=91)) == 1
    assert states(engine) == ["waiting"]
    assert attempts(engine) == []


def test_changes_are_listed_newest_first_and_page_by_page(engine: Engine) -> None:
    with engine.begin() as conn:
        for number in range(5):
            audit.note(
                conn,
                at=NOON,
                by="ada" if number % 2 else "bob",
                action="change",
                subject="rule",
                subject_id=number,
                name=f"rule {number}",
                before={"muted": False},
                after={"muted": True},
            )
        page = audit.list_changes(conn, limit=2)
        assert [one.name for one in page] == ["rule 4", "rule 3"]
        assert page[0].before == {"muted": False}
        rest = audit.list_changes(conn, before_id=page[-1].id)
        assert [one.name for one in rest] == ["rule 2", "rule 1", "rule 0"]
        assert [one.subject_id for one in audit.list_changes(conn, by="ada")] == ["3", "1"]
        assert [one.by for one in audit.list_changes(conn, subject="rule", subject_id=2)] == ["bob"]
