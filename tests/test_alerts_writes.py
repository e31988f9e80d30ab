"""What people do on the Alerts page: take note, silence, keep channels, and who may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import select

from core.accounts import people, sessions
from core.alerts.delivery import load_sealer
from core.alerts.silences import parse_silence
from core.errors import AccessDenied, DeliveryError, RuleError
from core.store import audit, outbox
from core.store.alerts.silences import list_silences
from core.store.channels import list_channels, load_target
from core.store.sent import count_deliveries
from core.store.tables import deliveries
from core.ui import session
from core.ui.alerts import actions, channel_actions
from core.ui.alerts.personal import load_channels
from core.ui.alerts.silence_form import (
    LISTED,
    Effect,
    Past,
    begin_silence,
    effect_of,
    effect_words,
    kept_back_list,
)
from core.ui.formats import UTC_CLOCK
from tests.alert_desk import (  # noqa: F401 - fixtures
    HOUR,
    entries,
    fired,
    lists,
    page,
    rows,
    shown,
    templates,
    text,
)
from tests.channelled import claim_one
from tests.pages import run
from tests.world.receiver import Receiver

# Acknowledging


def test_who_acknowledges_is_shown_and_written_down_once_for_a_rule(fired):
    fired.sign_in("tom")
    assert actions.take_note([(1, "BTCUSDT"), (1, "ETHUSDT")], " looking  at it ") == 2
    said = shown(page())
    assert "acknowledged by tom" in said
    assert "“looking at it”" in said
    assert entries(fired)[-1] == ("tom", "acknowledge", "rule")
    with fired.engine.connect() as conn:
        (newest, *_) = audit.list_changes(conn, limit=1)
    assert newest.after == {"symbols": ["BTCUSDT", "ETHUSDT"], "note": "looking at it"}
    by_key = {row["key"]: row for row in rows(page())}
    assert by_key["1.BTCUSDT"]["tick"] == ""
    assert by_key["1.SOLUSDT"]["tick"] != ""


def test_what_was_acknowledged_stays_with_who_did_it_first(fired):
    actions.take_note([(1, "BTCUSDT")], "")
    fired.sign_in("tom")
    with pytest.raises(RuleError, match="without being acknowledged"):
        actions.take_note([(1, "BTCUSDT")], "me too")
    assert len([one for one in entries(fired) if one[1] == "acknowledge"]) == 1


# Silences


def test_a_silence_is_made_in_the_form_listed_and_ended(fired):
    at = page("Silences")
    at.text_input(key="silence_values_0").set_value("Up")
    at.text_input(key="silence_reason").set_value("the exchange moves wallets")
    run(at)
    said = shown(at)
    assert "it would have kept back **3 of 6** events" in said
    assert "Of what fires now it silences Up on BTCUSDT" in said.replace("\\", "")
    (kept,) = [given for given in lists(at) if given["caption"].startswith("What it would have")]
    told = [text(row["cells"]) for group in kept["groups"] for row in group["rows"]]
    assert sorted(one.split()[1] for one in told) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert all(one.startswith("Up ") and one.endswith(" fired") for one in told)
    at.button(key="silence_make").click()
    run(at)
    st.cache_data.clear()
    with fired.engine.connect() as conn:
        (made,) = list_silences(conn, datetime.now(UTC))
    assert [str(one) for one in made.silence.matchers] == ["rule = Up"]
    assert made.silence.author == "ada"
    assert "Holding now" in shown(page("Silences"))
    assert "silenced until" in shown(page())
    actions.end_silence(made.id)
    assert "Ended" in shown(page("Silences"))
    assert [one[1:] for one in entries(fired)][-2:] == [("create", "silence"), ("end", "silence")]


def test_a_silence_that_cannot_be_is_refused_with_what_to_write(fired):
    at = page("Silences")
    at.selectbox(key="silence_field_0").select("severity")
    at.text_input(key="silence_values_0").set_value("loud")
    run(at)
    assert "is no severity" in shown(at)
    assert at.button(key="silence_make").disabled
    now = datetime.now(UTC)
    with pytest.raises(RuleError, match="reason"):
        actions.silence(actions.Draft(("rule = Up",), " ", now, now + HOUR))


def test_a_row_fills_the_form_in_even_where_its_rule_has_a_comma(fired, monkeypatch):
    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    begin_silence("Hot, now", "BTCUSDT")
    matchers = [
        f"{state[f'silence_field_{at}']} {state[f'silence_operator_{at}']} {state[f'silence_values_{at}']}"
        for at in range(2)
    ]
    now = datetime.now(UTC)
    made = parse_silence(
        {
            "matchers": matchers,
            "reason": "x",
            "author": "a",
            "starts_at": now,
            "ends_at": now + HOUR,
        }
    )
    assert made.matches(watching_subject("Hot, now", "BTCUSDT"))
    assert not made.matches(watching_subject("Hot", "BTCUSDT"))


def watching_subject(name: str, symbol: str) -> Any:
    from core.alerts.silences import Subject

    return Subject(name, symbol, "info")


def test_the_preview_counts_only_what_was_told(fired):
    now = datetime.now(UTC)
    body = {
        "matchers": ["rule = Up"],
        "reason": "x",
        "author": "a",
        "starts_at": now,
        "ends_at": now + HOUR,
    }
    before = effect_of(parse_silence(body))
    assert (len(before.kept_back), before.of, len(before.fires)) == (3, 6, 3)
    assert "Up 3" in effect_words(before)
    body["matchers"] = ["symbol = NONE"]
    assert "Nothing that fires now is matched" in effect_words(effect_of(parse_silence(body)))


def test_of_much_that_would_be_kept_back_the_newest_is_listed():
    noon = datetime(2025, 6, 2, 12, tzinfo=UTC)
    kept = [Past("Up", f"COIN{n}USDT", "info", "fired", noon - n * HOUR) for n in range(43)]
    (group,) = kept_back_list(kept, UTC_CLOCK).groups
    assert len(group.rows) == LISTED
    assert text(group.rows[0].cells) == "Up COIN0USDT 2 Jun 2025, 12:00 fired"
    said = effect_words(Effect(kept, 10_000, [], whole=False))
    assert "**43 of the newest 10,000** events" in said


# Who may


WRITES: list[Callable[[], object]] = [
    lambda: actions.take_note([(1, "BTCUSDT")], ""),
    lambda: actions.silence(
        actions.Draft(("rule = Up",), "x", datetime.now(UTC), datetime.now(UTC) + HOUR)
    ),
    lambda: actions.end_silence(1),
    lambda: channel_actions.create(
        name="x", kind="webhook", address="https://127.0.0.1/x", shared=False
    ),
    lambda: channel_actions.change(1, enabled=False),
    lambda: channel_actions.delete(1),
    lambda: channel_actions.test(1),
    lambda: channel_actions.subscribe(1, {}),
    lambda: channel_actions.resend(channel_id=1),
    lambda: channel_actions.resend(ids=[1]),
    lambda: channel_actions.send_now([1]),
    lambda: channel_actions.drop([1]),
]
SHARED = [4, 5, 6, 7, 8, 9, 10, 11]


class Stopped(Exception):
    """The script ended here."""


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a page's script ends the call."""

    def stop() -> None:
        raise Stopped

    monkeypatch.setattr(st, "stop", stop)


@pytest.mark.parametrize("number", range(len(WRITES)))
def test_a_guest_changes_nothing(fired, refusals, monkeypatch, number):
    guest = sessions.Session(
        id=1, person=people.GUEST, user_agent="", created_at=datetime.now(UTC), seen_at=datetime.now(UTC)
    )  # fmt: skip
    monkeypatch.setattr(session, "current_session", lambda **_: guest)
    before = entries(fired)
    with pytest.raises(Stopped):
        WRITES[number]()
    assert entries(fired) == before


@pytest.mark.parametrize("number", SHARED)
@pytest.mark.parametrize("name", ["tom", "ann"])
def test_shared_channels_are_left_alone_by_all_but_administrators(fired, name, number):
    fired.sign_in(name)
    before = entries(fired)
    with pytest.raises(AccessDenied):
        WRITES[number]()
    assert entries(fired) == before


def test_making_a_shared_channel_takes_an_administrator(fired, refusals):
    fired.sign_in("tom")
    with pytest.raises(Stopped):
        channel_actions.create(name="x", kind="webhook", address="https://127.0.0.1/x", shared=True)


def test_views_of_administrators_are_theirs_alone(fired):
    fired.sign_in("ann")
    for view in ("Deliveries", "Changes"):
        at = page(view)
        assert view not in at.segmented_control(key="view").options
        assert "given up" not in shown(at)
        assert "made rule" not in shown(at)
    fired.sign_in("ada")
    assert "made rule" in shown(page("Changes"))


# Channels


def add_own(name: str, address: str) -> int:
    channel_actions.create(name=name, kind="webhook", address=address, shared=False)
    return {one.channel.name: one.channel.id for one in load_own()}[name]


def load_own() -> list[Any]:
    return load_channels(session.current_session().person, shared=False)  # type: ignore[union-attr]


def test_a_channel_is_made_tested_and_its_secret_shown_once(fired):
    fired.sign_in("tom")
    with Receiver() as receiver:
        at = page("Channels")
        at.segmented_control(key="channel_service_own").set_value("Webhook")
        run(at)
        at.text_input(key="channel_name_own_0").set_value("Mine")
        at.text_input(key="channel_address_own_0").set_value(receiver.url("/secret-path"))
        run(at)
        at.button(key="channel_add_own").click()
        run(at)
        assert not at.error, at.error[0].value
        (held,) = load_own()
        with fired.engine.connect() as conn:
            target = load_target(conn, held.channel.id, load_sealer(fired.here.settings))
        assert target.signing_secret in [str(one.value) for one in at.code]
        assert "secret-path" not in shown(at)
        run(at)
        assert target.signing_secret not in [str(one.value) for one in at.code]
        outcome = channel_actions.test(held.channel.id)
        assert outcome.sent
        assert receiver.received[-1].path == "/secret-path"
        assert receiver.received[-1].json["data"]["kind"] == "test"
        with pytest.raises(DeliveryError, match="wait 10 seconds"):
            channel_actions.test(held.channel.id)
    assert ("tom", "test", "channel") in entries(fired)


def test_an_address_that_leads_inside_or_nowhere_is_refused_with_a_sentence(fired, monkeypatch):
    monkeypatch.setenv("CRYPTOSATX_PRIVATE_TARGETS", "")
    at = page("Channels")
    for service, address, said in (
        ("Webhook", "http://127.0.0.1:8080/x", "not a public address"),
        ("Telegram", "tgrm://1/2", "Did you mean tgram://?"),
        ("Slack", "slack://", "is not a whole address of Slack"),
    ):
        at.segmented_control(key="channel_service_own").set_value(service)
        run(at)
        at.text_input(key="channel_address_own_0").set_value(address)
        run(at)
        at.button(key="channel_add_own").click()
        run(at)
        plain = " ".join(str(one.value) for one in at.error).replace("\\", "")
        assert said in plain, plain
    assert load_own() == []


def test_nobody_sees_or_uses_the_channels_of_others(fired):
    fired.sign_in("tom")
    own = add_own("Mine", "https://127.0.0.1/x")
    fired.sign_in("ann")
    assert load_own() == []
    assert "Mine" not in shown(page("Channels"))
    for write in (channel_actions.test, channel_actions.delete):
        with pytest.raises(AccessDenied):
            write(own)


def test_what_comes_is_chosen_and_said(fired):
    fired.sign_in("tom")
    own = add_own("Mine", "https://127.0.0.1/x")
    body = {
        "rules": ["Up"],
        "severities": ["critical"],
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "time_zone": "Europe/Berlin",
    }
    channel_actions.subscribe(own, body)
    said = shown(page("Channels"))
    assert "Critical of Up comes" in said
    assert "from 22:00 to 07:00 (Europe/Berlin, every day)" in said
    with pytest.raises(DeliveryError, match="no time zone"):
        channel_actions.subscribe(own, {"time_zone": "Mars/Olympus"})


def test_what_was_given_up_is_listed_with_its_reason_and_sent_again(fired):
    now = datetime.now(UTC)
    with fired.engine.begin() as conn:
        channel = list_channels(conn)[0].id
        claimed = claim_one(conn, channel, "host-1", now)
        assert claimed is not None
        gone = "It answered 410: it is gone for good."
        outbox.note_failed(conn, claimed, took_ms=12.0, message=gone, next_at=None)
    at = page("Deliveries")
    said = shown(at)
    assert "1 message given up" in said
    assert said.count(gone) == 2  # in the list, and in the log of tries
    assert "Messages" not in said or "given up" in said
    assert channel_actions.resend(ids=[claimed.id]) == 1
    with fired.engine.connect() as conn:
        state = conn.scalar(select(deliveries.c.state).where(deliveries.c.id == claimed.id))
        (counted,) = count_deliveries(conn, now)
    assert (state, counted.dead) == ("waiting", 0)
    assert entries(fired)[-1] == ("ada", "resend", "channel")


def test_what_waits_is_listed_with_its_rule_markets_and_reason_and_counted(fired):
    said = shown(page("Deliveries"))
    assert "1 waiting, 0 sent in 24 h, 0 messages given up" in said
    assert "Up BTCUSDT, ETHUSDT, SOLUSDT Desk" in said
    assert "and no worker takes it" in said  # it has been due since its bar
    now = datetime.now(UTC)
    with fired.engine.begin() as conn:
        claimed = claim_one(conn, list_channels(conn)[0].id, "host-1", now)
        assert claimed is not None
        outbox.note_failed(
            conn, claimed, took_ms=12.0, message="It answered 503.", next_at=now + HOUR
        )
    said = shown(page("Deliveries"))
    assert f"retry 1 at {now + HOUR:%H:%M:%S} It answered 503." in said
    assert channel_actions.send_now([claimed.id]) == 1
    with pytest.raises(DeliveryError, match="waits to be tried again"):
        channel_actions.send_now([claimed.id])
    assert channel_actions.drop([claimed.id]) == 1
    with pytest.raises(DeliveryError, match="None of these waits"):
        channel_actions.drop([claimed.id])
    assert entries(fired)[-2:] == [("ada", "send now", "channel"), ("ada", "drop", "channel")]
    said = shown(page("Deliveries"))
    assert "0 waiting" in said
    assert "Nothing waits" in said
    assert "had sent at once what waited for channel Desk" in shown(page("Changes"))
