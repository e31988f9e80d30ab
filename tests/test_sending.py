"""Sending: in order, each channel by itself, tried again until it arrives or is given up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import OperationalError

from core.alerts.delivery import Outcome, Sealer, Target, Written, parse_target, webhook
from core.errors import AccessDenied, DeliveryError, SettingsError
from core.jobs import sending
from core.jobs.retention import drop_old
from core.jobs.sending import Courier, Sending, send_test, sending_for
from core.settings import load_settings
from core.store import channels, delivery_log, outbox
from core.store.channels import Who
from core.store.delivery_log import Counts
from core.store.tables import deliveries
from core.worker import Worker
from tests.channelled import (
    HERE,
    NOON,
    SEALER,
    Clock,
    add_webhook,
    attempts,
    courier,
    message,
    put,
    send_due,
    states,
)
from tests.world.receiver import SECRET, Receiver, is_signed


@pytest.fixture(scope="module")
def server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(server: Receiver) -> Receiver:
    for kept in (server.received, server.accepted, server.modes, server.most_at_once):
        kept.clear()
    server.mode, server.retry_after = "good", "7"
    return server


def wait_for(what: Callable[[], bool], seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up, "it took too long"
        time.sleep(0.005)


def errors(engine: Engine) -> list[str | None]:
    with engine.connect() as conn:
        return list(conn.scalars(select(deliveries.c.last_error).order_by(deliveries.c.id)))


def next_at(engine: Engine) -> datetime:
    with engine.connect() as conn:
        found = conn.scalar(select(deliveries.c.next_at).order_by(deliveries.c.id))
    assert found is not None
    return found


def test_messages_arrive_in_order_signed_and_once(engine: Engine, receiver: Receiver) -> None:
    paths = ["/a", "/b", "/c"]
    ids = [add_webhook(engine, receiver.url(path)) for path in paths]
    put(engine, *(message(one, number) for number in range(10) for one in ids))
    with Sending(courier(engine, lambda: NOON)) as sender:
        wait_for(lambda: states(engine) == ["sent"] * 30)
        assert sender.stop()
    for one, path in zip(ids, paths, strict=True):
        assert receiver.keys(path) == [f"{one}-{number}" for number in range(10)]
        assert receiver.most_at_once[path] == 1
    assert receiver.repeated == 0
    assert all(is_signed(one) for one in receiver.received)
    assert attempts(engine) == [(True, "It answered 200.")] * 30


def test_what_is_put_by_this_process_or_another_is_noticed(
    sqlite_engine: Engine, receiver: Receiver
) -> None:
    with Sending(courier(sqlite_engine, lambda: NOON), poll_seconds=60.0) as patient:
        channel = add_webhook(sqlite_engine, receiver.url("/a"))
        put(sqlite_engine, message(channel, 1))
        patient.wake()
        wait_for(lambda: states(sqlite_engine) == ["sent"])
    with Sending(courier(sqlite_engine, lambda: NOON)):
        other = add_webhook(sqlite_engine, receiver.url("/new"))
        put(sqlite_engine, message(other, 2))
        wait_for(lambda: states(sqlite_engine) == ["sent"] * 2)


def test_messages_go_before_the_other_work_of_a_round_but_not_for_ever(
    sqlite_engine: Engine, receiver: Receiver
) -> None:
    receiver.modes["/hangs"] = "hang"
    works = add_webhook(sqlite_engine, receiver.url("/works"))
    with Sending(courier(sqlite_engine, lambda: NOON)) as sender:
        put(sqlite_engine, *(message(works, number) for number in range(5)))
        sender.go_first(20)
        assert states(sqlite_engine) == ["sent"] * 5
        put(sqlite_engine, message(add_webhook(sqlite_engine, receiver.url("/hangs")), 6))
        sender.go_first(0.3)
        assert states(sqlite_engine)[5:] == ["waiting"]
        receiver.switch_off()
        receiver.switch_on()


def test_what_is_put_a_moment_later_goes_by_the_same_connection_and_nobody_waits_for_that(
    sqlite_engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sqlite_engine
    monkeypatch.setattr(sending, "LINGER_SECONDS", 60.0)
    one = add_webhook(engine, receiver.url("/one"))
    with Sending(courier(engine, lambda: NOON), poll_seconds=60.0) as sender:
        for number in range(3):
            put(engine, message(one, number))
            sender.go_first(60)
            assert states(engine) == ["sent"] * (number + 1)
    assert receiver.keys("/one") == [f"{one}-{number}" for number in range(3)]
    assert len({each.peer for each in receiver.received}) == 1


def test_what_came_of_several_channels_is_written_down_at_once(
    sqlite_engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sqlite_engine
    monkeypatch.setattr(sending, "ANSWER_SECONDS", 10.0)
    ids = [add_webhook(engine, receiver.url(f"/{number}")) for number in range(4)]
    together: list[int] = []
    note_sent = outbox.note_sent

    def note(conn: Connection, arrived: list[outbox.Answered], now: datetime) -> int:
        together.append(len(arrived))
        return note_sent(conn, arrived, now)

    monkeypatch.setattr(outbox, "note_sent", note)
    put(engine, *(message(one, number) for number in range(8) for one in ids))
    with Sending(courier(engine, lambda: NOON)):
        wait_for(lambda: states(engine) == ["sent"] * 32)
    # They begin, and so end, one by one, and are in step between.
    assert len(ids) in together
    assert sum(together) == 32


def test_two_workers_send_no_message_twice_and_no_channel_at_once(
    engine: Engine, receiver: Receiver
) -> None:
    ids = [add_webhook(engine, receiver.url(f"/{number}")) for number in range(4)]
    put(engine, *(message(one, number) for number in range(25) for one in ids))
    couriers = [courier(engine, lambda: NOON, name) for name in ("one", "two")]
    with Sending(couriers[0]), Sending(couriers[1]):
        wait_for(lambda: states(engine) == ["sent"] * 100, 60)
    assert receiver.repeated == 0
    assert set(receiver.most_at_once.values()) == {1}
    for number, one in enumerate(ids):
        assert receiver.keys(f"/{number}") == [f"{one}-{n}" for n in range(25)]


def test_a_channel_that_hangs_delays_no_other(
    sqlite_engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sqlite_engine
    receiver.modes["/hangs"] = "hang"
    hangs, works = (add_webhook(engine, receiver.url(path)) for path in ("/hangs", "/works"))
    put(engine, message(hangs))
    with Sending(courier(engine, lambda: NOON)) as sender:
        wait_for(lambda: any(one.path == "/hangs" for one in receiver.received))
        put(engine, *(message(works, number) for number in range(5)))
        sender.wake()
        wait_for(lambda: states(engine)[1:] == ["sent"] * 5)
        # It hangs still: nothing was noted of it.
        assert attempts(engine)[0] == (None, outbox.UNDER_WAY)
        receiver.switch_off()
        receiver.switch_on()
    assert receiver.keys("/works") == [f"{works}-{number}" for number in range(5)]


def test_many_dead_channels_leave_room_for_the_others(
    sqlite_engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, clock = sqlite_engine, Clock()
    monkeypatch.setattr(sending, "THREADS", 2)
    monkeypatch.setattr(sending, "FAILING_THREADS", 2)
    monkeypatch.setattr(webhook, "TOTAL_SECONDS", 0.2)
    receiver.modes |= {f"/{number}": "hang" for number in range(6)}
    ids = [add_webhook(engine, receiver.url(f"/{number}")) for number in range(6)]
    put(engine, *(message(one) for one in ids))
    with Sending(courier(engine, clock)):
        wait_for(lambda: len([one for one in attempts(engine) if one[0] is False]) == 6)
        monkeypatch.setattr(webhook, "TOTAL_SECONDS", 15.0)
        clock.move(60)
        wait_for(lambda: len(receiver.received) >= 8)  # Two of them hang again.
        works = add_webhook(engine, receiver.url("/works"))
        put(engine, message(works), now=clock())
        wait_for(lambda: receiver.keys("/works") == [f"{works}-0"])
        receiver.switch_off()
        receiver.switch_on()


@pytest.mark.parametrize("fault", ["503", "off"])
def test_a_channel_that_is_down_for_an_hour_loses_nothing_and_others_are_on_time(
    engine: Engine, receiver: Receiver, fault: str
) -> None:
    be_down_for_an_hour(engine, receiver, fault)


@pytest.mark.parametrize("fault", ["429 silent", "429", "close"])
def test_a_channel_that_wants_nothing_for_an_hour_loses_nothing_either(
    sqlite_engine: Engine, receiver: Receiver, fault: str
) -> None:
    be_down_for_an_hour(sqlite_engine, receiver, fault)


def be_down_for_an_hour(engine: Engine, receiver: Receiver, fault: str) -> None:
    clock = Clock()
    down, works = (add_webhook(engine, receiver.url(path)) for path in ("/down", "/works"))
    sender = courier(engine, clock)
    if fault == "off":
        with Receiver() as gone:
            url = gone.url("/down")
        with engine.begin() as conn:
            channels.change_channel(
                conn,
                down,
                who=channels.Who("ada", is_admin=True),
                now=NOON,
                written=_written(url),
                sealer=SEALER,
            )
    receiver.modes["/down"] = fault
    for minute in range(0, 60, 2):
        put(engine, message(down, minute), message(works, minute), now=clock())
        send_due(sender)
        # The other's message went out at once.
        assert receiver.keys("/works")[-1] == f"{works}-{minute}"
        clock.move(120)
    assert states(engine).count("waiting") == 30
    del receiver.modes["/down"]
    if fault == "off":
        with engine.begin() as conn:
            channels.change_channel(
                conn,
                down,
                who=channels.Who("ada", is_admin=True),
                now=clock(),
                written=_written(receiver.url("/down")),
                sealer=SEALER,
            )
    for _ in range(10):
        clock.move(30)
        send_due(sender)
    assert states(engine) == ["sent"] * 60
    assert receiver.repeated == 0
    kept = [f"{down}-{minute}" for minute in range(0, 60, 2)]
    assert sorted(receiver.keys("/down"), key=kept.index) == kept
    if fault != "503":  # Errors that were answered ten times are set aside, one by one.
        assert receiver.keys("/down") == kept


def _written(url: str) -> Written:
    return Written(Target("webhook", url, SECRET), "Webhook", url, 10_000)


def test_what_a_receiver_asks_for_is_waited_for_and_nothing_is_sent_meanwhile(
    sqlite_engine: Engine, receiver: Receiver
) -> None:
    engine, clock = sqlite_engine, Clock()
    channel = add_webhook(engine, receiver.url())
    put(engine, message(channel, 1), message(channel, 2))
    receiver.mode, receiver.retry_after = "429", "90"
    send_due(courier(engine, clock))
    assert next_at(engine) == NOON + timedelta(seconds=90)
    receiver.mode = "good"
    clock.move(89)
    assert send_due(courier(engine, clock)) == 0
    clock.move(1)
    send_due(courier(engine, clock))
    assert receiver.keys() == [f"{channel}-1", f"{channel}-2"]


def test_what_is_refused_for_good_is_given_up_at_once_and_the_next_goes_out(
    sqlite_engine: Engine, receiver: Receiver
) -> None:
    channel = add_webhook(sqlite_engine, receiver.url())
    put(sqlite_engine, message(channel, 1), message(channel, 2))
    receiver.script.extend(["410"])
    send_due(courier(sqlite_engine, lambda: NOON))
    assert states(sqlite_engine) == ["dead", "sent"]
    assert errors(sqlite_engine)[0] == "It answered 410: it is gone for good. It said: said so"


def test_what_fails_for_a_day_is_given_up_and_can_be_sent_again(
    sqlite_engine: Engine, receiver: Receiver
) -> None:
    engine, clock = sqlite_engine, Clock()
    channel = add_webhook(engine, receiver.url())
    put(engine, message(channel))
    receiver.mode = "500"
    sender, tries = courier(engine, clock), 0
    while states(engine) == ["waiting"]:
        tries += send_due(sender)
        clock.move(1_800)
    assert states(engine) == ["dead"]
    assert clock.at - NOON >= timedelta(hours=24)
    assert tries == len(attempts(engine)) > 40
    receiver.mode = "good"
    with engine.begin() as conn:
        assert outbox.resend(conn, by="ada", now=clock(), channel_id=channel) == 1
    send_due(sender)
    assert states(engine) == ["sent"]
    assert {one.key for one in receiver.received} == {f"{channel}-0"}


def test_what_waits_a_day_for_a_channel_that_is_off_is_no_news_when_that_is_on_again(
    engine: Engine, receiver: Receiver
) -> None:
    clock, ada = Clock(), Who("ada", is_admin=True)
    ids = [add_webhook(engine, receiver.url(path)) for path in ("/off", "/stays", "/on")]

    def switch(*channel_ids: int, enabled: bool) -> None:
        with engine.begin() as conn:
            for one in channel_ids:
                channels.change_channel(conn, one, who=ada, now=clock.at, enabled=enabled)

    switch(*ids[:2], enabled=False)
    put(engine, *(message(one, 1) for one in ids))
    clock.move(3_600)
    put(engine, *(message(one, 2) for one in ids), now=clock.at)
    clock.move(23 * 3_600)
    switch(ids[0], enabled=True)
    send_due(courier(engine, clock))
    # Whoever is off stays so, and what waits there is given up while it does.
    drop_old(engine, clock.at + timedelta(seconds=1))
    assert sorted(receiver.keys()) == [f"{ids[0]}-2", f"{ids[2]}-1", f"{ids[2]}-2"]
    assert states(engine) == ["dead", "dead", "sent", "sent", "waiting", "sent"]
    said = "Not sent: the channel was switched off for a day."
    assert errors(engine) == [said, said, None, None, None, None]
    with engine.begin() as conn:
        assert outbox.resend(conn, by="ada", now=clock.at, channel_id=ids[0]) == 1
    send_due(courier(engine, clock))
    assert receiver.keys("/off") == [f"{ids[0]}-2", f"{ids[0]}-1"]


def test_a_message_that_a_receiver_cannot_take_holds_the_others_back_for_minutes_only(
    sqlite_engine: Engine, receiver: Receiver
) -> None:
    engine, clock = sqlite_engine, Clock()
    channel = add_webhook(engine, receiver.url())
    put(engine, message(channel, 1), message(channel, 2))
    sender = courier(engine, clock)
    receiver.script.extend(["500"] * 10)
    while not receiver.accepted:
        send_due(sender)
        clock.move(1)
    assert receiver.keys()[0] == f"{channel}-2"
    assert clock.at - NOON < timedelta(minutes=10)


def test_without_the_key_nothing_crashes_and_the_reason_is_there(
    sqlite_engine: Engine, receiver: Receiver
) -> None:
    engine, clock = sqlite_engine, Clock()
    channel = add_webhook(engine, receiver.url())
    put(engine, message(channel))
    other = Sealer([Fernet.generate_key().decode()])
    keyless = Courier(engine, lambda: other, HERE, "keyless", clock)
    send_due(keyless)
    assert states(engine) == ["waiting"]
    assert "CRYPTOSATX_SECRET_KEY" in (errors(engine)[0] or "")

    def refuse() -> Sealer:
        raise SettingsError("secret.key may be read by others.")

    clock.move(60)
    send_due(Courier(engine, refuse, HERE, "refused", clock))
    assert errors(engine) == ["secret.key may be read by others."]
    clock.move(60)
    send_due(courier(engine, clock))
    assert states(engine) == ["sent"]


def test_what_a_library_raises_is_a_failure_without_its_words(
    sqlite_engine: Engine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = add_webhook(sqlite_engine, receiver.url("/PLANTEDPLANTED"))
    put(sqlite_engine, message(channel))

    def fail(*_: object) -> webhook.Outcome:
        raise RuntimeError("https://PLANTEDPLANTED")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhook.OpenWebhook, "send", fail)
        send_due(courier(sqlite_engine, lambda: NOON))
    assert errors(sqlite_engine) == ["It could not be sent (RuntimeError)."]
    assert "PLANTED" not in caplog.text


def test_what_was_sent_is_noted_also_when_the_database_is_away_for_a_moment(
    sqlite_engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = add_webhook(sqlite_engine, receiver.url("/x"))
    put(sqlite_engine, message(channel))
    failures, real = iter(range(2)), outbox.note_sent

    def note_sent(*args: Any, **kwargs: Any) -> int:
        if next(failures, None) is not None:
            raise OperationalError("away", None, Exception())
        return real(*args, **kwargs)

    monkeypatch.setattr(outbox, "note_sent", note_sent)
    send_due(courier(sqlite_engine, lambda: NOON))
    assert states(sqlite_engine) == ["sent"]
    assert len(receiver.received) == 1


def test_a_sender_of_the_settings_makes_its_key_only_when_it_needs_one(
    sqlite_engine: Engine, tmp_path: Path, receiver: Receiver
) -> None:
    settings = load_settings({"CRYPTOSATX_DATA": str(tmp_path)})
    with sending_for(sqlite_engine, settings, "worker"):
        time.sleep(0.05)
    assert not (settings.data_dir / "secret.key").exists()
    channel = add_webhook(sqlite_engine, receiver.url())
    put(sqlite_engine, message(channel))
    with sending_for(sqlite_engine, settings, "worker"):
        wait_for(lambda: errors(sqlite_engine)[0] is not None)
    assert (settings.data_dir / "secret.key").exists()


def test_a_channel_is_tested_with_one_message_and_not_too_often(
    sqlite_engine: Engine, receiver: Receiver, tmp_path: Path
) -> None:
    engine = sqlite_engine
    key = Fernet.generate_key().decode()
    environ = {"CRYPTOSATX_SECRET_KEY": key, "CRYPTOSATX_PRIVATE_TARGETS": "127.0.0.1"}
    settings = load_settings(environ | {"CRYPTOSATX_DATA": str(tmp_path)})
    ada, clock = channels.Who("ada", is_admin=True), Clock()
    channel = add_webhook(engine, receiver.url("/t"), sealer=Sealer([key]))

    def test() -> Outcome:
        return send_test(engine, settings, channel, who=ada, now=clock())

    assert test() == Outcome(True, "It answered 200.", answered=True)
    (one,) = receiver.received
    assert is_signed(one)
    assert one.json["type"] == "alert.test"
    assert "ada sent this at 2025-06-02 12:00 UTC" in one.json["text"]
    with pytest.raises(DeliveryError, match="10 seconds"):
        test()
    receiver.mode = "403"
    clock.move(10)
    assert test().message.startswith("It answered 403: it does not allow this.")
    with pytest.raises(AccessDenied):
        send_test(engine, settings, channel, who=channels.Who("eve", is_admin=False), now=clock())
    for _ in range(3):
        clock.move(10)
        with engine.begin() as conn:
            channels.note_test(conn, channel, who=ada, now=clock())
    clock.move(10)
    with pytest.raises(DeliveryError, match="5 are possible"):
        test()
    clock.move(600)
    private = load_settings({**environ, "CRYPTOSATX_PRIVATE_TARGETS": "10.0.0.1"})
    refusal = send_test(engine, private, channel, who=ada, now=clock())
    assert "127.0.0.1 is not a public address" in refusal.message
    assert states(engine) == []


def test_a_service_is_tested_in_a_process_of_its_own(
    sqlite_engine: Engine, receiver: Receiver, tmp_path: Path
) -> None:
    key = Fernet.generate_key().decode()
    environ = {"CRYPTOSATX_SECRET_KEY": key, "CRYPTOSATX_PRIVATE_TARGETS": "127.0.0.1"}
    settings = load_settings(environ | {"CRYPTOSATX_DATA": str(tmp_path)})
    ada = channels.Who("ada", is_admin=True)
    with sqlite_engine.begin() as conn:
        written = parse_target("apprise", f"json://127.0.0.1:{receiver.port}/PLANTEDPLANTED", HERE)
        channel = channels.create_channel(
            conn, name="x", written=written, sealer=Sealer([key]), owner=None, who=ada, now=NOON
        )
    outcome = send_test(sqlite_engine, settings, channel, who=ada, now=NOON)
    assert outcome == Outcome(True, "JSON took it.", answered=True)
    assert receiver.received[0].json["title"] == "Test of CryptoSatX"


def test_what_waits_and_fails_and_arrives_is_counted_by_channel(
    engine: Engine, receiver: Receiver
) -> None:
    clock = Clock()
    works, fails, idle = (add_webhook(engine, receiver.url(path)) for path in ("/w", "/f", "/i"))
    receiver.modes["/f"] = "503"
    put(engine, *(message(works, n) for n in range(3)), message(fails, 1), message(fails, 2))
    put(engine, message(idle, not_before=NOON + timedelta(days=1)))
    sender = courier(engine, clock)
    send_due(sender)
    clock.move(5)
    receiver.modes["/f"] = "404"
    send_due(sender)
    with engine.connect() as conn:
        counted = {one.channel_id: one for one in delivery_log.load_counts(conn, clock())}
    assert counted[works] == Counts(works, 0, None, 0, 3, 3, 0, None)
    assert (counted[fails].dead, counted[fails].failed_last_hour) == (2, 3)
    assert (counted[fails].last_error or "").startswith("It answered 404")
    assert counted[idle] == Counts(idle, 0, None, 0, 0, 0, 0, None)
    put(engine, message(works, 9), now=clock())
    with engine.connect() as conn:
        later = clock() + timedelta(hours=2)
        counted = {one.channel_id: one for one in delivery_log.load_counts(conn, later)}
        assert (counted[works].sent_last_hour, counted[works].sent_last_day) == (0, 3)
        assert (counted[works].waiting, counted[works].oldest_waiting_at) == (1, clock())
        newest = delivery_log.list_deliveries(conn, channel_ids=[fails], state="dead")
        assert [one.key for one in newest] == [f"{fails}-2", f"{fails}-1"]
        assert (
            delivery_log.list_deliveries(conn, channel_ids=[fails], before_id=newest[-1].id) == []
        )
        tries = delivery_log.list_attempts(conn, newest[-1].id)
    assert [(one.worker, one.succeeded) for one in tries] == [("one", False)] * 2
    assert all((one.took_ms or 0) > 0 for one in tries)


def test_a_worker_sends_what_waits(
    sqlite_engine: Engine, receiver: Receiver, tmp_path: Path
) -> None:
    key = Fernet.generate_key().decode()
    environ = {"CRYPTOSATX_SECRET_KEY": key, "CRYPTOSATX_PRIVATE_TARGETS": "127.0.0.1"}
    settings = load_settings(environ | {"CRYPTOSATX_DATA": str(tmp_path)})
    channel = add_webhook(sqlite_engine, receiver.url("/worker"), sealer=Sealer([key]))
    worker = Worker(sqlite_engine, None, settings=settings)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        put(sqlite_engine, message(channel), now=datetime.now(UTC))
        wait_for(lambda: states(sqlite_engine) == ["sent"])
    finally:
        worker.stop()
        thread.join(30)
    assert receiver.keys("/worker") == [f"{channel}-0"]
