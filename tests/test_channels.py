"""Channels: whose they are, what is kept of them, and what the log of changes says."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, select

from core.alerts.delivery import Sealer, Target, Written
from core.errors import AccessDenied, DeliveryError
from core.store import audit, channels, outbox
from core.store.channels import Who
from core.store.outbox import Answered
from core.store.tables import audit_log, deliveries
from core.store.tables import channels as table
from tests.channelled import NOON, SECOND, claim_one, message, put, states

ADA, BOB = Who("ada", is_admin=True), Who("bob", is_admin=False)
SEALER = Sealer([Fernet.generate_key().decode()])
PLANTED = "PLANTEDPLANTED"


def written(planted: str = PLANTED) -> Written:
    return Written(
        Target("webhook", f"https://hook.example/{planted}", f"whsec_{planted}"),
        "Webhook",
        "https://hook.example/...",
        300,
    )


def create(engine: Engine, who: Who = BOB, **changes: Any) -> int:
    values = {"name": "phone", "written": written(), "sealer": SEALER, "owner": who.name}
    with engine.begin() as conn:
        return channels.create_channel(conn, who=who, now=NOON, **values | changes)


def actions(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as conn:
        return [(one.by, one.action, one.name) for one in audit.list_changes(conn)]


def test_a_channel_is_kept_sealed_and_opens_again(engine: Engine) -> None:
    channel_id = create(engine)
    with engine.connect() as conn:
        stored = conn.execute(select(table)).mappings().one()
        (shown,) = channels.list_channels(conn, owner="bob")
        target = channels.load_target(conn, channel_id, SEALER)
    assert PLANTED not in str(dict(stored))
    assert (shown.name, shown.service, shown.per_minute) == ("phone", "Webhook", 300)
    assert target == written().target


def test_without_the_key_a_channel_says_so_and_the_others_are_still_listed(
    sqlite_engine: Engine,
) -> None:
    channel_id = create(sqlite_engine)
    other = Sealer([Fernet.generate_key().decode()])
    with sqlite_engine.connect() as conn:
        with pytest.raises(DeliveryError, match="sealed with a key that is not here"):
            channels.load_target(conn, channel_id, other)
        assert [one.name for one in channels.list_channels(conn, owner="bob")] == ["phone"]


def test_keys_are_rotated_for_all_channels_at_once(sqlite_engine: Engine) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    channel_id = create(sqlite_engine, sealer=Sealer([old]))
    create(sqlite_engine, name="other", sealer=Sealer([new]))
    with sqlite_engine.begin() as conn:
        assert channels.reseal(conn, Sealer([new, old])) == 1
        assert channels.reseal(conn, Sealer([new, old])) == 0
        assert channels.load_target(conn, channel_id, Sealer([new])) == written().target


def test_shared_channels_are_kept_by_administrators_and_own_ones_by_their_owner(
    engine: Engine,
) -> None:
    with pytest.raises(AccessDenied, match="administrators"):
        create(engine, BOB, owner=None)
    with pytest.raises(AccessDenied, match="somebody else"):
        create(engine, BOB, owner="eve")
    shared, own = create(engine, ADA, owner=None), create(engine, BOB)
    with engine.begin() as conn:
        for channel_id, who in ((shared, BOB), (own, Who("eve", is_admin=False))):
            with pytest.raises(AccessDenied):
                channels.change_channel(conn, channel_id, who=who, now=NOON, enabled=False)
            with pytest.raises(AccessDenied):
                channels.delete_channel(conn, channel_id, who=who, now=NOON)
            with pytest.raises(AccessDenied):
                channels.save_subscription(conn, channel_id, {}, who=who, now=NOON)
        channels.change_channel(conn, own, who=ADA, now=NOON, enabled=False)
        assert [one.id for one in channels.list_channels(conn)] == [shared]
        assert [one.id for one in channels.list_channels(conn, owner="bob")] == [own]
        assert len(channels.list_channels(conn, everything=True)) == 2


def test_everybody_has_at_most_five_channels_of_their_own(engine: Engine) -> None:
    own = [create(engine, name=f"phone {number}") for number in range(5)]
    with pytest.raises(DeliveryError, match="5 channels already"):
        create(engine, name="phone 5")
    create(engine, Who("eve", is_admin=False))
    with engine.begin() as conn:
        channels.delete_channel(conn, own[0], who=BOB, now=NOON)
    create(engine, name="phone 5")


@pytest.mark.parametrize("name", ["", "  ", "x" * 129, "a\x00b"])
def test_a_channel_has_a_name_of_bearable_length(sqlite_engine: Engine, name: str) -> None:
    with pytest.raises(DeliveryError, match="name"):
        create(sqlite_engine, name=name)


def test_two_channels_of_one_person_have_different_names(sqlite_engine: Engine) -> None:
    create(sqlite_engine)
    with pytest.raises(DeliveryError, match="already"):
        create(sqlite_engine, name=" Phone ")
    create(sqlite_engine, Who("eve", is_admin=False))


def test_a_channel_can_be_renamed_in_capitals_alone(sqlite_engine: Engine) -> None:
    channel_id = create(sqlite_engine)
    with sqlite_engine.begin() as conn:
        channels.change_channel(conn, channel_id, who=BOB, now=NOON, name="PHONE")
        assert channels.load_own(conn, channel_id, BOB).name == "PHONE"


def test_a_channel_is_changed_and_the_log_says_what_without_secrets(engine: Engine) -> None:
    channel_id = create(engine)
    with engine.begin() as conn:
        channels.change_channel(
            conn,
            channel_id,
            who=BOB,
            now=NOON + SECOND,
            name="tablet",
            written=written("OTHERPLANTED"),
            sealer=SEALER,
            per_minute=7,
            enabled=False,
        )
    with engine.connect() as conn:
        channel = channels.load_channel(conn, channel_id)
        newest = audit.list_changes(conn)[0]
        everything = str(conn.execute(select(audit_log)).all())
        assert channels.load_target(conn, channel_id, SEALER).url.endswith("OTHERPLANTED")
    assert channel is not None
    assert (channel.name, channel.per_minute, channel.enabled) == ("tablet", 7, False)
    assert newest.before == {"name": "phone", "per_minute": 300, "enabled": True}
    assert newest.after == {
        "name": "tablet",
        "per_minute": 7,
        "enabled": False,
        "address": "written anew",
    }
    assert "PLANTED" not in everything


def test_a_change_and_its_note_come_together_or_not_at_all(sqlite_engine: Engine) -> None:
    with sqlite_engine.connect() as conn:
        channels.create_channel(
            conn, name="x", written=written(), sealer=SEALER, owner="bob", who=BOB, now=NOON
        )
        conn.rollback()
    assert actions(sqlite_engine) == []


def test_a_deleted_channel_is_gone_with_its_secret_and_what_waited_is_dropped(
    engine: Engine,
) -> None:
    channel_id = create(engine)
    put(engine, message(channel_id, 1), message(channel_id, 2))
    with engine.begin() as conn:
        one = claim_one(conn, channel_id, "worker", NOON)
        assert one is not None
        outbox.note_sent(conn, [Answered(one, 1.0, "200")], NOON)
        channels.save_subscription(conn, channel_id, {"rules": "all"}, who=BOB, now=NOON)
    with engine.begin() as conn:
        channels.delete_channel(conn, channel_id, who=BOB, now=NOON)
    assert states(engine) == ["sent", "dropped"]
    with engine.connect() as conn:
        assert channels.list_channels(conn, everything=True) == []
        assert channels.load_subscription(conn, channel_id) is None
        assert conn.scalar(select(table.c.secret)) == b""
        with pytest.raises(DeliveryError, match="gone"):
            channels.load_target(conn, channel_id, SEALER)
    with engine.begin() as conn, pytest.raises(DeliveryError, match="gone"):
        channels.delete_channel(conn, channel_id, who=BOB, now=NOON)
    assert [action for _, action, _ in actions(engine)] == ["delete", "subscribe", "create"]


def test_subscriptions_are_saved_and_read_for_channels_that_can_be_sent_to(engine: Engine) -> None:
    channel_id = create(engine)
    body = {"rules": [1, 2], "severities": ["critical"], "quiet": None}
    with engine.begin() as conn:
        channels.save_subscription(conn, channel_id, body, who=BOB, now=NOON)
        channels.save_subscription(conn, channel_id, body | {"rules": "all"}, who=BOB, now=NOON)
        ((channel, found),) = channels.load_subscriptions(conn)
        assert (channel.id, found) == (channel_id, body | {"rules": "all"})
        assert channels.load_subscriptions(conn, ["eve"]) == []
        newest = audit.list_changes(conn)[0]
        assert (newest.before, newest.after) == ({"rules": [1, 2]}, {"rules": "all"})


def test_a_delivery_that_is_left_over_from_a_deleted_channel_is_not_sent_again(
    sqlite_engine: Engine,
) -> None:
    channel_id = create(sqlite_engine)
    put(sqlite_engine, message(channel_id))
    with sqlite_engine.begin() as conn:
        channels.delete_channel(conn, channel_id, who=BOB, now=NOON)
        ids = list(conn.scalars(select(deliveries.c.id)))
        assert outbox.resend(conn, by="ada", now=NOON, ids=ids) == 0
