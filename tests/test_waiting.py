"""What waits in the outbox: for what, in the words of the Deliveries view, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, update

from core.store import audit, outbox
from core.store.outbox import Answered, Claimed
from core.store.tables import channels
from core.store.waiting import Queue, Waiting, count_waiting, list_waiting
from core.ui.alerts.listing import Bit
from core.ui.alerts.waiting import why_cell
from core.ui.formats import UTC_CLOCK
from tests.channelled import NOON, SECOND, add_channel, claim_one, message, put, states

HOUR = timedelta(hours=1)
ABOUT = {
    "rule": "Hot",
    "fired": [{"symbol": "BTCUSDT"}],
    "resolved": [{"symbol": "ETHUSDT"}],
}


def claim(engine: Engine, channel: int, now: datetime = NOON) -> Claimed:
    with engine.begin() as conn:
        found = claim_one(conn, channel, "one", now)
    assert found is not None
    return found


def fail(engine: Engine, channel: int, until: datetime, now: datetime = NOON) -> int:
    claimed = claim(engine, channel, now)
    with engine.begin() as conn:
        outbox.note_failed(conn, claimed, took_ms=1.0, message="503", next_at=until)
    return claimed.id


def waiting(engine: Engine, channel: int | None = None, now: datetime = NOON) -> list[Waiting]:
    with engine.connect() as conn:
        return list_waiting(conn, now, channel_id=channel)


def why(found: Sequence[Waiting], now: datetime = NOON) -> list[str]:
    cells = [why_cell(each, UTC_CLOCK, now) for each in found]
    return [" ".join(_text(one) for one in cell).replace("\u00a0", " ") for cell in cells]


def _text(one: Bit) -> str:
    return one if isinstance(one, str) else str(one["text"])


def test_each_message_says_what_it_waits_for(engine: Engine) -> None:
    off, quiet, retry = add_channel(engine), add_channel(engine), add_channel(engine)
    rate, busy = add_channel(engine, per_minute=1), add_channel(engine)
    put(engine, message(off), message(quiet, not_before=NOON + 8 * HOUR), message(quiet, 2))
    put(engine, message(retry), message(retry, 2), *(message(rate, n) for n in range(2)))
    put(engine, *(message(busy, n) for n in range(2)))
    with engine.begin() as conn:
        conn.execute(update(channels).where(channels.c.id == off).values(enabled=False))
    fail(engine, retry, NOON + 90 * SECOND)
    claimed = claim(engine, rate)
    with engine.begin() as conn:
        outbox.note_sent(conn, [Answered(claimed, 1.0, "200")], NOON)
    claim(engine, busy)
    assert why(waiting(engine)) == [
        "the channel is switched off",
        "held back by quiet hours until 2 Jun 2025, 20:00",
        "it is sent next",
        "retry 1 at 12:01:30 503",
        "one before it goes first",
        "rate limit of 1 a minute, goes on at 12:01:00",
        "it is being sent, try 1",
        "one before it goes first",
    ]
    later = NOON + timedelta(minutes=5)
    assert why(waiting(engine, quiet, later), later)[-1] == "due for 5 min, and no worker takes it"
    with engine.connect() as conn:
        assert count_waiting(conn) == {
            off: Queue(1, 0),
            quiet: Queue(2, 1),
            retry: Queue(2, 0),
            rate: Queue(1, 0),
            busy: Queue(2, 0),
        }


def test_what_is_said_to_go_next_is_what_a_worker_takes(engine: Engine) -> None:
    channel = add_channel(engine)
    put(
        engine,
        message(channel, 1, not_before=NOON + HOUR),
        message(channel, 2),
        message(channel, 3),
    )
    while found := [one for one in waiting(engine, channel) if one.reason == "due"]:
        (following,) = found
        claimed = claim(engine, channel)
        assert claimed.id == following.id
        with engine.begin() as conn:
            outbox.note_sent(conn, [Answered(claimed, 1.0, "200")], NOON)
    assert states(engine) == ["waiting", "sent", "sent"]


def test_it_names_the_rule_and_the_markets_and_whose_channel_it_is(engine: Engine) -> None:
    channel, gone = add_channel(engine, owner="tom"), add_channel(engine)
    put(engine, message(channel, content=ABOUT), message(channel, 2), message(gone))
    with engine.begin() as conn:
        conn.execute(update(channels).where(channels.c.id == gone).values(deleted_at=NOON))
        assert list(count_waiting(conn)) == [channel]
    first, second = waiting(engine)
    assert (first.rule, first.symbols, first.owner) == ("Hot", ("BTCUSDT", "ETHUSDT"), "tom")
    assert (second.rule, second.symbols, second.title) == ("", (), "Message 2")
    assert first.made_at == NOON


def test_only_what_waits_for_a_retry_is_sent_at_once(engine: Engine) -> None:
    channel, quiet = add_channel(engine), add_channel(engine)
    put(engine, message(channel), message(quiet, not_before=NOON + HOUR))
    tried = fail(engine, channel, NOON + HOUR)
    every = [one.id for one in waiting(engine)]
    with engine.begin() as conn:
        assert outbox.send_now(conn, every, by="ada", now=NOON + SECOND) == 1
        assert outbox.send_now(conn, every, by="ada", now=NOON + SECOND) == 0
    assert claim(engine, channel, NOON + SECOND).id == tried
    (noted,) = changes(engine)
    assert (noted.by, noted.action, noted.name) == ("ada", "send now", "desk")
    assert noted.after == {"deliveries": [tried], "titles": ["Message 0"]}


def test_what_is_dropped_is_never_sent_and_lets_the_others_pass(engine: Engine) -> None:
    channel = add_channel(engine)
    put(engine, *(message(channel, n) for n in range(3)))
    first = fail(engine, channel, NOON + HOUR)
    with engine.begin() as conn:
        assert outbox.drop(conn, [first], by="ada", now=NOON) == 1
        assert outbox.drop(conn, [first], by="ada", now=NOON) == 0
    second = claim(engine, channel)
    assert second.key == f"{channel}-1"
    with engine.begin() as conn:
        # It is just being sent: it may have arrived already.
        assert outbox.drop(conn, [second.id], by="ada", now=NOON) == 0
        outbox.note_sent(conn, [Answered(second, 1.0, "200")], NOON)
        assert outbox.drop(conn, [second.id], by="ada", now=NOON) == 0
    assert states(engine) == ["dropped", "sent", "waiting"]
    assert [one.action for one in changes(engine)] == ["drop"]


def changes(engine: Engine) -> list[audit.Change]:
    with engine.connect() as conn:
        return audit.list_changes(conn)
